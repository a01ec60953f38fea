#include "shim.h"

#include "_cgo_export.h"

go_kms_sealed go_kms_encrypt(cyborg_kms_index *index, const uint8_t *aad, size_t aad_len,
                             const uint8_t *plaintext, size_t plaintext_len, uint8_t *out,
                             size_t out_capacity) {
    go_kms_sealed result = {0};
    result.status = cyborg_kms_index_encrypt(index, aad, aad_len, plaintext, plaintext_len, out, out_capacity,
                                             &result.len, &result.error);
    return result;
}

go_kms_sealed go_kms_decrypt(cyborg_kms_index *index, const uint8_t *aad, size_t aad_len,
                             const uint8_t *sealed, size_t sealed_len, uint8_t *out, size_t out_capacity) {
    go_kms_sealed result = {0};
    result.status = cyborg_kms_index_decrypt(index, aad, aad_len, sealed, sealed_len, out, out_capacity,
                                             &result.len, &result.error);
    return result;
}

go_kms_sealed go_kms_encrypt_detached(cyborg_kms_index *index, const uint8_t *aad, size_t aad_len,
                                      const uint8_t *plaintext, size_t len, uint8_t *out, uint8_t *overhead) {
    go_kms_sealed result = {.len = len};
    result.status =
        cyborg_kms_index_encrypt_detached(index, aad, aad_len, plaintext, len, out, overhead, &result.error);
    return result;
}

go_kms_sealed go_kms_decrypt_detached(cyborg_kms_index *index, const uint8_t *aad, size_t aad_len,
                                      const uint8_t *ciphertext, size_t len, const uint8_t *overhead,
                                      uint8_t *out) {
    go_kms_sealed result = {.len = len};
    result.status =
        cyborg_kms_index_decrypt_detached(index, aad, aad_len, ciphertext, len, overhead, out, &result.error);
    return result;
}

go_kms_opened go_kms_index_open(cyborg_kms_engine *engine, const char *index_name) {
    go_kms_opened result = {0};
    result.status = cyborg_kms_index_open(engine, index_name, &result.index, &result.error);
    return result;
}

static cyborg_kms_open_options open_options(const uint8_t *kek, size_t kek_len, uint32_t capabilities,
                                            uint32_t flags, uint64_t min_epoch) {
    return (cyborg_kms_open_options){.struct_size = sizeof(cyborg_kms_open_options),
                                     .kek = kek,
                                     .kek_len = kek_len,
                                     .capabilities = capabilities,
                                     .flags = flags,
                                     .min_epoch = min_epoch};
}

go_kms_opened go_kms_index_open_with_options(cyborg_kms_engine *engine, const char *index_name,
                                             const uint8_t *kek, size_t kek_len, uint32_t capabilities,
                                             uint32_t flags, uint64_t min_epoch) {
    cyborg_kms_open_options options = open_options(kek, kek_len, capabilities, flags, min_epoch);
    go_kms_opened result = {0};
    result.status =
        cyborg_kms_index_open_with_options(engine, index_name, &options, &result.index, &result.error);
    return result;
}

static void opened(cyborg_kms_status status, cyborg_kms_index *index, cyborg_kms_error *error,
                   void *user_data) {
    goIndexOpened(status, index, error, (uintptr_t)user_data);
}

void go_kms_index_open_async(cyborg_kms_engine *engine, const char *index_name, const uint8_t *kek,
                             size_t kek_len, uint32_t capabilities, uint32_t flags, uint64_t min_epoch,
                             uintptr_t handle) {
    cyborg_kms_open_options options = open_options(kek, kek_len, capabilities, flags, min_epoch);
    cyborg_kms_index_open_async(engine, index_name, &options, opened, (void *)handle);
}

cyborg_kms_status go_kms_engine_scope(cyborg_kms_engine *engine, uint32_t deadline_ms, const char *principal,
                                      cyborg_kms_engine **out, cyborg_kms_error **error) {
    cyborg_kms_scope_options options = {
        .struct_size = sizeof options, .deadline_ms = deadline_ms, .principal = principal};
    return cyborg_kms_engine_scope(engine, &options, out, error);
}

static bool progress(uint64_t done, uint64_t total, const char *index_name, cyborg_kms_status status,
                     void *user_data) {
    return goProgress(done, total, (char *)index_name, status, (uintptr_t)user_data);
}

cyborg_kms_status go_kms_engine_sync(cyborg_kms_engine *engine, bool dry_run, uint32_t concurrency,
                                     uint32_t requests_per_second, uintptr_t handle,
                                     cyborg_kms_buffer **out_json, cyborg_kms_error **error) {
    cyborg_kms_sync_options options = {.struct_size = sizeof options,
                                       .dry_run = dry_run,
                                       .concurrency = concurrency,
                                       .requests_per_second = requests_per_second};
    return cyborg_kms_engine_sync(engine, &options, progress, (void *)handle, out_json, error);
}

static void audited(const char *event_json, void *user_data) {
    goAudited((char *)event_json, (uintptr_t)user_data);
}

cyborg_kms_status go_kms_engine_set_audit_callback(cyborg_kms_engine *engine, uintptr_t handle,
                                                   cyborg_kms_error **error) {
    return cyborg_kms_engine_set_audit_callback(engine, handle ? audited : NULL, (void *)handle, error);
}

static void destroy(void *user_data) {
    goDestroy((uintptr_t)user_data);
}

static void provider_wrap(const char *key_id, const uint8_t *aad, size_t aad_len, const uint8_t *plaintext,
                          size_t plaintext_len, cyborg_kms_reply *reply, void *user_data) {
    goProviderWrap((char *)key_id, (uint8_t *)aad, aad_len, (uint8_t *)plaintext, plaintext_len, reply,
                   (uintptr_t)user_data);
}

static void provider_unwrap(const char *key_id, const uint8_t *aad, size_t aad_len, const uint8_t *wrapped,
                            size_t wrapped_len, cyborg_kms_reply *reply, void *user_data) {
    goProviderUnwrap((char *)key_id, (uint8_t *)aad, aad_len, (uint8_t *)wrapped, wrapped_len, reply,
                     (uintptr_t)user_data);
}

cyborg_kms_status go_kms_engine_register_provider(cyborg_kms_engine *engine, const char *provider_name,
                                                  uintptr_t handle, cyborg_kms_error **error) {
    cyborg_kms_provider_callbacks callbacks = {.struct_size = sizeof callbacks,
                                               .wrap = provider_wrap,
                                               .unwrap = provider_unwrap,
                                               .destroy = destroy};
    return cyborg_kms_engine_register_provider(engine, provider_name, &callbacks, (void *)handle, error);
}

static void store_get(const char *index_name, cyborg_kms_reply *reply, void *user_data) {
    goStoreGet((char *)index_name, reply, (uintptr_t)user_data);
}

static void store_put(const char *index_name, const uint8_t *data, size_t len, uint64_t expected_revision,
                      cyborg_kms_reply *reply, void *user_data) {
    goStorePut((char *)index_name, (uint8_t *)data, len, expected_revision, reply, (uintptr_t)user_data);
}

static void store_remove(const char *index_name, uint64_t expected_revision, cyborg_kms_reply *reply,
                         void *user_data) {
    goStoreRemove((char *)index_name, expected_revision, reply, (uintptr_t)user_data);
}

static void store_list(const char *start_after, cyborg_kms_name_callback name, void *name_data,
                       cyborg_kms_reply *reply, void *user_data) {
    goStoreList((char *)start_after, name, name_data, reply, (uintptr_t)user_data);
}

cyborg_kms_status go_kms_store_open_callbacks(uint32_t flags, uintptr_t handle, cyborg_kms_store **out,
                                              cyborg_kms_error **error) {
    cyborg_kms_store_callbacks callbacks = {.struct_size = sizeof callbacks,
                                            .flags = flags,
                                            .get = store_get,
                                            .put = store_put,
                                            .remove = store_remove,
                                            .list = store_list,
                                            .destroy = destroy};
    return cyborg_kms_store_open_callbacks(&callbacks, (void *)handle, out, error);
}

static bool named(const char *index_name, void *user_data) {
    return goNamed((char *)index_name, (uintptr_t)user_data);
}

cyborg_kms_status go_kms_list_index_kms(cyborg_kms_store *store, const char *start_after, uintptr_t handle,
                                        cyborg_kms_error **error) {
    return cyborg_kms_list_index_kms(store, start_after, named, (void *)handle, error);
}

static void logged(cyborg_kms_log_level level, const char *target, const char *message,
                   const char *fields_json, void *user_data) {
    goLogged(level, (char *)target, (char *)message, (char *)fields_json, (uintptr_t)user_data);
}

void go_kms_set_log_callback(cyborg_kms_log_level max_level, uintptr_t handle) {
    cyborg_kms_set_log_callback(max_level, handle ? logged : NULL, (void *)handle);
}

bool go_kms_name(cyborg_kms_name_callback name, const char *index_name, void *name_data) {
    return name(index_name, name_data);
}
