import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';
import { Engine, KmsBlob, KmsError, Store, constants } from 'cyborg-kms';
import { MapStore, failsWith, folder, runs, until } from './support.mjs';

const CONFIG = (root) => `kms: {registry: {local: {provider: local, key_id: ${root}/wrap.key, create: true}}}`;

async function overMap(t, records = new MapStore(), more = '') {
  const store = Store.custom(records);
  const engine = await Engine.openYaml(`${CONFIG(folder(t))}\n${more}`, { store });
  t.after(() => Promise.all([engine.close(), store.close()]));
  return { engine, store, records };
}

test('an engine keeps its records in a store of JavaScript', async (t) => {
  const { engine, store, records } = await overMap(t);
  const index = await engine.createIndex('a', 'local');
  assert.deepEqual([...records.records.keys()], ['a']);
  const sealed = index.encryptSync(Buffer.from('page'));
  await engine.evict();
  assert.equal((await index.decrypt(sealed)).toString(), 'page');
  assert.equal(index.decryptSync(sealed).toString(), 'page');
  await assert.rejects(engine.createIndex('a', 'local'), failsWith('ALREADY_EXISTS'));
  await assert.rejects(engine.openIndex('b'), failsWith('NOT_FOUND'));
  assert.throws(() => engine.openIndexSync('a'), failsWith('UNSUPPORTED', /await openIndex/));
  const blob = await store.get('a');
  await store.push('c', blob);
  await store.create('b', blob);
  assert.deepEqual(await engine.store().list(), ['a', 'b', 'c']);
  assert.deepEqual(await store.list({ startAfter: 'a', limit: 1 }), ['b']);
  await store.delete('b');
  await store.delete('b');
  assert.deepEqual(await store.list(), ['a', 'c']);
});

test('what a store throws or answers wrongly is an error', async (t) => {
  const { store, records } = await overMap(t);
  const blob = new KmsBlob({ kmsName: 'x' });
  const data = blob.encode();
  const wrong = [
    ['get', async () => { throw new Error('the disk is gone'); }, () => store.get('a'), 'STORAGE', /the disk is gone/],
    ['get', async () => { throw new KmsError('ACCESS_DENIED', 'no'); }, () => store.get('a'), 'ACCESS_DENIED', /no/],
    ['get', async () => data, () => store.get('a'), 'INTERNAL', /a record's data must be/],
    ['get', async () => ({ data, revision: 0n }), () => store.get('a'), 'INTERNAL', /revision must be/],
    ['get', async () => ({ data, revision: constants.REVISION_ANY }), () => store.get('a'), 'INTERNAL', /revision/],
    ['get', async () => ({ data: Buffer.alloc(0), revision: 1n }), () => store.get('a'), 'INTERNAL', /./],
    ['get', async () => ({ data: Buffer.from('nonsense'), revision: 1 }), () => store.get('a'), 'CORRUPT', /./],
    ['put', async () => undefined, () => store.create('a', blob), 'INTERNAL', /what put gives/],
    ['put', () => { throw new Error('full'); }, () => store.create('a', blob), 'STORAGE', /full/],
    ['remove', async () => { throw new Error('no'); }, () => store.delete('a'), 'STORAGE', /no/],
    ['list', () => ['a', 5], () => store.list(), 'INTERNAL', /an index name must be a string/],
    ['list', async () => 7, () => store.list(), 'STORAGE', /not (async )?iterable/],
    ['list', async function* () { yield 'a'; throw new Error('half'); }, () => store.list(), 'STORAGE', /half/],
  ];
  for (const [method, body, call, code, message] of wrong) {
    records[method] = body;
    await assert.rejects(call(), failsWith(code, message), String(body));
    delete records[method];
  }
});

test('a failed write may have happened all the same', async (t) => {
  const { store, records } = await overMap(t);
  records.put = async (...given) => {
    await MapStore.prototype.put.apply(records, given);
    throw new Error('the answer was lost');
  };
  const error = await store.create('a', new KmsBlob()).catch((failure) => failure);
  assert.equal(error.outcomeUnknown, true);
  assert.equal((await store.get('a')).version, 1);
});

test('revisions are 64 bits without a sign', async (t) => {
  const { store, records } = await overMap(t);
  const asked = [];
  records.check = (name, expected) => asked.push(expected);
  records.revision = 2n ** 63n + 5n;
  await store.create('a', new KmsBlob());
  await store.push('a', new KmsBlob({ region: 'r' }));
  await store.delete('a');
  assert.deepEqual(asked, [constants.REVISION_ABSENT, 2n ** 63n + 6n, constants.REVISION_ANY]);
});

test('methods that answer at once do, and a list may be any iterable', async (t) => {
  const records = new Map();
  const store = Store.custom({
    get: (name) => records.get(name),
    put: (name, data) => (records.set(name, { data, revision: records.size + 1 }), records.size),
    remove: (name) => void records.delete(name),
    list: () => new Set(records.keys()),
  });
  t.after(() => store.close());
  await store.create('a', new KmsBlob({ region: 'r' }));
  assert.equal((await store.get('a')).region, 'r');
  assert.deepEqual(await store.list(), ['a']);
  await store.delete('a');
  await assert.rejects(store.get('a'), failsWith('NOT_FOUND'));
});

test('a store over files, with more calls than there are threads', async (t) => {
  const root = folder(t);
  const file = (name) => path.join(root, encodeURIComponent(name));
  let revision = 0;
  const revisions = new Map();
  const store = Store.custom({
    async get(name) {
      if (!revisions.has(name)) return null;
      return { data: await fs.readFile(file(name)), revision: revisions.get(name) };
    },
    async put(name, data) {
      await fs.writeFile(file(name), data);
      revisions.set(name, (revision += 1));
      return revision;
    },
    remove: async (name) => fs.rm(file(name), { force: true }),
    list: async () => (await fs.readdir(root)).map(decodeURIComponent),
  });
  t.after(() => store.close());
  const engine = await Engine.openYaml(CONFIG(folder(t)), { store });
  const names = Array.from({ length: 30 }, (_, number) => `index/${number}`);
  const indexes = await Promise.all(names.map((name) => engine.createIndex(name, 'local')));
  assert.equal((await store.list()).length, 30);
  await Promise.all([...indexes, engine].map((handle) => handle.close()));
});

test('a store is destroyed once, when nothing uses it any more', async (t) => {
  let destroyed = 0;
  const records = Object.assign(new MapStore(), { destroy: () => (destroyed += 1) });
  const store = Store.custom(records, { callerThread: true });
  const engine = await Engine.openYaml(CONFIG(folder(t)), { store });
  await store.close();
  const index = await engine.createIndex('a', 'local');
  await engine.close();
  index.encryptSync(Buffer.alloc(1));
  assert.equal(destroyed, 0);
  await index.close();
  await until(() => destroyed === 1);
});

test('a store is destroyed when its last method has settled, which its call does not wait for', async (t) => {
  let [destroyed, answer] = [0, null];
  const records = Object.assign(new MapStore(), {
    get: () => new Promise((resolve) => (answer = resolve)),
    destroy: () => (destroyed += 1),
  });
  const store = Store.custom(records);
  const engine = await Engine.openYaml(CONFIG(folder(t)), { store });
  const scope = engine.scope({ deadlineMs: 100 });
  await assert.rejects(scope.openIndex('a'), failsWith('TIMEOUT'));
  await Promise.all([scope.close(), engine.close(), store.close()]);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(destroyed, 0);
  answer(null);
  await until(() => destroyed === 1);
});

test('an index that was created is given though it can not be opened once more', async (t) => {
  const { engine, records } = await overMap(t, new MapStore(), 'cache: {ttl: 0}');
  records.put = (...given) => {
    records.get = () => { throw new Error('the disk is gone'); };
    return MapStore.prototype.put.apply(records, given);
  };
  const index = await engine.createIndex('a', 'local');
  delete records.get;
  assert.throws(() => index.encryptSync(Buffer.alloc(1)), failsWith('UNSUPPORTED', /await encrypt\(\), or open the index anew/));
  const sealed = await index.encrypt(Buffer.from('page'));
  const again = await engine.openIndex('a');
  assert.equal(again.decryptSync(sealed).toString(), 'page');
  await Promise.all([index.close(), again.close()]);
});

// A program over a store whose first `get` keeps this thread until all others wait for it.
const CROWDED = `
  import { Engine, KmsBlob, Store } from 'cyborg-kms';
  const names = Array.from({ length: 300 }, (_, number) => 'index ' + number);
  const record = { data: new KmsBlob({ kmsName: 'gone' }).encode(), revision: 1n };
  let asked = 0;
  const get = () => {
    asked += 1;
    const end = Date.now() + (asked === 1 ? 2000 : 0);
    while (Date.now() < end);
    return record;
  };
  const store = Store.custom({ get, put() {}, remove() {}, list: () => names });
  const engine = await Engine.openYaml('{}', { store });
`;

test('the threads of the widest sync wait for a store of JavaScript at once', async () => {
  const program = `${CROWDED}
    const report = await engine.sync({ dryRun: true, concurrency: 256 });
    console.log(asked, report.total);
  `;
  const { stdout, stderr, signal } = await runs(program);
  assert.deepEqual({ stdout, signal }, { stdout: '300 300\n', signal: null }, stderr);
});

test("so do as many openings as libuv's threads allow", async () => {
  const program = `${CROWDED}
    const opened = await Promise.allSettled(names.map((name) => engine.openIndex(name)));
    await engine.close();
    console.log(asked, ...new Set(opened.map(({ reason }) => reason.code)));
  `;
  const { stdout, stderr, signal } = await runs(program, { env: { UV_THREADPOOL_SIZE: '400' } });
  assert.deepEqual({ stdout, signal }, { stdout: '300 CONFIG\n', signal: null }, stderr);
});

test('an object that is no store is refused', () => {
  for (const wrong of [null, {}, { get() {}, put() {}, remove() {} }]) {
    assert.throws(() => Store.custom(wrong), failsWith('INVALID_ARGUMENT', /the store's \w+ must be a function/));
  }
  assert.throws(() => Store.custom(new MapStore(), { thread: 1 }), failsWith('INVALID_ARGUMENT', /no "thread"/));
});
