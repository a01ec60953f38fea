/* What cgo can't say itself: results by value, which keep page calls free of allocations (an address of a Go
 * variable escapes to the heap); structs that hold pointers to Go memory; callbacks with their handle as
 * user_data. */
#ifndef CYBORG_KMS_GO_SHIM_H
#define CYBORG_KMS_GO_SHIM_H

#include <cyborg_kms.h>

typedef struct {
    cyborg_kms_status status;
    cyborg_kms_error *error;
    size_t len;
} go_kms_sealed;

typedef struct {
    cyborg_kms_status status;
    cyborg_kms_error *error;
    cyborg_kms_index *index;
} go_kms_opened;

go_kms_sealed go_kms_encrypt(cyborg_kms_index *index, const uint8_t *aad, size_t aad_len,
                             const uint8_t *plaintext, size_t plaintext_len, uint8_t *out,
                             size_t out_capacity);
go_kms_sealed go_kms_decrypt(cyborg_kms_index *index, const uint8_t *aad, size_t aad_len,
                             const uint8_t *sealed, size_t sealed_len, uint8_t *out, size_t out_capacity);
go_kms_sealed go_kms_encrypt_detached(cyborg_kms_index *index, const uint8_t *aad, size_t aad_len,
                                      const uint8_t *plaintext, size_t len, uint8_t *out, uint8_t *overhead);
go_kms_sealed go_kms_decrypt_detached(cyborg_kms_index *index, const uint8_t *aad, size_t aad_len,
                                      const uint8_t *ciphertext, size_t len, const uint8_t *overhead,
                                      uint8_t *out);

go_kms_opened go_kms_index_open(cyborg_kms_engine *engine, const char *index_name);
go_kms_opened go_kms_index_open_with_options(cyborg_kms_engine *engine, const char *index_name,
                                             const uint8_t *kek, size_t kek_len, uint32_t capabilities,
                                             uint32_t flags, uint64_t min_epoch);
void go_kms_index_open_async(cyborg_kms_engine *engine, const char *index_name, const uint8_t *kek,
                             size_t kek_len, uint32_t capabilities, uint32_t flags, uint64_t min_epoch,
                             uintptr_t handle);

cyborg_kms_status go_kms_engine_scope(cyborg_kms_engine *engine, uint32_t deadline_ms, const char *principal,
                                      cyborg_kms_engine **out, cyborg_kms_error **error);
cyborg_kms_status go_kms_engine_sync(cyborg_kms_engine *engine, bool dry_run, uint32_t concurrency,
                                     uint32_t requests_per_second, uintptr_t handle,
                                     cyborg_kms_buffer **out_json, cyborg_kms_error **error);
cyborg_kms_status go_kms_engine_set_audit_callback(cyborg_kms_engine *engine, uintptr_t handle,
                                                   cyborg_kms_error **error);
cyborg_kms_status go_kms_engine_register_provider(cyborg_kms_engine *engine, const char *provider_name,
                                                  uintptr_t handle, cyborg_kms_error **error);
cyborg_kms_status go_kms_store_open_callbacks(uint32_t flags, uintptr_t handle, cyborg_kms_store **out,
                                              cyborg_kms_error **error);
cyborg_kms_status go_kms_list_index_kms(cyborg_kms_store *store, const char *start_after, uintptr_t handle,
                                        cyborg_kms_error **error);
void go_kms_set_log_callback(cyborg_kms_log_level max_level, uintptr_t handle);

/* Calls the library's own function for a name that a store lists. */
bool go_kms_name(cyborg_kms_name_callback name, const char *index_name, void *name_data);

#endif
