/* The header alone, in each dialect that a caller may use (C99, C11, C++11, C++20), and the layout of what
 * crosses the boundary by value. Compiled only. */
#include <cyborg_kms.h>

#include <stddef.h>

#if defined(__cplusplus)
#define ASSERT(condition) static_assert(condition, #condition)
#elif __STDC_VERSION__ >= 201112L
#define ASSERT(condition) _Static_assert(condition, #condition)
#else
#define ASSERT_NAMED(condition, line) typedef char assert_##line[(condition) ? 1 : -1]
#define ASSERT_AT(condition, line) ASSERT_NAMED(condition, line)
#define ASSERT(condition) ASSERT_AT(condition, __LINE__)
#endif

#define SIZE sizeof(void *)
#define LAYOUT(type, field, offset) ASSERT(offsetof(type, field) == (offset))

ASSERT(sizeof(cyborg_kms_status) == 4);
ASSERT(sizeof(cyborg_kms_log_level) == 4);
ASSERT(sizeof(cyborg_kms_rotation) == 4);
ASSERT((cyborg_kms_status)-1 > 0);

LAYOUT(cyborg_kms_store_callbacks, struct_size, 0);
LAYOUT(cyborg_kms_store_callbacks, flags, SIZE);
LAYOUT(cyborg_kms_store_callbacks, get, 2 * SIZE);
LAYOUT(cyborg_kms_store_callbacks, put, 3 * SIZE);
LAYOUT(cyborg_kms_store_callbacks, remove, 4 * SIZE);
LAYOUT(cyborg_kms_store_callbacks, list, 5 * SIZE);
LAYOUT(cyborg_kms_store_callbacks, destroy, 6 * SIZE);
ASSERT(sizeof(cyborg_kms_store_callbacks) == 7 * SIZE);

LAYOUT(cyborg_kms_provider_callbacks, struct_size, 0);
LAYOUT(cyborg_kms_provider_callbacks, wrap, SIZE);
LAYOUT(cyborg_kms_provider_callbacks, unwrap, 2 * SIZE);
LAYOUT(cyborg_kms_provider_callbacks, destroy, 3 * SIZE);
ASSERT(sizeof(cyborg_kms_provider_callbacks) == 4 * SIZE);

LAYOUT(cyborg_kms_scope_options, struct_size, 0);
LAYOUT(cyborg_kms_scope_options, deadline_ms, SIZE);
LAYOUT(cyborg_kms_scope_options, principal, 2 * SIZE);
ASSERT(sizeof(cyborg_kms_scope_options) == 3 * SIZE);

LAYOUT(cyborg_kms_open_options, struct_size, 0);
LAYOUT(cyborg_kms_open_options, kek, SIZE);
LAYOUT(cyborg_kms_open_options, kek_len, 2 * SIZE);
LAYOUT(cyborg_kms_open_options, capabilities, 3 * SIZE);
LAYOUT(cyborg_kms_open_options, flags, 3 * SIZE + 4);
LAYOUT(cyborg_kms_open_options, min_epoch, 3 * SIZE + 8);
ASSERT(sizeof(cyborg_kms_open_options) == 3 * SIZE + 16);

LAYOUT(cyborg_kms_sync_options, struct_size, 0);
LAYOUT(cyborg_kms_sync_options, dry_run, SIZE);
LAYOUT(cyborg_kms_sync_options, concurrency, SIZE + 4);
LAYOUT(cyborg_kms_sync_options, requests_per_second, SIZE + 8);

LAYOUT(cyborg_kms_stats, struct_size, 0);
LAYOUT(cyborg_kms_stats, cache_hits, 8);
LAYOUT(cyborg_kms_stats, store_writes, 80);
LAYOUT(cyborg_kms_stats, audit_failures, 88);
ASSERT(sizeof(cyborg_kms_stats) == 96);

ASSERT(CYBORG_KMS_OK == 0);
ASSERT(CYBORG_KMS_INVALID_ARGUMENT == 1);
ASSERT(CYBORG_KMS_EXPIRED == 21);
ASSERT(CYBORG_KMS_KEY_LEN == 32);
ASSERT(CYBORG_KMS_OVERHEAD == 48);
ASSERT(CYBORG_KMS_MAX_PLAINTEXT == 1u << 30);
ASSERT(CYBORG_KMS_REVISION_ABSENT == 0);
ASSERT(CYBORG_KMS_REVISION_ANY == UINT64_MAX);
ASSERT(CYBORG_KMS_STORE_CALLER_THREAD == 1);
ASSERT(CYBORG_KMS_OPEN_NO_WAIT == 1);
ASSERT(CYBORG_KMS_CAN_ENCRYPT == 1 && CYBORG_KMS_CAN_DECRYPT == 2);
ASSERT(CYBORG_KMS_CAN_DERIVE == 4 && CYBORG_KMS_CAN_EXPORT == 8);
ASSERT(CYBORG_KMS_ROTATE_REWRAP == 0 && CYBORG_KMS_ROTATE_KEK == 1 && CYBORG_KMS_ROTATE_DATA_KEY == 2);
ASSERT(CYBORG_KMS_LOG_OFF == 0 && CYBORG_KMS_LOG_TRACE == 5);
