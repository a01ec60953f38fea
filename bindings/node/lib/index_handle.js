'use strict';

const { native, structs } = require('./native.js');
const koffi = require('koffi');
const { constants, Status } = require('./constants.js');
const { Place, scratch, raise, callOffThread, takeBuffer } = require('./call.js');
const { Handle, CELL, OURS, pointerOf, closed, use } = require('./handle.js');
const { text, bytes, optionalBytes, optionalKey, lengthOf, u32, u64, integer, options } = require('./args.js');
const { invalid, unsupported } = require('./errors.js');

const { KEY_LEN, OVERHEAD } = constants;
const MOST_DERIVED = 8160;

// An open index. What can wait for store and KMS has a promise; pages and keys have a synchronous call too, which a
// cached key answers in a microsecond.
class Index extends Handle {
  get name() {
    return native.index_name(pointerOf(this));
  }

  get kmsName() {
    return native.index_kms_name(pointerOf(this));
  }

  get provider() {
    return native.index_provider(pointerOf(this));
  }

  get keyId() {
    return native.index_key_id(pointerOf(this));
  }

  get version() {
    return native.index_version(pointerOf(this));
  }

  get epoch() {
    return BigInt(native.index_epoch(pointerOf(this)));
  }

  get dataKeyId() {
    return native.index_data_key_id(pointerOf(this));
  }

  // Asks store and KMS now.
  async refresh() {
    await use(native.index_refresh, [this]);
  }

  // One more handle to the same index, closed on its own.
  retain() {
    const cell = this[CELL];
    const retained = new Index(OURS, 'index', native.index_retain(pointerOf(this)), cell.backing);
    if (cell.quick !== 0n) retained[CELL].quick = native.index_retain(cell.quick);
    retained[CELL].waits = cell.waits;
    return retained;
  }

  // Seals a page: 48 bytes more than `plaintext`. `out`, where given, gets it; may be `plaintext`'s own memory.
  encryptSync(plaintext, aad = null, out = null) {
    const room = out ?? Buffer.allocUnsafe(bytes(plaintext, 'plaintext').byteLength + OVERHEAD);
    return pageHere(this, 'encrypt', plaintext, aad, room);
  }

  async encrypt(plaintext, aad = null, out = null) {
    const room = out ?? Buffer.allocUnsafe(bytes(plaintext, 'plaintext').byteLength + OVERHEAD);
    return page(this, native.index_encrypt, plaintext, aad, room);
  }

  // Opens a sealed page.
  decryptSync(sealed, aad = null, out = null) {
    return pageHere(this, 'decrypt', sealed, aad, out ?? roomForPlaintext(sealed));
  }

  async decrypt(sealed, aad = null, out = null) {
    return page(this, native.index_decrypt, sealed, aad, out ?? roomForPlaintext(sealed));
  }

  // Seals a page whose 48 bytes of overhead are kept apart; `out` is as long as the page.
  encryptDetachedSync(plaintext, aad = null, out = null, overhead = Buffer.allocUnsafe(OVERHEAD)) {
    const room = ofLength(out ?? likeIt(plaintext, 'plaintext'), plaintext, 'out');
    callPage(this, 'encryptDetached', native.index_encrypt_detached, aad, plaintext, room, anOverhead(overhead));
    return { ciphertext: room, overhead };
  }

  async encryptDetached(plaintext, aad = null, out = null, overhead = Buffer.allocUnsafe(OVERHEAD)) {
    const room = ofLength(out ?? likeIt(plaintext, 'plaintext'), plaintext, 'out');
    const parameters = [this, ...counted(aad, 'aad'), plaintext, plaintext.byteLength, room, anOverhead(overhead)];
    await use(native.index_encrypt_detached, parameters);
    return { ciphertext: room, overhead };
  }

  decryptDetachedSync(ciphertext, overhead, aad = null, out = null) {
    const room = ofLength(out ?? likeIt(ciphertext, 'ciphertext'), ciphertext, 'out');
    callPage(this, 'decryptDetached', native.index_decrypt_detached, aad, ciphertext, anOverhead(overhead), room);
    return room;
  }

  async decryptDetached(ciphertext, overhead, aad = null, out = null) {
    const room = ofLength(out ?? likeIt(ciphertext, 'ciphertext'), ciphertext, 'out');
    const parameters = [this, ...counted(aad, 'aad'), ciphertext, ciphertext.byteLength, anOverhead(overhead), room];
    await use(native.index_decrypt_detached, parameters);
    return room;
  }

  // A fresh key for who encrypts by himself, and its wrapped form. The key is the caller's to wipe.
  generateDataKeySync() {
    const key = Buffer.allocUnsafeSlow(KEY_LEN);
    callIndex(this, 'generateDataKey', native.index_generate_data_key, key, KEY_LEN, scratch.out);
    return { key, wrapped: takeBuffer(scratch.handle()) };
  }

  async generateDataKey() {
    const [key, place] = [Buffer.allocUnsafeSlow(KEY_LEN), new Place()];
    await use(native.index_generate_data_key, [this, key, KEY_LEN, place.out], place);
    return { key, wrapped: takeBuffer(place.handle()) };
  }

  unwrapDataKeySync(wrapped) {
    const key = Buffer.allocUnsafeSlow(KEY_LEN);
    callIndex(this, 'unwrapDataKey', native.index_unwrap_data_key, ...counted(bytes(wrapped, 'wrapped')), key, KEY_LEN);
    return key;
  }

  async unwrapDataKey(wrapped) {
    const key = Buffer.allocUnsafeSlow(KEY_LEN);
    await use(native.index_unwrap_data_key, [this, ...counted(bytes(wrapped, 'wrapped')), key, KEY_LEN]);
    return key;
  }

  // The same label and context give the same bytes for as long as the index lives.
  deriveKeySync(label, context = null, length = KEY_LEN) {
    const key = Buffer.allocUnsafeSlow(integer(length, MOST_DERIVED, 'length'));
    const parameters = [text(label, 'label'), ...counted(context, 'context'), key, length];
    callIndex(this, 'deriveKey', native.index_derive_key, ...parameters);
    return key;
  }

  async deriveKey(label, context = null, length = KEY_LEN) {
    const key = Buffer.allocUnsafeSlow(integer(length, MOST_DERIVED, 'length'));
    await use(native.index_derive_key, [this, text(label, 'label'), ...counted(context, 'context'), key, length]);
    return key;
  }

  // The KEK in plaintext, of an envelope version; 0 is the current one.
  exportKekSync(version = 0) {
    const key = Buffer.allocUnsafeSlow(KEY_LEN);
    callIndex(this, 'exportKek', native.index_export_kek, u32(version, 'version'), key, KEY_LEN);
    return key;
  }

  async exportKek(version = 0) {
    const key = Buffer.allocUnsafeSlow(KEY_LEN);
    await use(native.index_export_kek, [this, u32(version, 'version'), key, KEY_LEN]);
    return key;
  }
}

// Bytes and their length, as the library takes them.
function counted(value, what) {
  const data = optionalBytes(value, what);
  return [data, lengthOf(data)];
}

// Memory of its own: Buffer.allocUnsafe's pool would have plaintext beside whatever else the process keeps.
const likeIt = (input, what) => Buffer.allocUnsafeSlow(bytes(input, what).byteLength);
const roomForPlaintext = (sealed) => Buffer.allocUnsafeSlow(Math.max(bytes(sealed, 'sealed').byteLength - OVERHEAD, 0));

function ofLength(out, input, what) {
  if (bytes(out, what).byteLength === input.byteLength) return out;
  throw invalid(`${what} must have as many bytes as the page, ${input.byteLength}; it has ${out.byteLength}`);
}

function anOverhead(overhead) {
  if (bytes(overhead, 'overhead').byteLength === OVERHEAD) return overhead;
  throw invalid(`overhead must have ${OVERHEAD} bytes, it has ${overhead.byteLength}`);
}

// The pointer for a call on this thread, which must not wait for JavaScript.
function pointerHere(index, method) {
  const cell = index[CELL];
  if (cell.closed) throw closed(cell);
  if (!cell.mayWaitForUs()) return cell.pointer;
  if (cell.quick !== 0n) return cell.quick;
  throw unsupported(
    `${method}Sync could wait for JavaScript, which runs on this thread: use await ${method}(), or open the index anew ` +
      'after providers, store, audit and log callbacks are set',
  );
}

// Throws what a call on this thread failed with; one that must not wait says what would.
function raiseHere(index, method, status) {
  try {
    raise(status, scratch);
  } catch (error) {
    const cell = index[CELL];
    if (status === Status.KMS_UNAVAILABLE && cell.quick !== 0n && cell.waits) {
      error.message += `; await ${method}() waits for it`;
    }
    throw error;
  }
}

function callIndex(index, method, function_, ...parameters) {
  const status = function_(pointerHere(index, method), ...parameters, scratch.error);
  if (status !== Status.OK) raiseHere(index, method, status);
}

const callPage = (index, method, function_, aad, input, ...rest) =>
  callIndex(index, method, function_, ...counted(aad, 'aad'), input, input.byteLength, ...rest);

const CALLS = { encrypt: native.index_encrypt, decrypt: native.index_decrypt };

// The way of most calls: nothing but the call.
function pageHere(index, method, input, aad, out) {
  bytes(input, 'the page');
  bytes(out, 'out');
  if (aad !== null) bytes(aad, 'aad');
  const status = CALLS[method](
    pointerHere(index, method),
    aad,
    aad === null ? 0 : aad.byteLength,
    input,
    input.byteLength,
    out,
    out.byteLength,
    scratch.length,
    scratch.error,
  );
  if (status !== Status.OK) raiseHere(index, method, status);
  return upTo(out, scratch.lengthFound());
}

async function page(index, function_, input, aad, out) {
  const place = new Place();
  const parameters = [bytes(input, 'the page'), input.byteLength, bytes(out, 'out'), out.byteLength, place.length];
  await use(function_, [index, ...counted(aad, 'aad'), ...parameters], place);
  return upTo(out, place.lengthFound());
}

const upTo = (out, length) => (out.byteLength === length ? out : out.subarray(0, length));

// How an index is opened, as the library takes it; the struct points into `kek`.
function openOptions(given) {
  const known = ['kek', 'capabilities', 'noWait', 'minEpoch'];
  const { kek = null, capabilities = 0, noWait = false, minEpoch = 0n } = options(given, known, 'the options');
  return {
    struct_size: koffi.sizeof(structs.open_options),
    kek: optionalKey(kek, 'kek'),
    kek_len: lengthOf(kek),
    capabilities: u32(capabilities, 'capabilities'),
    flags: noWait ? constants.OPEN_NO_WAIT : 0,
    min_epoch: u64(minEpoch, 'minEpoch'),
  };
}

// Opens the same index once more, so that it does not wait, where JavaScript may be asked. `engine`: its
// cell, held open; `opened`: as openOptions gives it.
async function withQuick(engine, index, opened) {
  const cell = index[CELL];
  if (opened.flags === constants.OPEN_NO_WAIT) {
    cell.quick = native.index_retain(cell.pointer);
    cell.waits = false;
    return index;
  }
  if (!cell.mayWaitForUs()) return index;
  const place = new Place();
  const kek = native.index_provider(cell.pointer) === 'none' ? opened.kek : null;
  const wanted = { ...opened, kek, kek_len: lengthOf(kek), flags: constants.OPEN_NO_WAIT };
  const parameters = [engine.pointer, native.index_name(cell.pointer), wanted, place.out];
  try {
    await callOffThread(native.index_open_with_options, parameters, place, true);
    cell.quick = place.handle();
  } catch {
    // The index is open, and may be a new one: it has promises only, until it is opened anew.
  }
  return index;
}

// The data key that sealed a page, of which 8 bytes suffice.
function pageDataKeyId(sealed) {
  const status = native.page_data_key_id(...counted(bytes(sealed, 'sealed')), scratch.out, scratch.error);
  if (status !== Status.OK) raise(status, scratch);
  return scratch.number();
}

module.exports = { Index, openOptions, withQuick, pageDataKeyId };
