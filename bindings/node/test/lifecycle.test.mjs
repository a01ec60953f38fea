// What the header declares, some of it for a later version: a call either does what the header says, or is UNSUPPORTED
// and says so. Each test holds for both, so that it goes on when the library comes.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { Engine, auditHead, auditVerify, constants, randomKey } from 'cyborg-kms';
import { Flip, failsWith, folder, localEngine, ownEngine, runs } from './support.mjs';

const { ROTATE_REWRAP, ROTATE_KEK, ROTATE_DATA_KEY } = constants;

// What a call gives, or null where it is for a later version.
async function orLater(call) {
  try {
    return { value: await call() };
  } catch (error) {
    if (error.code !== 'UNSUPPORTED') throw error;
    failsWith('UNSUPPORTED', /later version|this version does not support/)(error);
    return null;
  }
}

test('rotation', async (t) => {
  const { engine } = await localEngine(t);
  const index = await engine.createIndex('a', 'local');
  const sealed = index.encryptSync(Buffer.from('page'));
  const former = index.exportKekSync();
  for (const [rotation, slot] of [[ROTATE_REWRAP, 'local'], [ROTATE_KEK, undefined], [ROTATE_DATA_KEY, undefined]]) {
    const done = await orLater(() => engine.rotateIndex('a', rotation, slot));
    assert.equal(index.decryptSync(sealed).toString(), 'page');
    if (done === null) continue;
    await index.refresh();
    if (rotation === ROTATE_KEK) assert.notDeepEqual(index.exportKekSync(), former);
    else assert.equal(index.exportKekSync().equals(former), rotation === ROTATE_REWRAP);
    if (rotation === ROTATE_DATA_KEY) assert.equal(index.dataKeyId, 2);
  }
  await assert.rejects(engine.rotateIndex('a', 99), failsWith('INVALID_ARGUMENT'));
  await assert.rejects(engine.rotateIndex('a', 'kek'), failsWith('INVALID_ARGUMENT', /rotation must be/));
  await assert.rejects(engine.rotateIndex('a'), failsWith('INVALID_ARGUMENT', /rotation must be/));
  await index.close();
});

test('rotation with keys of the caller', async (t) => {
  const { engine } = await localEngine(t);
  const [oldKek, newKek] = [randomKey(), randomKey()];
  const index = await engine.createIndexWithKey('a', null, oldKek);
  const sealed = index.encryptSync(Buffer.from('page'));
  await index.close();
  const done = await orLater(() => engine.rotateIndexWithKey('a', ROTATE_KEK, { oldKek, newKek }));
  const again = await engine.openIndexWithKey('a', done === null ? oldKek : newKek);
  assert.equal(again.decryptSync(sealed).toString(), 'page');
  const wrong = { oldKek: 'text', newKek };
  await assert.rejects(engine.rotateIndexWithKey('a', ROTATE_KEK, wrong), failsWith('INVALID_ARGUMENT', /oldKek/));
  await assert.rejects(engine.rotateIndexWithKey('a', ROTATE_KEK, { kek: newKek }), failsWith('INVALID_ARGUMENT', /no "kek"/));
  await again.close();
});

test('retiring keys', async (t) => {
  const { engine } = await localEngine(t);
  (await engine.createIndex('a', 'local')).close();
  for (const retire of [() => engine.retireDataKey('a', 7), () => engine.retireKek('a', 7)]) {
    const error = await retire().catch((failure) => failure);
    assert.ok(['UNSUPPORTED', 'NOT_FOUND'].includes(error.code), error);
  }
  await assert.rejects(engine.retireDataKey('a', -1), failsWith('INVALID_ARGUMENT', /dataKeyId/));
  await assert.rejects(engine.retireKek('a', 'one'), failsWith('INVALID_ARGUMENT', /version/));
});

test('states: disabled, enabled, to be deleted', async (t) => {
  const { engine } = await localEngine(t);
  const index = await engine.createIndex('a', 'local');
  if ((await orLater(() => engine.disableIndex('a'))) !== null) {
    assert.throws(() => index.encryptSync(Buffer.alloc(1)), failsWith('KEY_DISABLED'));
  }
  await orLater(() => engine.enableIndex('a'));
  index.encryptSync(Buffer.alloc(1));
  await orLater(() => engine.scheduleIndexDeletion('a', 24));
  await orLater(() => engine.cancelIndexDeletion('a'));
  await orLater(() => engine.enableIndex('a'));
  index.encryptSync(Buffer.alloc(1));
  const early = await engine.scheduleIndexDeletion('a', 23).catch((error) => error);
  assert.ok(['INVALID_ARGUMENT', 'UNSUPPORTED'].includes(early.code), early);
  await assert.rejects(engine.scheduleIndexDeletion('a', 1.5), failsWith('INVALID_ARGUMENT', /waitingHours/));
});

test('describe and delete', async (t) => {
  const { engine } = await localEngine(t);
  const index = await engine.createIndex('a', 'local');
  const described = await orLater(() => engine.describeIndex('a'));
  if (described !== null) assert.equal(described.value.index, 'a');
  const deleted = await orLater(() => engine.deleteIndex('a'));
  if (deleted === null) {
    index.encryptSync(Buffer.alloc(1));
  } else {
    assert.equal(typeof deleted.value, 'object');
    await assert.rejects(engine.openIndex('a'), failsWith('NOT_FOUND'));
  }
  await index.close();
});

test('sync', async (t) => {
  const { engine } = await localEngine(t);
  for (const name of ['a', 'b']) (await engine.createIndex(name, 'local')).close();
  const heard = [];
  const done = await orLater(() => engine.sync({ dryRun: true, concurrency: 1, progress: (at) => void heard.push(at) }));
  if (done === null) {
    assert.deepEqual(heard, []);
  } else {
    assert.equal(typeof done.value, 'object');
    assert.deepEqual(heard.map(({ indexName }) => indexName).sort(), ['a', 'b']);
    assert.ok(heard.every(({ total, code }) => total === 2 && code === 'OK'));
    const own = new Error('stop');
    await assert.rejects(engine.sync({ progress: () => { throw own; } }), own);
  }
  assert.ok((await orLater(() => engine.sync())) === null || done !== null);
  await assert.rejects(engine.sync({ progress: 'all' }), failsWith('INVALID_ARGUMENT', /progress must be a function/));
  await assert.rejects(engine.sync({ concurrency: -1 }), failsWith('INVALID_ARGUMENT', /concurrency/));
});

test('scopes', async (t) => {
  const { engine } = await localEngine(t);
  (await engine.createIndex('a', 'local')).close();
  const scope = await orLater(() => engine.scope({ deadlineMs: 10_000, principal: 'the test' }));
  if (scope !== null) {
    await (await scope.value.openIndex('a')).close();
    scope.value.cancel();
    await assert.rejects(scope.value.openIndex('a'), failsWith('CANCELLED'));
    await scope.value.close();
  }
  engine.cancel(); // of no scope: nothing, or its own end; another engine is not touched
  assert.throws(() => engine.scope({ deadlineMs: -1 }), failsWith('INVALID_ARGUMENT', /deadlineMs/));
  assert.throws(() => engine.scope({ principal: 'a\0' }), failsWith('INVALID_ARGUMENT', /principal/));
  assert.throws(() => engine.scope({ deadline: 1 }), failsWith('INVALID_ARGUMENT', /no "deadline"/));
});

test('metrics', async (t) => {
  const { engine } = await localEngine(t);
  const text = await orLater(() => engine.metrics());
  if (text !== null) assert.match(text.value, /# EOF\n$/);
});

test('opening in the background, also through a provider of JavaScript', async (t) => {
  const { engine } = await localEngine(t);
  (await engine.createIndex('a', 'local')).close();
  const own = await ownEngine(t, new Flip());
  (await own.createIndex('a', 'own')).close();
  await Promise.all([engine.evict(), own.evict()]);
  for (const each of [engine, own]) {
    const opened = await orLater(() => each.openIndexInBackground('a'));
    if (opened !== null) {
      opened.value.encryptSync(Buffer.alloc(1));
      await opened.value.close();
      await assert.rejects(each.openIndexInBackground('b', {}), failsWith('NOT_FOUND'));
    }
  }
  await assert.rejects(engine.openIndexInBackground('a', { kek: 1 }), failsWith('INVALID_ARGUMENT', /kek/));
});

test('audit events', async (t) => {
  const { engine } = await localEngine(t);
  const events = [];
  const set = await orLater(() => engine.setAuditCallback((event) => events.push(event)));
  await (await engine.createIndex('a', 'local')).close();
  if (set !== null) {
    assert.ok(events.length > 0);
    assert.ok(events.every((event) => typeof event === 'object'));
    await engine.setAuditCallback(null);
    const heard = events.length;
    await (await engine.createIndex('b', 'local')).close();
    assert.equal(events.length, heard);
  } else {
    assert.equal(engine.openIndexSync('a').name, 'a'); // nothing of JavaScript is asked
  }
  await assert.rejects(engine.setAuditCallback('print'), failsWith('INVALID_ARGUMENT', /callback must be/));
});

test('a call on this thread is refused from when an audit callback is being set', async () => {
  const program = `
    import { Engine } from 'cyborg-kms';
    const engine = await Engine.openYaml('{}');
    const kek = Buffer.alloc(32, 1);
    (await engine.createIndexWithKey('a', null, kek)).close();
    await engine.evict();
    const setting = engine.setAuditCallback(() => {});
    for (let turn = 0; turn < 50; turn += 1) await null;
    const opening = engine.openIndexWithKey('a', kek);
    const end = Date.now() + 300; // the callback is set, and the opening has told it
    while (Date.now() < end);
    try {
      engine.openIndexSync('a', { kek });
    } catch (error) {
      console.log(error.code);
    }
    await setting;
    await (await opening).close();
    await engine.setAuditCallback(null);
    console.log(engine.openIndexSync('a', { kek }).name);
  `;
  const { stdout, signal } = await runs(program);
  assert.deepEqual({ stdout, signal }, { stdout: 'UNSUPPORTED\na\n', signal: null });
});

test('of audit callbacks that are set at once the last is heard', async (t) => {
  const { engine } = await localEngine(t);
  const other = engine.retain();
  t.after(() => other.close());
  for (let round = 0; round < 100; round += 1) {
    const heard = [];
    const setting = [0, 1, 2, 3].map((number) =>
      (number % 2 ? other : engine).setAuditCallback(() => heard.push(number)),
    );
    await Promise.all(setting);
    await (await engine.createIndex(`index ${round}`, 'local')).close();
    assert.deepEqual([...new Set(heard)], [3]);
  }
});

test('an audit callback hears until the last handle of its engine is closed, and is let go then', async () => {
  const program = `
    import { Engine } from 'cyborg-kms';
    let heard = 0;
    const engine = await Engine.openYaml('{}');
    const callback = await (async () => {
      const counts = () => (heard += 1);
      await engine.setAuditCallback(counts);
      return new WeakRef(counts);
    })();
    const other = engine.retain();
    await engine.close();
    const index = await other.createIndexWithKey('a', null, Buffer.alloc(32));
    console.log(heard > 0);
    await Promise.all([other.close(), index.close()]);
    for (let tries = 0; tries < 100 && callback.deref() !== undefined; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 10)); // what was looked at is kept until then
      gc();
    }
    console.log(callback.deref());
  `;
  const { stdout, stderr } = await runs(program, { flags: ['--expose-gc'] });
  assert.equal(stdout, 'true\nundefined\n', stderr);
});

test('an audit log is verified against its head, and a changed line is reported', async (t) => {
  const root = folder(t);
  const file = `${root}/audit.log`;
  const slots = `kms: {registry: {local: {provider: local, key_id: ${root}/wrap.key, create: true}}}`;
  const audited = await orLater(() => Engine.openYaml(`audit: {path: ${file}}\n${slots}`));
  if (audited === null) return;
  await (await audited.value.createIndex('a', 'local')).close();
  await audited.value.close();
  const head = await auditHead(file);
  assert.equal((await auditVerify(file, { head })).fault, null);
  const text = fs.readFileSync(file, 'utf8');
  fs.writeFileSync(file, text.replace('"a"', '"b"'));
  const error = await auditVerify(file, { head }).catch((failure) => failure);
  failsWith('CORRUPT')(error);
  assert.equal(typeof error.report.fault.kind, 'string');
});

test('what is no audit file is refused', async (t) => {
  const file = `${folder(t)}/audit.log`;
  fs.writeFileSync(file, 'no line of ours\n');
  for (const call of [() => auditHead(file), () => auditVerify(file), () => auditVerify(file, { key: randomKey(), head: '{}' })]) {
    const error = await call().then(() => assert.fail('it was taken'), (failure) => failure);
    assert.ok(['UNSUPPORTED', 'NOT_FOUND', 'STORAGE', 'CORRUPT', 'INVALID_ARGUMENT'].includes(error.code), error);
  }
  await assert.rejects(auditHead(7), failsWith('INVALID_ARGUMENT', /path/));
  await assert.rejects(auditVerify(file, { key: 'text' }), failsWith('INVALID_ARGUMENT', /key/));
  await assert.rejects(auditVerify(file, { keys: 1 }), failsWith('INVALID_ARGUMENT', /no "keys"/));
});
