#include "misuse.h"

static bool is_empty(const char *text) {
    return text != NULL && text[0] == 0;
}

static void errors_and_buffers(misuse *m) {
    EXPECT(error_status, cyborg_kms_status, (NULL), it == CYBORG_KMS_OK);
    EXPECT(error_message, const char *, (NULL), is_empty(it));
    EXPECT(error_provider_code, const char *, (NULL), is_empty(it));
    EXPECT(error_request_id, const char *, (NULL), is_empty(it));
    EXPECT(error_is_retryable, bool, (NULL), !it);
    EXPECT(error_retry_after_ms, uint64_t, (NULL), it == 0);
    EXPECT(error_outcome_unknown, bool, (NULL), !it);
    SURVIVE(error_free, (NULL));
    EXPECT(status_name, const char *, (CYBORG_KMS_NOT_FOUND), strcmp(it, "NOT_FOUND") == 0);
    EXPECT(status_name, const char *, (99999), it != NULL && it[0] != 0);
    EXPECT(version, const char *, (), it != NULL && it[0] != 0);
    EXPECT(abi_version, uint32_t, (), it < 1000);
    SURVIVE(set_log_callback, (CYBORG_KMS_LOG_OFF, NULL, NULL));
    SURVIVE(set_log_callback, (99, NULL, NULL));
    SURVIVE(wipe, (NULL, 0));
    REFUSE(random_key, "no buffer", INVALID_ARGUMENT, (NULL, 32, m->error_at));
    EXPECT(buffer_data, const uint8_t *, (NULL), it == NULL);
    EXPECT(buffer_len, size_t, (NULL), it == 0);
    SURVIVE(buffer_free, (NULL));
}

static void blobs(misuse *m) {
    cyborg_kms_blob *blob = NULL;
    EXPECT(blob_new, cyborg_kms_blob *, (), (blob = it) != NULL);
    SURVIVE(blob_free, (blob));
    SURVIVE(blob_free, (NULL));
#define TEXT_SETTER(function)                                                                                \
    REFUSE(function, "no blob", INVALID_ARGUMENT, (NULL, "a", m->error_at));                                 \
    REFUSE(function, "no text", INVALID_ARGUMENT, (m->blob, NULL, m->error_at));                             \
    REFUSE(function, "not UTF-8", INVALID_ARGUMENT, (m->blob, NOT_UTF8, m->error_at))
    TEXT_SETTER(blob_set_kms_name);
    TEXT_SETTER(blob_set_provider);
    TEXT_SETTER(blob_set_key_id);
    TEXT_SETTER(blob_set_region);
    REFUSE(blob_set_wrapped_kek, "no blob", INVALID_ARGUMENT, (NULL, m->out, 1, m->error_at));
    REFUSE(blob_set_wrapped_kek, "no data", INVALID_ARGUMENT, (m->blob, NULL, 1, m->error_at));
    REFUSE(blob_set_version, "no blob", INVALID_ARGUMENT, (NULL, 1, m->error_at));
    REFUSE(blob_set_version, "version 0", INVALID_ARGUMENT, (m->blob, 0, m->error_at));
    REFUSE(blob_set_created_at, "no blob", INVALID_ARGUMENT, (NULL, 1, m->error_at));
    EXPECT(blob_kms_name, const char *, (NULL, &m->len_out), is_empty(it) && m->len_out == 0);
    EXPECT(blob_provider, const char *, (NULL, NULL), is_empty(it));
    EXPECT(blob_key_id, const char *, (NULL, &m->len_out), is_empty(it) && m->len_out == 0);
    EXPECT(blob_region, const char *, (NULL, &m->len_out), is_empty(it) && m->len_out == 0);
    EXPECT(blob_wrapped_kek, const uint8_t *, (NULL, &m->len_out), it == NULL && m->len_out == 0);
    EXPECT(blob_version, uint32_t, (NULL), it == 0);
    EXPECT(blob_created_at, int64_t, (NULL), it == 0);
    REFUSE(blob_encode, "no blob", INVALID_ARGUMENT, (NULL, &m->buffer_out, m->error_at));
    REFUSE(blob_encode, "no output", INVALID_ARGUMENT, (m->blob, NULL, m->error_at));
    REFUSE(blob_decode, "no data", INVALID_ARGUMENT, (NULL, 5, &m->blob_out, m->error_at));
    REFUSE(blob_decode, "no output", INVALID_ARGUMENT, (m->out, 5, NULL, m->error_at));
    REFUSE(blob_decode, "nothing", CORRUPT, (NULL, 0, &m->blob_out, m->error_at));
    memset(m->out, 0xFF, sizeof m->out);
    REFUSE(blob_decode, "garbage", CORRUPT, (m->out, sizeof m->out, &m->blob_out, m->error_at));
}

static bool never_called(const char *name, void *user_data) {
    (void)user_data;
    check_true(false, name, __FILE__, __LINE__);
    return false;
}

static void stores(misuse *m) {
    REFUSE(store_open, "no URL", INVALID_ARGUMENT, (NULL, &m->store_out, m->error_at));
    REFUSE(store_open, "no output", INVALID_ARGUMENT, ("memory://", NULL, m->error_at));
    REFUSE(store_open, "not UTF-8", INVALID_ARGUMENT, ("/tmp/" NOT_UTF8, &m->store_out, m->error_at));
    REFUSE(store_open, "empty URL", INVALID_ARGUMENT, ("", &m->store_out, m->error_at));
    REFUSE(store_open, "unknown scheme", CONFIG, ("ftp://host/path", &m->store_out, m->error_at));
    REFUSE(store_open, "not a directory", STORAGE, ("/dev/null/store", &m->store_out, m->error_at));
    EXPECT(store_retain, cyborg_kms_store *, (NULL), it == NULL);
    SURVIVE(store_free, (NULL));
#define NAMED(function, ...)                                                                                 \
    REFUSE(function, "no store", INVALID_ARGUMENT, (NULL, "a", ##__VA_ARGS__, m->error_at));                 \
    REFUSE(function, "no name", INVALID_ARGUMENT, (m->store, NULL, ##__VA_ARGS__, m->error_at));             \
    REFUSE(function, "empty name", INVALID_ARGUMENT, (m->store, "", ##__VA_ARGS__, m->error_at));            \
    REFUSE(function, "name too long", INVALID_ARGUMENT, (m->store, TOO_LONG, ##__VA_ARGS__, m->error_at));   \
    REFUSE(function, "name not UTF-8", INVALID_ARGUMENT, (m->store, NOT_UTF8, ##__VA_ARGS__, m->error_at))
    NAMED(create_index_kms, m->blob);
    REFUSE(create_index_kms, "no blob", INVALID_ARGUMENT, (m->store, "a", NULL, m->error_at));
    NAMED(push_index_kms, m->blob);
    REFUSE(push_index_kms, "no blob", INVALID_ARGUMENT, (m->store, "a", NULL, m->error_at));
    NAMED(get_index_kms, &m->blob_out);
    REFUSE(get_index_kms, "no output", INVALID_ARGUMENT, (m->store, "a", NULL, m->error_at));
    REFUSE(get_index_kms, "not there", NOT_FOUND, (m->store, "a", &m->blob_out, m->error_at));
    NAMED(delete_index_kms);
    REFUSE(list_index_kms, "no store", INVALID_ARGUMENT, (NULL, NULL, never_called, NULL, m->error_at));
    REFUSE(list_index_kms, "no callback", INVALID_ARGUMENT, (m->store, NULL, NULL, NULL, m->error_at));
    REFUSE(list_index_kms, "not UTF-8", INVALID_ARGUMENT,
           (m->store, NOT_UTF8, never_called, NULL, m->error_at));
}

static void callbacks(misuse *m) {
    cyborg_kms_store_callbacks empty = {.struct_size = sizeof empty}, sizeless = {.struct_size = 0};
    REFUSE(store_open_callbacks, "no callbacks", INVALID_ARGUMENT, (NULL, NULL, &m->store_out, m->error_at));
    REFUSE(store_open_callbacks, "empty callbacks", INVALID_ARGUMENT,
           (&empty, NULL, &m->store_out, m->error_at));
    REFUSE(store_open_callbacks, "no size", INVALID_ARGUMENT, (&sizeless, NULL, &m->store_out, m->error_at));
    REFUSE(store_open_callbacks, "no output", INVALID_ARGUMENT, (&empty, NULL, NULL, m->error_at));
    SURVIVE(reply_bytes, (NULL, NULL, 0, 0));
    SURVIVE(reply_bytes, (NULL, NULL, 10, 0));
    SURVIVE(reply_error, (NULL, CYBORG_KMS_TIMEOUT, NULL, NULL));
    SURVIVE(reply_free, (NULL));
}

void misuse_values(misuse *m) {
    errors_and_buffers(m);
    blobs(m);
    stores(m);
    callbacks(m);
}
