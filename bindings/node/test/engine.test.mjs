import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { Engine, KmsBlob, Status, Store, auditVerify, constants, randomKey, statusName } from 'cyborg-kms';
import { failsWith, folder, localEngine } from './support.mjs';

test('an index is created, opened by each way, and tells what it is', async (t) => {
  const { engine, root } = await localEngine(t);
  await using_(await engine.createIndex('ü/orders', 'local'), async (index) => {
    assert.equal(index.name, 'ü/orders');
    assert.equal(index.kmsName, 'local');
    assert.equal(index.provider, 'local');
    assert.equal(index.keyId, `${root}/wrap.key`);
    assert.equal(index.version, 1);
    assert.equal(index.epoch, 1n);
    assert.equal(index.dataKeyId, 1);
    const sealed = index.encryptSync(Buffer.from('page'));
    const others = [
      engine.openIndexSync('ü/orders'),
      engine.openIndexSync('ü/orders', { noWait: true, minEpoch: 1 }),
      await engine.openIndex('ü/orders'),
      await engine.openIndex('ü/orders', { capabilities: constants.CAN_DECRYPT, minEpoch: 1n }),
      index.retain(),
    ];
    for (const other of others) assert.equal(other.decryptSync(sealed).toString(), 'page');
    assert.throws(() => others[3].encryptSync(sealed), failsWith('ACCESS_DENIED', /does not grant encrypt/));
    await index.refresh();
    await Promise.all(others.map((other) => other.close()));
  });
  assert.deepEqual(await engine.store().list(), ['ü/orders']);
});

test('an index of another process opens from its record', async (t) => {
  const { engine, root } = await localEngine(t);
  const index = await engine.createIndex('a', 'local');
  const sealed = index.encryptSync(Buffer.from('kept'));
  fs.writeFileSync(
    `${root}/db.yaml`,
    `storage: {url: db}\nkms: {registry: {local: {provider: local, key_id: wrap.key}}}\n`,
  );
  const other = await Engine.open(`${root}/db.yaml`);
  const again = await other.openIndex('a');
  assert.equal(again.decryptSync(sealed).toString(), 'kept');
  await other.reload();
  await Promise.all([again.close(), other.close(), index.close()]);
});

test('a KEK of the caller: provider none, and into a slot', async (t) => {
  const { engine } = await localEngine(t);
  const kek = randomKey();
  const none = await engine.createIndexWithKey('none', null, kek);
  assert.equal(none.provider, 'none');
  const sealed = none.encryptSync(Buffer.from('mine'));
  assert.equal((await engine.openIndexWithKey('none', kek)).decryptSync(sealed).toString(), 'mine');
  assert.equal(engine.openIndexSync('none', { kek }).decryptSync(sealed).toString(), 'mine');
  await assert.rejects(engine.openIndexWithKey('none', randomKey()), failsWith('AUTHENTICATION_FAILED'));
  await assert.rejects(engine.openIndex('none'), failsWith('INVALID_ARGUMENT'));
  const kept = await engine.createIndexWithKey('kept', 'local', kek);
  assert.deepEqual(kept.exportKekSync(), kek);
  await assert.rejects(engine.openIndexWithKey('kept', kek), failsWith('INVALID_ARGUMENT'));
  await assert.rejects(engine.createIndexWithKey('short', null, randomKey(31)), failsWith('INVALID_ARGUMENT'));
  await assert.rejects(engine.createIndexWithKey('text', null, 'key'), failsWith('INVALID_ARGUMENT', /kek must be/));
});

test('failures say what is wrong by code and message', async (t) => {
  const { engine, root } = await localEngine(t);
  await assert.rejects(engine.openIndex('missing'), failsWith('NOT_FOUND', /missing/));
  assert.throws(() => engine.openIndexSync('missing'), failsWith('NOT_FOUND', /missing/));
  await assert.rejects(engine.createIndex('a', 'no such slot'), failsWith('CONFIG', /no such slot/));
  (await engine.createIndex('a', 'local')).close();
  await assert.rejects(engine.createIndex('a', 'local'), failsWith('ALREADY_EXISTS'));
  await assert.rejects(engine.openIndex('a', { minEpoch: 5 }), failsWith('ROLLED_BACK'));
  await assert.rejects(engine.createIndex('', 'local'), failsWith('INVALID_ARGUMENT'));
  await assert.rejects(Engine.open(`${root}/no.yaml`), failsWith('CONFIG'));
  await assert.rejects(Engine.openYaml('kms: {registri: {}}'), failsWith('CONFIG', /line 1/));
  await assert.rejects(Engine.openYaml('storage: {url: "s3://b/p"}'), failsWith('CONFIG', /bucket/));
  await assert.rejects(engine.reload(), failsWith('INVALID_ARGUMENT'));
  await assert.rejects(engine.reload('nonsense: 1'), failsWith('CONFIG'));
  await engine.reload('kms: {registry: {}}');
  await assert.rejects(engine.createIndex('b', 'local'), failsWith('CONFIG'));
});

test('an error has all that the library tells', async (t) => {
  const { engine } = await localEngine(t);
  const error = await engine.openIndex('missing').catch((failure) => failure);
  assert.ok(error instanceof Error);
  assert.equal(error.name, 'KmsError');
  assert.equal(error.status, Status.NOT_FOUND);
  const { providerCode, requestId, retryable, retryAfterMs, outcomeUnknown } = error;
  assert.deepEqual(
    { providerCode, requestId, retryable, retryAfterMs, outcomeUnknown },
    { providerCode: '', requestId: '', retryable: false, retryAfterMs: 0, outcomeUnknown: false },
  );
  assert.match(error.stack, /engine\.test\.mjs/);
  assert.equal(statusName(error.status), error.code);
  assert.equal(statusName(9999), 'UNKNOWN');
});

test('arguments that C would take wrongly are refused', async (t) => {
  const { engine } = await localEngine(t);
  const wrong = [
    [() => engine.openIndex('a\0b'), /indexName has a NUL/],
    [() => engine.openIndex('\ud800'), /half of a surrogate pair/],
    [() => engine.openIndex(undefined), /indexName must be a string, it is undefined/],
    [() => engine.openIndex(5), /it is a number/],
    [() => engine.createIndex('a', undefined), /kmsName must be a string/],
    [() => engine.createIndex('a', {}), /it is Object/],
    [() => engine.openIndex('a', { capabilities: -1 }), /capabilities must be a whole number/],
    [() => engine.openIndex('a', { capabilities: 2 ** 32 }), /capabilities must be a whole number/],
    [() => engine.openIndex('a', { minEpoch: -1n }), /minEpoch must be from 0/],
    [() => engine.openIndex('a', { minEpoch: 0.5 }), /a broken number/],
    [() => engine.openIndex('a', { minEpoc: 1 }), /no "minEpoc"; there are: kek/],
    [() => engine.openIndex('a', 'kek'), /the options must be an object/],
    [() => engine.openIndex('a', { kek: 'key' }), /kek must be a Buffer/],
    [() => engine.openIndex('a', { kek: Buffer.alloc(0) }), /kek must have 32 bytes, it has 0/],
    [() => engine.openIndexWithKey('a', randomKey(33)), /kek must have 32 bytes, it has 33/],
    [() => engine.createIndexWithKey('a', null, new Uint8Array(0)), /kek must have 32 bytes, it has 0/],
    [() => engine.rotateIndexWithKey('a', constants.ROTATE_KEK, { newKek: Buffer.alloc(0) }), /newKek must have 32 bytes/],
    [() => engine.rotateIndexWithKey('a', constants.ROTATE_KEK, { oldKek: Buffer.alloc(0) }), /oldKek must have 32 bytes/],
    [() => auditVerify('audit.log', { key: Buffer.alloc(0) }), /key must have 32 bytes, it has 0/],
    [() => Engine.openYaml('{}', { store: 'memory://' }), /store must be a Store/],
    [() => engine.evict(7), /indexName must be a string/],
  ];
  for (const [call, message] of wrong) await assert.rejects(async () => call(), failsWith('INVALID_ARGUMENT', message));
  assert.throws(() => engine.openIndexSync('a\0b'), failsWith('INVALID_ARGUMENT', /NUL/));
  for (const made of [Engine, Store]) assert.throws(() => new made(), failsWith('INVALID_ARGUMENT', /static functions/));
});

test('check, evict, stats', async (t) => {
  const { engine } = await localEngine(t);
  await engine.check();
  await engine.check('local');
  await assert.rejects(engine.check('missing'), failsWith('CONFIG'));
  const index = await engine.createIndex('a', 'local');
  const before = engine.stats();
  assert.equal(before.cacheEntries, 1);
  assert.equal(before.storeWrites, 1);
  engine.openIndexSync('a').close();
  assert.equal(engine.stats().cacheHits, before.cacheHits + 1);
  await engine.evict('a');
  await engine.evict('never seen');
  await engine.evict();
  index.encryptSync(Buffer.alloc(1));
  assert.equal(engine.stats().kmsCalls, before.kmsCalls + 1);
  assert.ok(Object.values(engine.stats()).every(Number.isInteger));
});

test('a revoked key ends the use of the index, and given back begins it', async (t) => {
  const { engine, root } = await localEngine(t, 'cache: {ttl: 50ms}\n');
  const index = await engine.createIndex('a', 'local');
  fs.renameSync(`${root}/wrap.key`, `${root}/away`);
  await engine.evict();
  assert.throws(() => index.encryptSync(Buffer.alloc(1)), failsWith('KEY_NOT_FOUND'));
  await assert.rejects(index.refresh(), failsWith('KEY_NOT_FOUND'));
  fs.renameSync(`${root}/away`, `${root}/wrap.key`);
  await index.refresh();
  index.encryptSync(Buffer.alloc(1));
});

test('stores: the four functions, list, and an engine over one', async (t) => {
  const store = await Store.open(`${folder(t)}/db`);
  const blob = new KmsBlob({ kmsName: 'prod', provider: 'aws-kms', wrappedKek: Buffer.alloc(60, 1), createdAt: 17 });
  await store.create('b', blob);
  await assert.rejects(store.create('b', blob), failsWith('ALREADY_EXISTS'));
  for (const name of ['a', 'd', 'c']) await store.push(name, blob);
  assert.deepEqual(await store.list(), ['a', 'b', 'c', 'd']);
  assert.deepEqual(await store.list({ startAfter: 'b' }), ['c', 'd']);
  assert.deepEqual(await store.list({ limit: 2 }), ['a', 'b']);
  assert.deepEqual(await store.list({ limit: 0 }), []);
  const got = await store.get('b');
  assert.equal(got.kmsName, 'prod');
  assert.equal(got.createdAt, 17n);
  await store.delete('b');
  await store.delete('b');
  await assert.rejects(store.get('b'), failsWith('NOT_FOUND'));
  await assert.rejects(store.push('b', { kmsName: 'x' }), failsWith('INVALID_ARGUMENT', /must be a KmsBlob/));
  await assert.rejects(Store.open(''), failsWith('INVALID_ARGUMENT'));
  await assert.rejects(Store.open('ftp://x'), failsWith('CONFIG'));
  const engine = await Engine.openYaml('{}', { store });
  const [own, again] = [engine.store(), store.retain()];
  await Promise.all([engine.close(), store.close()]);
  assert.deepEqual(await own.list(), ['a', 'c', 'd']);
  assert.deepEqual(await again.list(), ['a', 'c', 'd']);
  await Promise.all([own.close(), again.close()]);
});

test('a blob keeps what it is given', async () => {
  const blob = new KmsBlob();
  assert.deepEqual([blob.kmsName, blob.provider, blob.keyId, blob.region], ['', '', '', '']);
  assert.deepEqual([blob.wrappedKek, blob.version, blob.createdAt], [Buffer.alloc(0), 1, 0n]);
  blob.region = 'eu-ü';
  blob.createdAt = -(2n ** 63n);
  blob.wrappedKek = Buffer.from('wrap');
  blob.version = 2 ** 32 - 1;
  const again = KmsBlob.decode(blob.encode());
  assert.deepEqual([again.region, again.createdAt, again.version], ['eu-ü', -(2n ** 63n), 2 ** 32 - 1]);
  assert.equal(again.wrappedKek.toString(), 'wrap');
  assert.throws(() => (blob.version = 0), failsWith('INVALID_ARGUMENT'));
  assert.throws(() => (blob.version = 2 ** 32), failsWith('INVALID_ARGUMENT'));
  assert.throws(() => (blob.createdAt = 2n ** 63n), failsWith('INVALID_ARGUMENT'));
  assert.throws(() => (blob.keyId = 'a\0b'), failsWith('INVALID_ARGUMENT', /NUL/));
  assert.throws(() => (blob.wrappedKek = Buffer.alloc(2 ** 20 + 1)), failsWith('INVALID_ARGUMENT'));
  assert.throws(() => new KmsBlob({ region_: 'x' }), failsWith('INVALID_ARGUMENT', /no "region_"/));
  assert.throws(() => KmsBlob.decode(Buffer.from('nonsense')), failsWith('CORRUPT'));
  assert.throws(() => KmsBlob.decode('text'), failsWith('INVALID_ARGUMENT'));
});

test("CyborgDB's kind of record opens and exports, and seals nothing", async (t) => {
  const { engine } = await localEngine(t);
  const index = await engine.createIndex('a', 'theirs');
  assert.equal(index.dataKeyId, 0);
  assert.equal(index.epoch, 0n);
  assert.equal(index.exportKekSync().byteLength, 32);
  assert.throws(() => index.encryptSync(Buffer.alloc(1)), failsWith('UNSUPPORTED', /REWRAP/));
  assert.throws(() => index.generateDataKeySync(), failsWith('UNSUPPORTED'));
  assert.throws(() => index.deriveKeySync('a'), failsWith('UNSUPPORTED'));
});

async function using_(handle, body) {
  try {
    await body(handle);
  } finally {
    await handle.close();
  }
}
