import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import test from 'node:test';
import { Engine, KmsError, constants } from 'cyborg-kms';
import { Flip, failsWith, localEngine, ownEngine, runs, until } from './support.mjs';

test('a provider wraps and unwraps, at once or later', async (t) => {
  const provider = new Flip();
  const engine = await ownEngine(t, provider);
  await engine.check('own');
  const index = await engine.createIndex('a', 'own');
  assert.equal(index.provider, 'external:own');
  assert.equal(index.keyId, 'key-7');
  assert.deepEqual(provider.asked.at(-1), { method: 'unwrap', keyId: 'key-7', aad: 'cyborg_kms kek v1\0a', length: 32 });
  const sealed = index.encryptSync(Buffer.from('page'));
  await engine.evict();
  assert.equal((await index.decrypt(sealed)).toString(), 'page');
  await index.close();
});

test('what throws, rejects or answers wrongly is an error, never a success', async (t) => {
  class Odd extends Error {
    get message() {
      throw new Error('unreadable');
    }
  }
  const wrong = [
    [() => { throw new Error('on the way'); }, 'INTERNAL', /Error: on the way/],
    [async () => { throw new TypeError('later'); }, 'INTERNAL', /TypeError: later/],
    [() => Promise.reject(undefined), 'INTERNAL', /undefined/],
    [async () => { throw new KmsError('KEY_DISABLED', 'the key is off', { providerCode: 'Disabled' }); }, 'KEY_DISABLED', /the key is off/],
    [async () => { throw Object.assign(new Error('two\nlines\0'), { code: 'ACCESS_DENIED' }); }, 'ACCESS_DENIED', /two lines|two/],
    [async () => { throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }); }, 'INTERNAL', /refused/],
    [async () => { throw Object.assign(new Error('fine'), { code: 'OK' }); }, 'INTERNAL', /fine/],
    [async () => { throw new Odd(); }, 'INTERNAL', /can not be read/],
    [async () => { throw '\ud800'; }, 'INTERNAL', /./],
    [async () => undefined, 'INTERNAL', /what wrap gives must be a Buffer/],
    [async () => null, 'INTERNAL', /it is null/],
    [async () => 'text', 'INTERNAL', /it is a string/],
    [async () => ({ length: 32 }), 'INTERNAL', /it is Object/],
    [async () => new Uint8Array(0), 'INTERNAL', /./],
    [async () => Buffer.alloc(2 ** 17), 'CORRUPT', /./],
  ];
  const provider = new Flip();
  const engine = await ownEngine(t, provider);
  let number = 0;
  for (const [wrap, code, message] of wrong) {
    provider.wrap = wrap;
    number += 1;
    await assert.rejects(engine.createIndex(`wrong ${number}`, 'own'), failsWith(code, message), String(wrap));
    await assert.rejects(engine.openIndex(`wrong ${number}`), failsWith('NOT_FOUND'));
  }
});

test('a failed unwrap ends the opening with its status, and a short or another key is refused', async (t) => {
  const provider = new Flip();
  const engine = await ownEngine(t, provider, 'cache: {ttl: 0}\n');
  (await engine.createIndex('a', 'own')).close();
  const right = provider.unwrap;
  const answers = [
    [async () => { throw new KmsError('ACCESS_DENIED', 'no', { providerCode: 'AccessDeniedException' }); }, 'ACCESS_DENIED'],
    [async () => Buffer.alloc(5), 'CORRUPT'],
    [async () => Buffer.alloc(32), 'CORRUPT'],
  ];
  for (const [unwrap, code] of answers) {
    provider.unwrap = unwrap;
    const error = await engine.openIndex('a').catch((failure) => failure);
    failsWith(code)(error);
    if (code === 'ACCESS_DENIED') assert.equal(error.providerCode, 'AccessDeniedException');
    await new Promise((resolve) => setTimeout(resolve, 1100)); // a failure is remembered for a second
  }
  provider.unwrap = right;
  await (await engine.openIndex('a')).close();
});

test("an error's own code is the provider's code", async (t) => {
  const provider = new Flip();
  const engine = await ownEngine(t, provider);
  provider.wrap = async () => { throw Object.assign(new Error('no route'), { code: 'EHOSTUNREACH' }); };
  const error = await engine.createIndex('a', 'own').catch((failure) => failure);
  assert.equal(error.providerCode, 'EHOSTUNREACH');
});

test('an answer that never comes is TIMEOUT, and one that comes too late harms nothing', async (t) => {
  const provider = new Flip();
  const engine = await ownEngine(t, provider);
  let late;
  provider.wrap = () => new Promise((resolve) => (late = resolve));
  await assert.rejects(engine.createIndex('a', 'hasty'), failsWith('TIMEOUT'));
  late(Buffer.alloc(32));
  provider.wrap = Flip.prototype.wrap;
  await (await engine.createIndex('a', 'own')).close();
});

test('a KEK that was given to a provider is wiped when it has answered', async (t) => {
  const provider = new Flip();
  let given;
  provider.wrap = async (keyId, aad, plaintext) => {
    given = plaintext;
    assert.notDeepEqual(given, Buffer.alloc(32));
    return plaintext; // its own answer: it must be copied before it is wiped
  };
  provider.unwrap = async (keyId, aad, wrapped) => wrapped;
  const engine = await ownEngine(t, provider);
  await (await engine.createIndex('a', 'own')).close();
  assert.deepEqual(given, Buffer.alloc(32));
});

test('a KEK that a provider gives is wiped when it was taken, also a wrong one', async (t) => {
  const provider = new Flip();
  const given = [];
  const right = provider.unwrap;
  const remembered = (unwrap) => async (...asked) => {
    given.push(await unwrap.apply(provider, asked));
    return given.at(-1);
  };
  const engine = await ownEngine(t, provider);
  provider.unwrap = remembered(right);
  const index = await engine.createIndex('a', 'own');
  const sealed = index.encryptSync(Buffer.from('page'));
  await engine.evict();
  assert.equal((await index.decrypt(sealed)).toString(), 'page');
  await engine.evict();
  provider.unwrap = remembered(async () => Buffer.alloc(5, 7));
  await assert.rejects(index.refresh(), failsWith('CORRUPT'));
  assert.ok(given.length >= 2);
  for (const kek of given) assert.deepEqual(Buffer.from(kek), Buffer.alloc(kek.length));
  await index.close();
});

test('a synchronous call that could wait for JavaScript throws at once and names the other', async (t) => {
  const provider = new Flip();
  const engine = await ownEngine(t, provider, 'cache: {ttl: 1h}\n');
  const index = await engine.createIndex('a', 'own');
  assert.throws(() => engine.openIndexSync('a'), failsWith('UNSUPPORTED', /await openIndex\(\)/));
  const sealed = index.encryptSync(Buffer.from('page'));
  await engine.evict();
  const calls = [
    ['encrypt', () => index.encryptSync(Buffer.alloc(1))],
    ['decrypt', () => index.decryptSync(sealed)],
    ['encryptDetached', () => index.encryptDetachedSync(Buffer.alloc(1))],
    ['decryptDetached', () => index.decryptDetachedSync(Buffer.alloc(4), sealed.subarray(0, 48))],
    ['generateDataKey', () => index.generateDataKeySync()],
    ['deriveKey', () => index.deriveKeySync('a')],
    ['exportKek', () => index.exportKekSync()],
  ];
  provider.unwrap = () => new Promise(() => {}); // what refreshes meanwhile gets no answer
  for (const [name, call] of calls) assert.throws(call, failsWith('KMS_UNAVAILABLE', new RegExp(`await ${name}\\(\\)`)));
  provider.unwrap = Flip.prototype.unwrap;
});

test('pages go on when the key was loaded anew, and a handle that is not to wait never does', async (t) => {
  const provider = new Flip();
  const engine = await ownEngine(t, provider);
  const index = await engine.createIndex('a', 'own');
  const hasty = await engine.openIndex('a', { noWait: true });
  const sealed = index.encryptSync(Buffer.from('page'));
  await engine.evict();
  await assert.rejects(hasty.decrypt(sealed), (error) => {
    failsWith('KMS_UNAVAILABLE')(error);
    return !error.message.includes('await'); // its caller asked for it
  });
  assert.equal((await index.decrypt(sealed)).toString(), 'page');
  assert.equal(index.decryptSync(sealed).toString(), 'page');
  assert.equal(hasty.decryptSync(sealed).toString(), 'page');
  const retained = index.retain();
  await Promise.all([index.close(), hasty.close()]);
  assert.equal(retained.decryptSync(sealed).toString(), 'page');
  await retained.close();
});

test('an index that was open before its engine asked JavaScript is refused synchronous calls', async (t) => {
  const engine = await Engine.openYaml('{}');
  t.after(() => engine.close());
  const index = await engine.createIndexWithKey('a', null, Buffer.alloc(32, 1));
  index.encryptSync(Buffer.alloc(1));
  engine.registerProvider('own', new Flip());
  assert.throws(() => index.encryptSync(Buffer.alloc(1)), failsWith('UNSUPPORTED', /await encrypt\(\), or open the index anew after/));
  const again = await engine.openIndexWithKey('a', Buffer.alloc(32, 1));
  assert.equal((await index.decrypt(again.encryptSync(Buffer.from('page')))).toString(), 'page');
  assert.throws(() => again.decryptSync(Buffer.alloc(48)), failsWith('CORRUPT'));
});

test('a provider may read files while more calls wait for it than there are threads', async (t) => {
  const provider = new Flip();
  const { wrap } = provider;
  provider.wrap = async function (...given) {
    await fs.readFile(import.meta.filename);
    return wrap.apply(this, given);
  };
  const engine = await ownEngine(t, provider);
  const names = Array.from({ length: 40 }, (_, number) => `index ${number}`);
  const indexes = await Promise.all(names.map((name) => engine.createIndex(name, 'own')));
  assert.deepEqual(indexes.map((index) => index.name), names);
  await Promise.all(indexes.map((index) => index.close()));
});

test("a provider may use another engine's indexes", async (t) => {
  const { engine: inner } = await localEngine(t);
  const key = await inner.createIndex('the key of keys', 'local');
  const engine = await ownEngine(t, {
    wrap: async (keyId, aad, plaintext) => key.encrypt(plaintext, aad),
    unwrap: async (keyId, aad, wrapped) => key.decrypt(wrapped, aad),
  });
  const indexes = await Promise.all(['a', 'b', 'c', 'd'].map((name) => engine.createIndex(name, 'own')));
  const sealed = indexes[0].encryptSync(Buffer.from('page'));
  assert.equal(indexes[0].decryptSync(sealed).toString(), 'page');
  await Promise.all([key, ...indexes].map((handle) => handle.close()));
});

test('a provider is destroyed once, also when registering it failed', async (t) => {
  const destroyed = [];
  const provider = (name) => Object.assign(new Flip(), { destroy: () => destroyed.push(name) });
  const engine = await Engine.openYaml('kms: {registry: {own: {provider: "external:own"}}}');
  engine.registerProvider('own', provider('first'));
  assert.throws(() => engine.registerProvider('own', provider('second')), failsWith('ALREADY_EXISTS'));
  await until(() => destroyed.length === 1);
  assert.throws(() => engine.registerProvider('x\0', provider('third')), failsWith('INVALID_ARGUMENT'));
  const index = await engine.createIndex('a', 'own');
  await engine.close();
  assert.deepEqual(destroyed, ['second']);
  index.encryptSync(Buffer.alloc(1));
  await index.close();
  await until(() => destroyed.length === 2);
  assert.deepEqual(destroyed, ['second', 'first']);
});

test('a provider is destroyed when its last method has settled, which its call does not wait for', async (t) => {
  const destroyed = [];
  let answer;
  const provider = { wrap: () => new Promise((resolve) => (answer = resolve)), unwrap() {}, destroy: () => destroyed.push(1) };
  const engine = await ownEngine(t, provider);
  await assert.rejects(engine.createIndex('a', 'hasty'), failsWith('TIMEOUT'));
  await engine.close();
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.deepEqual(destroyed, []);
  answer(Buffer.alloc(32));
  await until(() => destroyed.length === 1);
});

test('an object that is no provider is refused', async (t) => {
  const engine = await Engine.openYaml('{}');
  t.after(() => engine.close());
  for (const wrong of [null, undefined, {}, { wrap() {} }, 'name', { wrap: 1, unwrap: 2 }]) {
    assert.throws(() => engine.registerProvider('own', wrong), failsWith('INVALID_ARGUMENT', /the provider's (un)?wrap must be/));
  }
  await assert.rejects(engine.createIndex('a', 'own'), failsWith('CONFIG'));
});

test('an error in destroy is uncaught, as any that nobody waits for', async () => {
  const program = `
    import { Engine } from 'cyborg-kms';
    process.on('uncaughtException', (error) => console.log('uncaught', error.message));
    const engine = await Engine.openYaml('{}');
    engine.registerProvider('x', { wrap() {}, unwrap() {}, destroy() { throw new Error('too late'); } });
    await engine.close();
  `;
  const { stdout, code } = await runs(program);
  assert.equal(stdout, 'uncaught too late\n');
  assert.equal(code, 0);
});

test('only granted capabilities are used through a provider too', async (t) => {
  const engine = await ownEngine(t, new Flip());
  await (await engine.createIndex('a', 'own')).close();
  const index = await engine.openIndex('a', { capabilities: constants.CAN_ENCRYPT });
  const sealed = index.encryptSync(Buffer.alloc(1));
  assert.throws(() => index.decryptSync(sealed), failsWith('ACCESS_DENIED'));
  await assert.rejects(index.decrypt(sealed), failsWith('ACCESS_DENIED'));
  await index.close();
});
