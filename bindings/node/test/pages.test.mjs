import assert from 'node:assert/strict';
import test from 'node:test';
import { constants, pageDataKeyId, randomKey, wipe } from 'cyborg-kms';
import { failsWith, localEngine } from './support.mjs';

const { OVERHEAD } = constants;
const AAD = Buffer.from('page 7');

async function anIndex(t) {
  const { engine } = await localEngine(t);
  const index = await engine.createIndex('orders', 'local');
  t.after(() => index.close());
  return index;
}

test('a page seals and opens, of every length, on this thread and off it', async (t) => {
  const index = await anIndex(t);
  for (const length of [0, 1, 4095, 4096, 100_000]) {
    const page = Buffer.alloc(length, 'plaintext ');
    const sealed = index.encryptSync(page, AAD);
    assert.equal(sealed.byteLength, length + OVERHEAD);
    assert.deepEqual(index.decryptSync(sealed, AAD), page);
    assert.deepEqual(await index.decrypt(await index.encrypt(page, AAD), AAD), page);
    assert.ok(length < 10 || !sealed.includes('plaintext'));
  }
});

test('bytes are used in place, whatever they are a view of', async (t) => {
  const index = await anIndex(t);
  const memory = new ArrayBuffer(1000);
  const page = new Uint8Array(memory, 100, 300).fill(7);
  const room = new Uint8Array(memory, 500, 400);
  const sealed = index.encryptSync(page, null, room);
  assert.equal(sealed.buffer, memory);
  assert.equal(sealed.byteOffset, 500);
  assert.equal(sealed.byteLength, 300 + OVERHEAD);
  assert.notDeepEqual(new Uint8Array(memory, 500, 10), new Uint8Array(10));
  // In place: the plaintext lies 32 bytes behind where the sealed page begins.
  const frame = new Uint8Array(300 + OVERHEAD);
  frame.fill(9, 32, 332);
  assert.equal(index.encryptSync(frame.subarray(32, 332), null, frame), frame);
  const opened = await index.decrypt(frame, null, frame);
  assert.deepEqual(opened, new Uint8Array(300).fill(9));
  assert.equal(opened.buffer, frame.buffer);
  assert.throws(() => index.encryptSync(page, null, new Uint8Array(memory, 110, 400)), failsWith('INVALID_ARGUMENT'));
});

test('another AAD, altered bytes and another index do not open, and leave no plaintext', async (t) => {
  const { engine } = await localEngine(t);
  const [index, other] = [await engine.createIndex('a', 'local'), await engine.createIndex('b', 'local')];
  const sealed = index.encryptSync(Buffer.alloc(64, 'secret'), AAD);
  assert.throws(() => index.decryptSync(sealed, Buffer.from('page 8')), failsWith('AUTHENTICATION_FAILED'));
  await assert.rejects(index.decrypt(sealed), failsWith('AUTHENTICATION_FAILED'));
  assert.throws(() => other.decryptSync(sealed, AAD), failsWith('AUTHENTICATION_FAILED'));
  const altered = Buffer.from(sealed);
  altered[60] ^= 1;
  assert.throws(() => index.decryptSync(altered, AAD, altered), failsWith('AUTHENTICATION_FAILED'));
  assert.ok(!altered.includes('secret'));
  assert.throws(() => index.decryptSync(Buffer.alloc(47)), failsWith('CORRUPT'));
  await Promise.all([index.close(), other.close()]);
});

test('a buffer that is too small is refused, and nothing is written', async (t) => {
  const index = await anIndex(t);
  const room = Buffer.alloc(20);
  assert.throws(() => index.encryptSync(Buffer.alloc(10), null, room), failsWith('BUFFER_TOO_SMALL', /58/));
  await assert.rejects(index.encrypt(Buffer.alloc(10), null, room), failsWith('BUFFER_TOO_SMALL', /58/));
  assert.deepEqual(room, Buffer.alloc(20));
});

test('the overhead apart', async (t) => {
  const index = await anIndex(t);
  const page = Buffer.alloc(4096, 'tail');
  const { ciphertext, overhead } = index.encryptDetachedSync(page, AAD);
  assert.equal(ciphertext.byteLength, 4096);
  assert.equal(overhead.byteLength, OVERHEAD);
  assert.deepEqual(index.decryptDetachedSync(ciphertext, overhead, AAD), page);
  assert.equal(pageDataKeyId(overhead.subarray(0, 8)), 1);
  const later = await index.encryptDetached(page, AAD, page, Buffer.alloc(OVERHEAD));
  assert.equal(later.ciphertext, page);
  assert.ok(!page.includes('tail'));
  assert.deepEqual(await index.decryptDetached(page, later.overhead, AAD, page), Buffer.alloc(4096, 'tail'));
  assert.throws(() => index.decryptDetachedSync(ciphertext, overhead), failsWith('AUTHENTICATION_FAILED'));
  assert.throws(() => index.decryptDetachedSync(ciphertext, page, AAD), failsWith('INVALID_ARGUMENT', /overhead must/));
  await assert.rejects(index.decryptDetached(ciphertext, page), failsWith('INVALID_ARGUMENT', /overhead must/));
  const short = Buffer.alloc(7);
  assert.throws(() => index.encryptDetachedSync(page, null, short), failsWith('INVALID_ARGUMENT', /4096; it has 7/));
  await assert.rejects(index.encryptDetached(page, null, short), failsWith('INVALID_ARGUMENT', /4096; it has 7/));
});

test('data keys, derived keys, the KEK: the same on this thread and off it', async (t) => {
  const index = await anIndex(t);
  for (const { key, wrapped } of [index.generateDataKeySync(), await index.generateDataKey()]) {
    assert.equal(wrapped.byteLength, 80);
    assert.deepEqual(index.unwrapDataKeySync(wrapped), key);
    assert.deepEqual(await index.unwrapDataKey(wrapped), key);
    wrapped[70] ^= 1;
    assert.throws(() => index.unwrapDataKeySync(wrapped), failsWith('AUTHENTICATION_FAILED'));
    await assert.rejects(index.unwrapDataKey(Buffer.alloc(79)), failsWith('CORRUPT'));
  }
  const context = Buffer.from('column 3');
  assert.deepEqual(index.deriveKeySync('tokens', context), await index.deriveKey('tokens', context));
  assert.notDeepEqual(index.deriveKeySync('tokens', context), index.deriveKeySync('tokens'));
  assert.equal((await index.deriveKey('', null, 8160)).byteLength, 8160);
  for (const length of [8161, -1, 1.5, '32']) {
    assert.throws(() => index.deriveKeySync('a', null, length), failsWith('INVALID_ARGUMENT', /length must be/));
  }
  assert.throws(() => index.deriveKeySync('a', null, 0), failsWith('INVALID_ARGUMENT'));
  assert.deepEqual(index.exportKekSync(), await index.exportKek(0));
  assert.throws(() => index.exportKekSync(9), failsWith('NOT_FOUND'));
});

test('what is no page is refused before the library sees it', async (t) => {
  const index = await anIndex(t);
  for (const wrong of [undefined, null, 'text', 5, [1, 2], new ArrayBuffer(8), new DataView(new ArrayBuffer(8))]) {
    assert.throws(() => index.encryptSync(wrong), failsWith('INVALID_ARGUMENT', /Buffer or Uint8Array/));
    assert.throws(() => index.decryptSync(wrong), failsWith('INVALID_ARGUMENT', /Buffer or Uint8Array/));
    assert.throws(() => index.unwrapDataKeySync(wrong), failsWith('INVALID_ARGUMENT', /Buffer or Uint8Array/));
    await assert.rejects(index.encrypt(wrong), failsWith('INVALID_ARGUMENT', /Buffer or Uint8Array/));
    await assert.rejects(index.decrypt(wrong), failsWith('INVALID_ARGUMENT', /Buffer or Uint8Array/));
    assert.throws(() => pageDataKeyId(wrong), failsWith('INVALID_ARGUMENT', /Buffer or Uint8Array/));
  }
  assert.throws(() => index.encryptSync(Buffer.alloc(1), 'aad'), failsWith('INVALID_ARGUMENT', /aad must be a Buffer/));
  assert.throws(() => index.encryptSync(Buffer.alloc(1), null, 'out'), failsWith('INVALID_ARGUMENT', /out must be a Buffer/));
  assert.throws(() => pageDataKeyId(Buffer.alloc(7)), failsWith('CORRUPT'));
});

test('many pages at once, off the thread', async (t) => {
  const index = await anIndex(t);
  const pages = Array.from({ length: 1000 }, (_, number) => Buffer.from(`page ${number}`));
  const sealed = await Promise.all(pages.map((page) => index.encrypt(page)));
  const opened = await Promise.all(sealed.map((page) => index.decrypt(page)));
  assert.deepEqual(opened, pages);
});

test('random keys differ, wiped ones are zeros', () => {
  const [key, other] = [randomKey(), randomKey()];
  assert.equal(key.byteLength, constants.KEY_LEN);
  assert.notDeepEqual(key, other);
  assert.equal(randomKey(1000).byteLength, 1000);
  assert.throws(() => randomKey(0), failsWith('INVALID_ARGUMENT'));
  assert.throws(() => randomKey(2 ** 21), failsWith('INVALID_ARGUMENT', /length must be/));
  wipe(key.subarray(4));
  assert.deepEqual(key.subarray(4), Buffer.alloc(28));
  assert.throws(() => wipe('text'), failsWith('INVALID_ARGUMENT'));
});
