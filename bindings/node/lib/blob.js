'use strict';

const { native } = require('./native.js');
const { scratch, callHere, takeBuffer, copyOut } = require('./call.js');
const { Backing } = require('./backing.js');
const { Handle, CELL, OURS, pointerOf } = require('./handle.js');
const { text, bytes, u32, i64, options, lengthOf } = require('./args.js');
const { invalid } = require('./errors.js');

const FIELDS = ['kmsName', 'provider', 'keyId', 'region', 'wrappedKek', 'version', 'createdAt'];
const NOBODY = new Backing();

// An envelope record's fields: CyborgDB's KMSBlob.
class KmsBlob extends Handle {
  constructor(fields = {}, ours = undefined, pointer = undefined) {
    if (ours !== undefined && ours !== OURS) throw invalid('new KmsBlob() takes the fields only');
    options(fields, FIELDS, 'the fields');
    super(OURS, 'blob', pointer ?? native.blob_new(), NOBODY);
    for (const [field, value] of Object.entries(fields)) this[field] = value;
  }

  // Reads a stored record.
  static decode(data) {
    callHere(native.blob_decode, bytes(data, 'data'), data.byteLength, scratch.out);
    return taken(scratch.handle());
  }

  // The blob as a stored record.
  encode() {
    callHere(native.blob_encode, pointerOf(this), scratch.out);
    return takeBuffer(scratch.handle());
  }

  get kmsName() {
    return readText(this, native.blob_kms_name);
  }

  set kmsName(value) {
    write(this, native.blob_set_kms_name, text(value, 'kmsName'));
  }

  get provider() {
    return readText(this, native.blob_provider);
  }

  set provider(value) {
    write(this, native.blob_set_provider, text(value, 'provider'));
  }

  get keyId() {
    return readText(this, native.blob_key_id);
  }

  set keyId(value) {
    write(this, native.blob_set_key_id, text(value, 'keyId'));
  }

  get region() {
    return readText(this, native.blob_region);
  }

  set region(value) {
    write(this, native.blob_set_region, text(value, 'region'));
  }

  get wrappedKek() {
    return read(this, native.blob_wrapped_kek);
  }

  set wrappedKek(value) {
    write(this, native.blob_set_wrapped_kek, bytes(value, 'wrappedKek'), lengthOf(value));
  }

  get version() {
    return native.blob_version(pointerOf(this));
  }

  set version(value) {
    write(this, native.blob_set_version, u32(value, 'version'));
  }

  // Unix seconds.
  get createdAt() {
    return BigInt(native.blob_created_at(pointerOf(this)));
  }

  set createdAt(value) {
    write(this, native.blob_set_created_at, i64(value, 'createdAt'));
  }
}

// A blob that the library made.
const taken = (pointer) => new KmsBlob({}, OURS, pointer);

// A blob is a plain value: none may change it while a call on another thread reads it.
function write(blob, set, ...value) {
  if (blob[CELL].pending > 0) throw invalid('the blob is in use by a call; wait for its promise before you change it');
  callHere(set, pointerOf(blob), ...value);
}

function read(blob, get) {
  const pointer = get(pointerOf(blob), scratch.length);
  return copyOut(pointer, scratch.lengthFound());
}

// A record's text may have NULs inside.
const readText = (blob, get) => read(blob, get).toString();

module.exports = { KmsBlob, taken };
