'use strict';

const { native } = require('./native.js');
const { constants } = require('./constants.js');
const { Place, scratch, callHere } = require('./call.js');
const { Backing } = require('./backing.js');
const { Handle, CELL, OURS, pointerOf, use } = require('./handle.js');
const { text, optionalText, options, integer } = require('./args.js');
const { invalid } = require('./errors.js');
const { KmsBlob, taken } = require('./blob.js');
const { nameCallback, onlyOnMainThread, whileAsked } = require('./callbacks.js');
const { storeCallbacks, implementing, serve } = require('./replies.js');

// A place for envelope records.
class Store extends Handle {
  // "memory://", a path, "file:///path", and object stores where the library has them.
  static async open(url) {
    const place = new Place();
    await use(native.store_open, [text(url, 'url'), place.out], place);
    return new Store(OURS, 'store', place.handle(), new Backing());
  }

  // Keeps the records where `object` does: get, put, remove, list.
  static custom(object, given = {}) {
    onlyOnMainThread('Store.custom');
    const { callerThread = false } = options(given, ['callerThread'], 'the options');
    implementing(object, ['get', 'put', 'remove', 'list'], 'store');
    const callbacks = storeCallbacks(callerThread ? constants.STORE_CALLER_THREAD : 0);
    callHere(native.store_open_callbacks, callbacks, serve(object), scratch.out);
    return new Store(OURS, 'store', scratch.handle(), new Backing(true));
  }

  // A strict insert.
  async create(indexName, blob) {
    await use(native.create_index_kms, [this, text(indexName, 'indexName'), aBlob(blob)]);
  }

  // Stores a record, whether there is one or not.
  async push(indexName, blob) {
    await use(native.push_index_kms, [this, text(indexName, 'indexName'), aBlob(blob)]);
  }

  async get(indexName) {
    const place = new Place();
    await use(native.get_index_kms, [this, text(indexName, 'indexName'), place.out], place);
    return taken(place.handle());
  }

  // That there is none is fine.
  async delete(indexName) {
    await use(native.delete_index_kms, [this, text(indexName, 'indexName')]);
  }

  // The names of indexes that have a record, in the order of the encoded names, at most `limit`.
  async list(given = {}) {
    onlyOnMainThread('list');
    const { startAfter, limit = Number.MAX_SAFE_INTEGER } = options(given, ['startAfter', 'limit'], 'the options');
    integer(limit, Number.MAX_SAFE_INTEGER, 'limit');
    const from = optionalText(startAfter, 'startAfter');
    const names = [];
    if (limit === 0) return names;
    await whileAsked(
      (name) => names.push(name) < limit,
      (id) => use(native.list_index_kms, [this, from, nameCallback(), id], new Place(), true),
    );
    return names;
  }

  // One more handle to the same store, closed on its own.
  retain() {
    return new Store(OURS, 'store', native.store_retain(pointerOf(this)), this[CELL].backing);
  }
}

function aBlob(value) {
  if (value instanceof KmsBlob) return value;
  throw invalid('blob must be a KmsBlob: new KmsBlob({kmsName, provider, …})');
}

module.exports = { Store };
