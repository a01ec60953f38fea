'use strict';

const koffi = require('koffi');
const { native, structs } = require('./native.js');
const { Place, scratch, callHere, callOffThread, takeBuffer } = require('./call.js');
const { Backing } = require('./backing.js');
const { Handle, CELL, OURS, pointerOf, hold, use } = require('./handle.js');
const { text, optionalText, key, u32, options, callback: function_ } = require('./args.js');
const { invalid, unsupported } = require('./errors.js');
const { Store } = require('./store.js');
const { Index, openOptions, withQuick } = require('./index_handle.js');
const { lifecycle } = require('./lifecycle.js');
const { keep, forget, indexCallback, auditCallback, onlyOnMainThread } = require('./callbacks.js');
const { providerCallbacks, implementing, serve } = require('./replies.js');

const COUNTERS = {
  cacheHits: 'cache_hits',
  cacheMisses: 'cache_misses',
  cacheEntries: 'cache_entries',
  kmsCalls: 'kms_calls',
  kmsErrors: 'kms_errors',
  kmsRetries: 'kms_retries',
  coalescedWaits: 'coalesced_waits',
  staleServed: 'stale_served',
  storeReads: 'store_reads',
  storeWrites: 'store_writes',
  auditFailures: 'audit_failures',
};
const LONGEST_TIMER = 2 ** 31 - 1;

// A registry of slots, a store of records and a cache of KEKs. One for a process.
class Engine extends Handle {
  // From a configuration file.
  static async open(configPath) {
    const place = new Place();
    await use(native.engine_open, [text(configPath, 'configPath'), place.out], place);
    return made(place.handle(), new Backing());
  }

  // From a configuration's text; `store`: in place of its section `storage`.
  static async openYaml(yaml, given = {}) {
    const { store } = options(given, ['store'], 'the options');
    const place = new Place();
    if (store === undefined) {
      await use(native.engine_open_yaml, [text(yaml, 'yaml'), place.out], place);
      return made(place.handle(), new Backing());
    }
    if (!(store instanceof Store)) throw invalid('store must be a Store: await Store.open(url), or Store.custom(object)');
    const backing = new Backing(store[CELL].backing.js);
    await use(native.engine_open_yaml_with_store, [text(yaml, 'yaml'), store, place.out], place);
    return made(place.handle(), backing);
  }

  // The configuration anew: a text, or the file that the engine was opened from.
  async reload(yaml) {
    await use(native.engine_reload, [this, optionalText(yaml, 'yaml')]);
  }

  // One more handle to the same engine, closed on its own.
  retain() {
    return made(native.engine_retain(pointerOf(this)), this[CELL].backing);
  }

  // The same engine with a deadline and a principal of its own; `cancel` ends its calls.
  scope(given = {}) {
    const { deadlineMs = 0, principal } = options(given, ['deadlineMs', 'principal'], 'the options');
    const scope = {
      struct_size: koffi.sizeof(structs.scope_options),
      deadline_ms: u32(deadlineMs, 'deadlineMs'),
      principal: optionalText(principal, 'principal'),
    };
    callHere(native.engine_scope, pointerOf(this), scope, scratch.out);
    return made(scratch.handle(), this[CELL].backing);
  }

  // Ends the calls through this scope, under way and to come.
  cancel() {
    native.engine_cancel(pointerOf(this));
  }

  // The engine's store, a handle of its own.
  store() {
    callHere(native.engine_store, pointerOf(this), scratch.out);
    return new Store(OURS, 'store', scratch.handle(), this[CELL].backing);
  }

  // Proves that one slot works, or all.
  async check(kmsName) {
    await use(native.engine_check, [this, optionalText(kmsName, 'kmsName')]);
  }

  // Wipes the cached keys of one index, or of all.
  async evict(indexName) {
    await use(native.engine_evict, [this, optionalText(indexName, 'indexName')]);
  }

  // What the engine has counted since it was opened.
  stats() {
    const size = koffi.sizeof(structs.stats);
    const counted = Buffer.alloc(size);
    counted.writeBigUInt64LE(BigInt(size));
    callHere(native.engine_stats, pointerOf(this), counted);
    const stats = koffi.decode(counted, structs.stats);
    return Object.fromEntries(Object.entries(COUNTERS).map(([name, field]) => [name, Number(stats[field])]));
  }

  // Counters and latencies as OpenMetrics text.
  metrics() {
    callHere(native.engine_metrics, pointerOf(this), scratch.out);
    return takeBuffer(scratch.handle()).toString();
  }

  // Serves the slots that say "provider: external:NAME". Register before indexes are opened.
  registerProvider(name, provider) {
    onlyOnMainThread('registerProvider');
    implementing(provider, ['wrap', 'unwrap'], 'provider');
    const pointer = pointerOf(this);
    callHere(native.engine_register_provider, pointer, text(name, 'name'), providerCallbacks(), serve(provider));
    this[CELL].backing.js = true;
  }

  // Gives audit events to `callback`; null ends it. Set it before indexes are opened.
  async setAuditCallback(callback) {
    if (callback !== null) {
      onlyOnMainThread('setAuditCallback');
      function_(callback, 'callback');
    }
    await hold([this], ({ pointer, backing }) => backing.inTurn(() => replaceAudit(pointer, backing, callback)));
  }

  // Creates an index, with a fresh KEK in the care of the slot `kmsName`.
  async createIndex(indexName, kmsName) {
    const names = [text(indexName, 'indexName'), text(kmsName, 'kmsName')];
    return openedBy(this, native.index_create, names, openOptions());
  }

  // Creates an index with a KEK of the caller's; `kmsName` null: the caller brings it at each opening.
  async createIndexWithKey(indexName, kmsName, kek) {
    const names = [text(indexName, 'indexName'), optionalText(kmsName, 'kmsName')];
    const parameters = [...names, key(kek, 'kek'), kek.byteLength];
    return openedBy(this, native.index_create_with_key, parameters, openOptions({ kek }));
  }

  async openIndex(indexName, given) {
    const [name, wanted] = [text(indexName, 'indexName'), openOptions(given)];
    if (given === undefined) return openedBy(this, native.index_open, [name], wanted);
    return openedBy(this, native.index_open_with_options, [name, wanted], wanted);
  }

  // Opens an index whose KEK the caller brings.
  async openIndexWithKey(indexName, kek) {
    const parameters = [text(indexName, 'indexName'), key(kek, 'kek'), kek.byteLength];
    return openedBy(this, native.index_open_with_key, parameters, openOptions({ kek }));
  }

  // Opens an index on this thread: for one that is cached, which takes a microsecond.
  openIndexSync(indexName, given) {
    const pointer = pointerOf(this);
    if (this[CELL].mayWaitForUs()) {
      throw unsupported(
        'openIndexSync could wait for JavaScript, which runs on this thread (a provider, store, audit or log callback): ' +
          'use await openIndex()',
      );
    }
    const name = text(indexName, 'indexName');
    if (given === undefined) callHere(native.index_open, pointer, name, scratch.out);
    else callHere(native.index_open_with_options, pointer, name, openOptions(given), scratch.out);
    return new Index(OURS, 'index', scratch.handle(), this[CELL].backing);
  }

  // Opens an index by a thread of the library, so that none of Node's waits for a KMS.
  async openIndexInBackground(indexName, given) {
    onlyOnMainThread('openIndexInBackground');
    const [name, wanted] = [text(indexName, 'indexName'), openOptions(given)];
    return hold([this], async (cell) => {
      const options_ = given === undefined ? null : wanted;
      const open = (id) => native.index_open_async(cell.pointer, name, options_, indexCallback(), id);
      return opened(this, await byCallback(open), wanted);
    });
  }
}

// The library asks the new callback before the call is back, and the former one until then.
async function replaceAudit(pointer, backing, callback) {
  const former = backing.audit;
  const next = callback === null ? null : keep(callback);
  backing.audit = next ?? former;
  const place = new Place();
  const parameters = [pointer, next === null ? null : auditCallback(), next];
  try {
    await callOffThread(native.engine_set_audit_callback, parameters, place, true);
  } catch (error) {
    backing.audit = former;
    forget(next);
    throw error;
  }
  backing.audit = next;
  forget(former);
}

const made = (pointer, backing) => new Engine(OURS, 'engine', pointer, backing);

const opened = (engine, pointer, wanted) =>
  withQuick(engine[CELL], new Index(OURS, 'index', pointer, engine[CELL].backing), wanted);

// Calls a function that gives an open index.
const openedBy = (engine, function_, parameters, wanted) =>
  hold([engine], async (cell) => {
    const place = new Place();
    await callOffThread(function_, [cell.pointer, ...parameters, place.out], place, cell.mayWaitForUs());
    return opened(engine, place.handle(), wanted);
  });

// Starts what ends by a callback, and keeps the process until then.
async function byCallback(start) {
  const alive = setInterval(() => {}, LONGEST_TIMER);
  try {
    return await new Promise((resolve, reject) => start(keep({ resolve, reject })));
  } finally {
    clearInterval(alive);
  }
}

Object.defineProperties(Engine.prototype, Object.getOwnPropertyDescriptors(lifecycle));

module.exports = { Engine };
