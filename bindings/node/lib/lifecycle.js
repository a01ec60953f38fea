'use strict';

// What an engine does to the keys of an index by its name. Each may ask a KMS, so each has a promise.

const koffi = require('koffi');
const { native, structs } = require('./native.js');
const { Place, takeBuffer } = require('./call.js');
const { use } = require('./handle.js');
const { text, optionalText, optionalKey, lengthOf, u32, options, callback: function_ } = require('./args.js');
const { progressCallback, onlyOnMainThread, whileAsked } = require('./callbacks.js');

const json = (pointer) => JSON.parse(takeBuffer(pointer).toString());

// Calls a function of (engine, index_name, …).
const onIndex = (function_, engine, indexName, ...parameters) =>
  use(function_, [engine, text(indexName, 'indexName'), ...parameters]);

// The same for one that gives JSON.
async function told(function_, engine, indexName) {
  const place = new Place();
  await use(function_, [engine, text(indexName, 'indexName'), place.out], place);
  return json(place.handle());
}

const lifecycle = {
  // `rotation`: constants.ROTATE_*. `kmsName`: the slot that wraps from now on.
  async rotateIndex(indexName, rotation, kmsName) {
    await onIndex(native.index_rotate, this, indexName, u32(rotation, 'rotation'), optionalText(kmsName, 'kmsName'));
  },

  // The same from, to or within provider none: `oldKek` is the KEK in use, `newKek` the next.
  async rotateIndexWithKey(indexName, rotation, given = {}) {
    const { kmsName, oldKek, newKek } = options(given, ['kmsName', 'oldKek', 'newKek'], 'the options');
    const keys = [optionalKey(oldKek, 'oldKek'), optionalKey(newKek, 'newKek')].flatMap((key) => [key, lengthOf(key)]);
    const slot = optionalText(kmsName, 'kmsName');
    await onIndex(native.index_rotate_with_key, this, indexName, u32(rotation, 'rotation'), slot, ...keys);
  },

  // Forgets a data key: what it sealed can never be read again.
  async retireDataKey(indexName, dataKeyId) {
    await onIndex(native.index_retire_data_key, this, indexName, u32(dataKeyId, 'dataKeyId'));
  },

  // Forgets a former KEK: what was encrypted under it can never be read again.
  async retireKek(indexName, version) {
    await onIndex(native.index_retire_kek, this, indexName, u32(version, 'version'));
  },

  // Refuses every use of an index from now on.
  async disableIndex(indexName) {
    await onIndex(native.index_disable, this, indexName);
  },

  async enableIndex(indexName) {
    await onIndex(native.index_enable, this, indexName);
  },

  // Disables an index and has sync delete it when the waiting period is over.
  async scheduleIndexDeletion(indexName, waitingHours) {
    await onIndex(native.index_schedule_deletion, this, indexName, u32(waitingHours, 'waitingHours'));
  },

  async cancelIndexDeletion(indexName) {
    await onIndex(native.index_cancel_deletion, this, indexName);
  },

  // Deletes an index at once; gives a receipt.
  deleteIndex(indexName) {
    return told(native.index_delete, this, indexName);
  },

  // State, slot, keys of an index; no KMS is asked.
  describeIndex(indexName) {
    return told(native.index_describe, this, indexName);
  },

  // Holds every record against the registry and mends what drifted; gives a report. `progress` hears of each index that
  // is done, and returns false to stop.
  async sync(given = {}) {
    const known = ['dryRun', 'concurrency', 'requestsPerSecond', 'progress'];
    const { dryRun = false, concurrency = 0, requestsPerSecond = 0, progress } = options(given, known, 'the options');
    const settings = {
      struct_size: koffi.sizeof(structs.sync_options),
      dry_run: Boolean(dryRun),
      concurrency: u32(concurrency, 'concurrency'),
      requests_per_second: u32(requestsPerSecond, 'requestsPerSecond'),
    };
    const place = new Place();
    const run = (callback, id) => use(native.engine_sync, [this, settings, callback, id, place.out], place, id !== null);
    if (progress === undefined) {
      await run(null, null);
    } else {
      onlyOnMainThread('progress');
      await whileAsked(function_(progress, 'progress'), (id) => run(progressCallback(), id));
    }
    return json(place.handle());
  },
};

module.exports = { lifecycle };
