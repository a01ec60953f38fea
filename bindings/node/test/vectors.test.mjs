// What was once stored is read for ever, in every language: the golden files of tests/vectors, what Rust writes, and Rust
// as the reader of what is written here. CYBORG_KMS_EXCHANGE: tests/vectors/exchange.rs, built. With
// CYBORG_KMS_WRITE=FOLDER what is written is left there, for tests/vectors/read.py.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Engine, KmsBlob, Store, auditHead, auditVerify, constants, pageDataKeyId } from 'cyborg-kms';
import { Flip, TREE, failsWith, folder } from './support.mjs';

const hex = (text) => Buffer.from(text, 'hex');

const VECTORS = path.join(TREE, 'tests/vectors');
const parsed = (...file) => JSON.parse(fs.readFileSync(path.join(...file), 'utf8'));

// An engine over a folder with records, engine.yaml and wrap.key, to which the process goes: the records name the key file
// by /proc/self/cwd.
async function engineOf(t, root) {
  fs.chmodSync(path.join(root, 'wrap.key'), 0o600);
  const before = process.cwd();
  process.chdir(root);
  const engine = await Engine.openYaml(`storage: {url: ${root}}\n${fs.readFileSync('engine.yaml', 'utf8')}`);
  t.after(async () => {
    await engine.close();
    process.chdir(before);
  });
  engine.registerProvider('flip', new Flip());
  return engine;
}

// A copy of v1 in a folder of its own.
async function golden(t) {
  const root = folder(t);
  fs.cpSync(path.join(VECTORS, 'v1'), root, { recursive: true });
  return { root, engine: await engineOf(t, root) };
}

const open = (engine, one) =>
  one.kms_name === '' ? engine.openIndexWithKey(one.index_name, hex(one.kek_hex)) : engine.openIndex(one.index_name);

// Opens everything that a vector holds; how many pages that were.
async function read(engine, one) {
  const index = await open(engine, one);
  assert.deepEqual(index.exportKekSync(), hex(one.kek_hex), one.index_name);
  if (one.former_kek_hex) assert.deepEqual(index.exportKekSync(1), hex(one.former_kek_hex));
  for (const page of one.pages ?? []) {
    const [sealed, aad] = [hex(page.sealed_hex), hex(page.aad_hex)];
    assert.deepEqual(index.decryptSync(sealed, aad), hex(page.plaintext_hex));
    assert.throws(() => index.decryptSync(sealed, hex('00')), failsWith('AUTHENTICATION_FAILED'));
    assert.ok(pageDataKeyId(sealed) >= 1);
  }
  if (one.detached) checkKeys(index, one);
  await index.close();
  return one.pages?.length ?? 0;
}

async function readAll(engine, all) {
  let pages = 0;
  for (const one of all) pages += await read(engine, one);
  return pages;
}

test('the golden files: records, pages, wrapped and derived keys', async (t) => {
  const { root, engine } = await golden(t);
  const all = parsed(root, 'expected.json');
  assert.equal(all.length, 6);
  assert.equal(await readAll(engine, all), 16);
});

test('a record with retired keys gives what is left', async (t) => {
  const { root, engine } = await golden(t);
  const retired = parsed(root, 'retired.json');
  assert.equal(await read(engine, retired), 2);
  const index = await engine.openIndex(retired.index_name);
  assert.equal(retired.keks_hex.length, 5);
  for (const [at, kek] of retired.keks_hex.entries()) {
    if (kek === null) assert.throws(() => index.exportKekSync(at + 1), failsWith('NOT_FOUND'));
    else assert.deepEqual(index.exportKekSync(at + 1), hex(kek));
  }
  const page = retired.retired_page;
  assert.throws(() => index.decryptSync(hex(page.sealed_hex), hex(page.aad_hex)), failsWith('CORRUPT'));
  const derived = hex(retired.derived_hex);
  assert.deepEqual(index.deriveKeySync('label', Buffer.from('context'), derived.length), derived);
  await index.close();
});

test('the golden audit log is verified', async () => {
  const log = path.join(VECTORS, 'v1-audit/audit.log');
  const expected = parsed(VECTORS, 'v1-audit/expected.json');
  const head = JSON.stringify(expected.head);
  const report = await auditVerify(log, { key: hex(expected.key_hex), head });
  assert.deepEqual([report.fault, report.macs_checked, report.head_checked], [null, true, true]);
  assert.deepEqual(JSON.parse(await auditHead(log)), expected.head);
  await assert.rejects(auditVerify(log, { key: Buffer.alloc(constants.KEY_LEN, 1), head }), failsWith('CORRUPT'));
});

function checkKeys(index, { detached, data_key: dataKey, derived }) {
  const { aad_hex: aad, overhead_hex: overhead, ciphertext_hex: ciphertext } = detached;
  assert.deepEqual(index.decryptDetachedSync(hex(ciphertext), hex(overhead), hex(aad)), hex(detached.plaintext_hex));
  assert.deepEqual(index.unwrapDataKeySync(hex(dataKey.wrapped_hex)), hex(dataKey.key_hex));
  assert.equal(derived.length, 3);
  for (const { label, context_hex: context, key_hex: key } of derived) {
    assert.deepEqual(index.deriveKeySync(label, hex(context), key.length / 2), hex(key));
  }
}

test("CyborgDB's records, by their bytes and by a store", async (t) => {
  const root = folder(t);
  fs.cpSync(path.join(TREE, 'tests/vectors/cyborgdb-0.18'), root, { recursive: true });
  const cases = JSON.parse(fs.readFileSync(`${root}/expected.json`, 'utf8'));
  const store = await Store.open(root);
  t.after(() => store.close());
  assert.ok(cases.length >= 11);
  for (const one of cases) {
    const expected = [one.kms_name, one.provider, one.key_id, one.region, one.wrapped_kek_hex, one.version];
    const decoded = KmsBlob.decode(fs.readFileSync(path.join(root, one.file)));
    for (const blob of [decoded, await store.get(one.index_name)]) {
      const { kmsName, provider, keyId, region, wrappedKek, version } = blob;
      assert.deepEqual([kmsName, provider, keyId, region, wrappedKek.toString('hex'), version], expected, one.index_name);
      assert.equal(Number(blob.createdAt), one.created_at);
    }
  }
});

// Runs tests/vectors/exchange.rs, the other process, on a folder.
const rust = (verb, root) =>
  execFileSync(process.env.CYBORG_KMS_EXCHANGE ?? path.join(TREE, 'target/debug/examples/exchange'), [verb, root], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });

test('what Rust writes is read', async (t) => {
  const root = fs.realpathSync(folder(t));
  rust('write', root);
  const all = parsed(root, 'expected.json');
  assert.ok(all.length >= 4);
  assert.ok((await readAll(await engineOf(t, root), all)) >= 9);
});

// Makes the index that a vector describes, and says what it gives.
async function written(engine, one) {
  const index = await engine.createIndexWithKey(one.index_name, one.kms_name, hex(one.kek_hex));
  if (index.dataKeyId === 0) return one; // CyborgDB's kind: a KEK alone
  const pages = one.pages.map((page) => ({
    ...page,
    sealed_hex: index.encryptSync(hex(page.plaintext_hex), hex(page.aad_hex)).toString('hex'),
  }));
  const { ciphertext, overhead } = index.encryptDetachedSync(hex(one.detached.plaintext_hex), hex(one.detached.aad_hex));
  const { key, wrapped } = index.generateDataKeySync();
  const derived = one.derived.map(({ label, context_hex, len }) => ({
    label,
    context_hex,
    key_hex: index.deriveKeySync(label, hex(context_hex), len).toString('hex'),
  }));
  await index.close();
  return {
    ...one,
    pages,
    detached: { ...one.detached, ciphertext_hex: ciphertext.toString('hex'), overhead_hex: overhead.toString('hex') },
    data_key: { key_hex: key.toString('hex'), wrapped_hex: wrapped.toString('hex') },
    derived,
  };
}

test('Rust reads what is written', async (t) => {
  const root = fs.realpathSync(process.env.CYBORG_KMS_WRITE ?? folder(t));
  for (const name of ['wrap.key', 'engine.yaml']) fs.copyFileSync(path.join(VECTORS, 'v1', name), path.join(root, name));
  const engine = await engineOf(t, root);
  const all = [];
  for (const one of parsed(VECTORS, 'languages.json')) all.push(await written(engine, one));
  const expect = (what) => fs.writeFileSync(path.join(root, 'expected.json'), JSON.stringify(what));
  expect(all);
  t.diagnostic(String(rust('read', root)));
  const altered = structuredClone(all);
  const sealed = hex(altered[0].pages[2].sealed_hex);
  sealed[60] ^= 1;
  altered[0].pages[2].sealed_hex = sealed.toString('hex');
  expect(altered);
  assert.throws(() => rust('read', root), 'Rust reads an altered page: it checks nothing');
  expect(all);
});
