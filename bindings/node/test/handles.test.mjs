import assert from 'node:assert/strict';
import test from 'node:test';
import { Engine, KmsBlob, Store, randomKey } from 'cyborg-kms';
import { Flip, failsWith, localEngine, ownEngine, runs } from './support.mjs';

test('a closed handle is refused by every call, and may be closed again', async (t) => {
  const { engine } = await localEngine(t);
  const index = await engine.createIndex('a', 'local');
  const [store, blob] = [engine.store(), new KmsBlob()];
  await Promise.all([index.close(), engine.close(), store.close(), blob.close()]);
  await Promise.all([index.close(), engine.close()]);
  index[Symbol.dispose]();
  await engine[Symbol.asyncDispose]();
  for (const call of [
    () => index.name,
    () => index.epoch,
    () => index.retain(),
    () => index.encryptSync(Buffer.alloc(1)),
    () => index.deriveKeySync('a'),
    () => engine.stats(),
    () => engine.openIndexSync('a'),
    () => engine.registerProvider('x', new Flip()),
    () => store.retain(),
    () => blob.kmsName,
    () => (blob.version = 2),
    () => blob.encode(),
  ]) {
    assert.throws(call, failsWith('INVALID_ARGUMENT', /the (index|engine|store|blob) is closed/), String(call));
  }
  for (const call of [
    () => index.encrypt(Buffer.alloc(1)),
    () => index.refresh(),
    () => engine.openIndex('a'),
    () => engine.openIndexInBackground('a'),
    () => engine.check(),
    () => engine.sync(),
    () => store.list(),
    () => store.get('a'),
  ]) {
    await assert.rejects(call(), failsWith('INVALID_ARGUMENT', /is closed/), String(call));
  }
});

test('calls under way end before a handle is freed', async (t) => {
  const provider = new Flip();
  const engine = await ownEngine(t, provider);
  const index = await engine.createIndex('a', 'own');
  const page = Buffer.alloc(2 ** 20, 'x');
  const sealing = Array.from({ length: 20 }, () => index.encrypt(page));
  const opening = Array.from({ length: 20 }, () => engine.openIndex('a'));
  const closing = [index.close(), engine.close()];
  for (const sealed of await Promise.all(sealing)) assert.equal(sealed.byteLength, page.byteLength + 48);
  const opened = await Promise.all(opening);
  await Promise.all(closing);
  assert.equal(opened.length, 20);
  opened[0].encryptSync(Buffer.alloc(1)); // works on without its engine
  await Promise.all(opened.map((handle) => handle.close()));
});

test('handles may be closed in any order', async (t) => {
  const store = await Store.open('memory://');
  const engine = await Engine.openYaml('{}', { store });
  const index = await engine.createIndexWithKey('a', null, randomKey());
  const more = [engine.retain(), index.retain(), store.retain()];
  await store.close();
  await engine.close();
  await index.close();
  assert.deepEqual(await more[2].list(), ['a']);
  more[1].encryptSync(Buffer.alloc(1));
  assert.equal(more[0].stats().cacheEntries, 0);
  await Promise.all(more.map((handle) => handle.close()));
});

test('a blob can not be changed while a call reads it', async (t) => {
  const store = await Store.open('memory://');
  t.after(() => store.close());
  const blob = new KmsBlob({ region: 'before' });
  const pushing = store.push('a', blob);
  assert.throws(() => (blob.region = 'after'), failsWith('INVALID_ARGUMENT', /in use by a call/));
  await pushing;
  blob.region = 'after';
  assert.equal((await store.get('a')).region, 'before');
});

test('arguments of a pending call are kept from the collector', async () => {
  const program = `
    import { Engine } from 'cyborg-kms';
    const engine = await Engine.openYaml('{}');
    const index = await engine.createIndexWithKey('a', null, Buffer.alloc(32, 7));
    for (let round = 0; round < 50; round += 1) {
      const waiting = [];
      for (let number = 0; number < 20; number += 1) {
        waiting.push(index.encrypt(Buffer.alloc(70_000, number), Buffer.from('aad ' + number)));
        waiting.push(engine.openIndexWithKey('a', Buffer.alloc(32, 7)));
      }
      gc();
      Array.from({ length: 30 }, () => Buffer.alloc(70_000, 0xee));
      const done = await Promise.all(waiting);
      for (let number = 0; number < 20; number += 1) {
        const page = index.decryptSync(done[2 * number], Buffer.from('aad ' + number));
        if (!page.every((byte) => byte === number)) throw new Error('another page');
      }
    }
    console.log('the same');
  `;
  const { stdout, stderr, code } = await runs(program, { flags: ['--expose-gc'] });
  assert.equal(stdout, 'the same\n', stderr);
  assert.equal(code, 0);
});

test('handles that are lost are freed by the collector', async () => {
  const program = `
    import { Engine, Store } from 'cyborg-kms';
    let destroyed = 0;
    const object = { get() {}, put() {}, remove() {}, list: () => [], destroy: () => (destroyed += 1) };
    let engines = [];
    for (let number = 0; number < 20; number += 1) {
      const engine = await Engine.openYaml('{}', { store: Store.custom(object) });
      engine.registerProvider('x', { wrap() {}, unwrap() {}, destroy: () => (destroyed += 1) });
      engines.push(engine);
    }
    engines = null;
    for (let tries = 0; tries < 500 && destroyed < 36; tries += 1) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    console.log(destroyed >= 36); // the collector may see the last ones on the stack
  `;
  const { stdout, stderr, code } = await runs(program, { flags: ['--expose-gc'] });
  assert.equal(stdout, 'true\n', stderr);
  assert.equal(code, 0);
});

test('a hundred thousand openings and closings keep no memory', async (t) => {
  const { engine } = await localEngine(t);
  (await engine.createIndex('a', 'local')).close();
  const round = () => {
    for (let number = 0; number < 50_000; number += 1) engine.openIndexSync('a')[Symbol.dispose]();
  };
  round();
  const before = process.memoryUsage().rss;
  round();
  assert.ok(process.memoryUsage().rss - before < 40 * 2 ** 20);
});
