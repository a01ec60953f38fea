// What was once stored is read for ever, in every language: tests/vectors/v1, which Rust wrote, and CyborgDB's records.
// With CYBORG_KMS_WRITE=FOLDER it also leaves there what this package writes, for tests/vectors/read.py.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Engine, KmsBlob, Store, constants, pageDataKeyId } from 'cyborg-kms';
import { Flip, TREE, failsWith, folder } from './support.mjs';

const hex = (text) => Buffer.from(text, 'hex');

// A copy in a folder of its own, which the process goes to: the records name the key file by /proc/self/cwd.
async function golden(t) {
  const root = folder(t);
  const from = path.join(TREE, 'tests/vectors/v1');
  fs.cpSync(from, root, { recursive: true });
  fs.chmodSync(path.join(root, 'wrap.key'), 0o600);
  const before = process.cwd();
  process.chdir(root);
  const engine = await Engine.openYaml(`storage: {url: ${root}}\n${fs.readFileSync('engine.yaml', 'utf8')}`);
  t.after(async () => {
    await engine.close();
    process.chdir(before);
  });
  engine.registerProvider('flip', new Flip());
  return { engine, cases: JSON.parse(fs.readFileSync('expected.json', 'utf8')) };
}

const open = (engine, one) =>
  one.kms_name === '' ? engine.openIndexWithKey(one.index_name, hex(one.kek_hex)) : engine.openIndex(one.index_name);

test('what Rust wrote: records, pages, wrapped and derived keys', async (t) => {
  const { engine, cases } = await golden(t);
  let pages = 0;
  for (const one of cases) {
    const index = await open(engine, one);
    assert.deepEqual(index.exportKekSync(), hex(one.kek_hex), one.index_name);
    if (one.former_kek_hex) assert.deepEqual(index.exportKekSync(1), hex(one.former_kek_hex));
    for (const page of one.pages ?? []) {
      const [sealed, aad] = [hex(page.sealed_hex), hex(page.aad_hex)];
      assert.deepEqual(index.decryptSync(sealed, aad), hex(page.plaintext_hex));
      assert.throws(() => index.decryptSync(sealed, hex('00')), failsWith('AUTHENTICATION_FAILED'));
      assert.ok([1, 2].includes(pageDataKeyId(sealed)));
      pages += 1;
    }
    if (one.detached) checkKeys(index, one);
    await index.close();
  }
  assert.equal(cases.length, 6);
  assert.equal(pages, 16);
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

const LONG = Buffer.from(Array.from({ length: 5000 }, (_, at) => (at * 7) & 0xff));

// The same parts as in v1/expected.json, so that one reader does for both.
function written(index, one) {
  if (index.dataKeyId === 0) return one;
  const page = (aad, plaintext) => ({
    aad_hex: aad.toString('hex'),
    plaintext_hex: plaintext.toString('hex'),
    sealed_hex: index.encryptSync(plaintext, aad).toString('hex'),
  });
  const [aad, text] = [Buffer.from('aad'), Buffer.from('detached')];
  const { ciphertext, overhead } = index.encryptDetachedSync(text, aad);
  const { key, wrapped } = index.generateDataKeySync();
  const derived = (label, context, length) => ({
    label,
    context_hex: context.toString('hex'),
    key_hex: index.deriveKeySync(label, context, length).toString('hex'),
  });
  return {
    ...one,
    pages: [page(Buffer.alloc(0), Buffer.from('page')), page(aad, Buffer.alloc(0)), page(aad, LONG)],
    detached: {
      aad_hex: aad.toString('hex'),
      plaintext_hex: text.toString('hex'),
      overhead_hex: overhead.toString('hex'),
      ciphertext_hex: ciphertext.toString('hex'),
    },
    data_key: { key_hex: key.toString('hex'), wrapped_hex: wrapped.toString('hex') },
    derived: [derived('tokens', Buffer.from('column 3'), 32), derived('', Buffer.alloc(0), 1), derived('ü', hex('00ff'), 100)],
  };
}

test('what this package writes is read again, here and by tests/vectors/read.py', async (t) => {
  const root = process.env.CYBORG_KMS_WRITE ?? folder(t);
  const key = path.join(root, 'wrap.key');
  const slots =
    `kms:\n  registry:\n    local: {provider: local, key_id: ${key}, create: true}\n` +
    `    compatible: {provider: local, key_id: ${key}, create: true, cyborgdb_compatible: true}\n`;
  fs.writeFileSync(path.join(root, 'engine.yaml'), slots);
  const engine = await Engine.openYaml(`storage: {url: ${root}}\n${slots}`);
  const cases = [];
  for (const [number, [name, slot]] of [['ours', 'local'], ['compatible/ü', 'compatible'], ['none', '']].entries()) {
    const kek = Buffer.from(Array.from({ length: constants.KEY_LEN }, (_, at) => number * 40 + at));
    const index = await engine.createIndexWithKey(name, slot, kek);
    cases.push(written(index, { index_name: name, kms_name: slot, kek_hex: kek.toString('hex') }));
    await index.close();
  }
  await engine.evict();
  for (const one of cases) {
    const index = await open(engine, one);
    assert.deepEqual(index.exportKekSync(), hex(one.kek_hex));
    if (one.detached) checkKeys(index, one);
    await index.close();
  }
  await engine.close();
  fs.writeFileSync(path.join(root, 'expected.json'), `${JSON.stringify(cases, null, 2)}\n`);
});
