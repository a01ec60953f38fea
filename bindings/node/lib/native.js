'use strict';

// Every function, struct and callback of include/cyborg_kms.h as koffi calls it; a test holds them against the header.

const koffi = require('koffi');
const { load, failure } = require('./library.js');

// Handles, bytes and places are pointers: a BigInt, or a Uint8Array whose memory is used in place.
const P = 'void *';
const STATUS = 'uint32_t';
const NAME = ['str'];
const ENGINE_NAME = [P, 'str'];
const PAGE = [P, P, 'size_t', P, 'size_t', P, 'size_t', P];

const structs = {
  open_options: koffi.struct({
    struct_size: 'size_t',
    kek: P,
    kek_len: 'size_t',
    capabilities: 'uint32_t',
    flags: 'uint32_t',
    min_epoch: 'uint64_t',
  }),
  scope_options: koffi.struct({ struct_size: 'size_t', deadline_ms: 'uint32_t', principal: 'str' }),
  stats: koffi.struct({
    struct_size: 'size_t',
    cache_hits: 'uint64_t',
    cache_misses: 'uint64_t',
    cache_entries: 'uint64_t',
    kms_calls: 'uint64_t',
    kms_errors: 'uint64_t',
    kms_retries: 'uint64_t',
    coalesced_waits: 'uint64_t',
    stale_served: 'uint64_t',
    store_reads: 'uint64_t',
    store_writes: 'uint64_t',
    audit_failures: 'uint64_t',
  }),
  sync_options: koffi.struct({
    struct_size: 'size_t',
    dry_run: 'bool',
    concurrency: 'uint32_t',
    requests_per_second: 'uint32_t',
  }),
  provider_callbacks: koffi.struct({ struct_size: 'size_t', wrap: P, unwrap: P, destroy: P }),
  store_callbacks: koffi.struct({
    struct_size: 'size_t',
    flags: 'uint32_t',
    get: P,
    put: P,
    remove: P,
    list: P,
    destroy: P,
  }),
};

const pointers = Object.fromEntries(Object.entries(structs).map(([name, type]) => [name, koffi.pointer(type)]));

// What the library calls: result, then parameters. Those of structs bear the struct's name before theirs.
const callbackTypes = {
  index_callback: ['void', [STATUS, P, P, P]],
  progress_callback: ['bool', ['uint64_t', 'uint64_t', 'str', STATUS, P]],
  audit_callback: ['void', ['str', P]],
  log_callback: ['void', ['uint32_t', 'str', 'str', 'str', P]],
  name_callback: ['bool', ['str', P]],
  'provider_callbacks.wrap': ['void', ['str', P, 'size_t', P, 'size_t', P, P]],
  'provider_callbacks.unwrap': ['void', ['str', P, 'size_t', P, 'size_t', P, P]],
  'provider_callbacks.destroy': ['void', [P]],
  'store_callbacks.get': ['void', ['str', P, P]],
  'store_callbacks.put': ['void', ['str', P, 'size_t', 'uint64_t', P, P]],
  'store_callbacks.remove': ['void', ['str', 'uint64_t', P, P]],
  'store_callbacks.list': ['void', ['str', P, P, P, P]],
  'store_callbacks.destroy': ['void', [P]],
};

const protos = Object.fromEntries(
  Object.entries(callbackTypes).map(([name, [result, parameters]]) => [name, koffi.proto(result, parameters)]),
);

// What is called: result, then parameters; those of a function that can fail end with the place of its error.
const functions = {
  index_open_async: ['void', [P, 'str', pointers.open_options, P, P]],
  blob_new: [P, []],
  blob_free: ['void', [P]],
  blob_set_kms_name: [STATUS, [P, 'str', P]],
  blob_set_provider: [STATUS, [P, 'str', P]],
  blob_set_key_id: [STATUS, [P, 'str', P]],
  blob_set_region: [STATUS, [P, 'str', P]],
  blob_set_wrapped_kek: [STATUS, [P, P, 'size_t', P]],
  blob_set_version: [STATUS, [P, 'uint32_t', P]],
  blob_set_created_at: [STATUS, [P, 'int64_t', P]],
  // Their texts may have NULs inside: read by their length.
  blob_kms_name: [P, [P, P]],
  blob_provider: [P, [P, P]],
  blob_key_id: [P, [P, P]],
  blob_region: [P, [P, P]],
  blob_wrapped_kek: [P, [P, P]],
  blob_version: ['uint32_t', [P]],
  blob_created_at: ['int64_t', [P]],
  blob_encode: [STATUS, [P, P, P]],
  blob_decode: [STATUS, [P, 'size_t', P, P]],
  buffer_data: [P, [P]],
  buffer_len: ['size_t', [P]],
  buffer_free: ['void', [P]],
  engine_open: [STATUS, [...NAME, P, P]],
  engine_open_yaml: [STATUS, [...NAME, P, P]],
  engine_open_yaml_with_store: [STATUS, [...NAME, P, P, P]],
  engine_reload: [STATUS, [...ENGINE_NAME, P]],
  engine_retain: [P, [P]],
  engine_free: ['void', [P]],
  engine_scope: [STATUS, [P, pointers.scope_options, P, P]],
  engine_cancel: ['void', [P]],
  engine_store: [STATUS, [P, P, P]],
  engine_check: [STATUS, [...ENGINE_NAME, P]],
  engine_evict: [STATUS, [...ENGINE_NAME, P]],
  engine_stats: [STATUS, [P, P, P]],
  engine_metrics: [STATUS, [P, P, P]],
  error_status: [STATUS, [P]],
  error_message: ['str', [P]],
  error_provider_code: ['str', [P]],
  error_request_id: ['str', [P]],
  error_is_retryable: ['bool', [P]],
  error_retry_after_ms: ['uint64_t', [P]],
  error_outcome_unknown: ['bool', [P]],
  error_free: ['void', [P]],
  index_create: [STATUS, [...ENGINE_NAME, 'str', P, P]],
  index_create_with_key: [STATUS, [...ENGINE_NAME, 'str', P, 'size_t', P, P]],
  index_open: [STATUS, [...ENGINE_NAME, P, P]],
  index_open_with_key: [STATUS, [...ENGINE_NAME, P, 'size_t', P, P]],
  index_open_with_options: [STATUS, [...ENGINE_NAME, pointers.open_options, P, P]],
  index_refresh: [STATUS, [P, P]],
  index_retain: [P, [P]],
  index_free: ['void', [P]],
  index_name: ['str', [P]],
  index_kms_name: ['str', [P]],
  index_provider: ['str', [P]],
  index_key_id: ['str', [P]],
  index_version: ['uint32_t', [P]],
  index_epoch: ['uint64_t', [P]],
  index_data_key_id: ['uint32_t', [P]],
  index_rotate: [STATUS, [...ENGINE_NAME, 'uint32_t', 'str', P]],
  index_rotate_with_key: [STATUS, [...ENGINE_NAME, 'uint32_t', 'str', P, 'size_t', P, 'size_t', P]],
  index_retire_data_key: [STATUS, [...ENGINE_NAME, 'uint32_t', P]],
  index_retire_kek: [STATUS, [...ENGINE_NAME, 'uint32_t', P]],
  index_disable: [STATUS, [...ENGINE_NAME, P]],
  index_enable: [STATUS, [...ENGINE_NAME, P]],
  index_schedule_deletion: [STATUS, [...ENGINE_NAME, 'uint32_t', P]],
  index_cancel_deletion: [STATUS, [...ENGINE_NAME, P]],
  index_delete: [STATUS, [...ENGINE_NAME, P, P]],
  index_describe: [STATUS, [...ENGINE_NAME, P, P]],
  engine_sync: [STATUS, [P, pointers.sync_options, P, P, P, P]],
  engine_set_audit_callback: [STATUS, [P, P, P, P]],
  audit_verify: [STATUS, [...NAME, P, 'size_t', 'str', P, P]],
  audit_head: [STATUS, [...NAME, P, P]],
  set_log_callback: ['void', ['uint32_t', P, P]],
  index_encrypt: [STATUS, [...PAGE, P]],
  index_decrypt: [STATUS, [...PAGE, P]],
  index_encrypt_detached: [STATUS, [P, P, 'size_t', P, 'size_t', P, P, P]],
  index_decrypt_detached: [STATUS, [P, P, 'size_t', P, 'size_t', P, P, P]],
  page_data_key_id: [STATUS, [P, 'size_t', P, P]],
  index_generate_data_key: [STATUS, [P, P, 'size_t', P, P]],
  index_unwrap_data_key: [STATUS, [P, P, 'size_t', P, 'size_t', P]],
  index_derive_key: [STATUS, [P, 'str', P, 'size_t', P, 'size_t', P]],
  index_export_kek: [STATUS, [P, 'uint32_t', P, 'size_t', P]],
  version: ['str', []],
  abi_version: ['uint32_t', []],
  random_key: [STATUS, [P, 'size_t', P]],
  wipe: ['void', [P, 'size_t']],
  engine_register_provider: [STATUS, [P, 'str', pointers.provider_callbacks, P, P]],
  create_index_kms: [STATUS, [P, 'str', P, P]],
  push_index_kms: [STATUS, [P, 'str', P, P]],
  get_index_kms: [STATUS, [P, 'str', P, P]],
  delete_index_kms: [STATUS, [P, 'str', P]],
  list_index_kms: [STATUS, [P, 'str', P, P, P]],
  reply_bytes: ['void', [P, P, 'size_t', 'uint64_t']],
  reply_error: ['void', [P, STATUS, 'str', 'str']],
  reply_free: ['void', [P]],
  status_name: ['str', [STATUS]],
  store_open: [STATUS, [...NAME, P, P]],
  store_retain: [P, [P]],
  store_free: ['void', [P]],
  store_open_callbacks: [STATUS, [pointers.store_callbacks, P, P, P]],
};

function declare() {
  const { library, file } = load();
  const native = {};
  for (const [name, [result, parameters]] of Object.entries(functions)) {
    try {
      native[name] = library.func(`cyborg_kms_${name}`, result, parameters);
    } catch (error) {
      throw failure(`${file} lacks cyborg_kms_${name}: it is older than this package; install the library anew`, error);
    }
  }
  return native;
}

// Looked at by the tests.
const declared = { functions, structs, callbackTypes };

module.exports = { native: declare(), structs, protos, declared };
