#include "misuse.h"

#define INVALID(function, what, arguments) REFUSE(function, what, INVALID_ARGUMENT, arguments)
#define TEXT ((const uint8_t *)"0123456789abcdef")

/* Each function that gives an index by an engine and a name. */
#define OPENS(function, ...)                                                                                 \
    INVALID(function, "no engine", (NULL, "misuse", ##__VA_ARGS__, &m->index_out, m->error_at));             \
    INVALID(function, "no name", (m->engine, NULL, ##__VA_ARGS__, &m->index_out, m->error_at));              \
    INVALID(function, "empty name", (m->engine, "", ##__VA_ARGS__, &m->index_out, m->error_at));             \
    INVALID(function, "name too long", (m->engine, TOO_LONG, ##__VA_ARGS__, &m->index_out, m->error_at));    \
    INVALID(function, "name not UTF-8", (m->engine, NOT_UTF8, ##__VA_ARGS__, &m->index_out, m->error_at));   \
    INVALID(function, "no output", (m->engine, "misuse", ##__VA_ARGS__, NULL, m->error_at))

static void opening(misuse *m) {
    OPENS(index_create, "local");
    INVALID(index_create, "no slot", (m->engine, "a", NULL, &m->index_out, m->error_at));
    INVALID(index_create, "slot not UTF-8", (m->engine, "a", NOT_UTF8, &m->index_out, m->error_at));
    REFUSE(index_create, "unknown slot", CONFIG, (m->engine, "a", "nobody", &m->index_out, m->error_at));
    OPENS(index_create_with_key, "local", m->out, 32);
    INVALID(index_create_with_key, "no key", (m->engine, "a", "", NULL, 32, &m->index_out, m->error_at));
    INVALID(index_create_with_key, "short key", (m->engine, "a", "", m->out, 31, &m->index_out, m->error_at));
    INVALID(index_create_with_key, "long key", (m->engine, "a", "", m->out, 33, &m->index_out, m->error_at));
    OPENS(index_open);
    REFUSE(index_open, "not there", NOT_FOUND, (m->engine, "not there", &m->index_out, m->error_at));
    OPENS(index_open_with_key, m->out, 32);
    INVALID(index_open_with_key, "no key", (m->engine, "misuse", NULL, 32, &m->index_out, m->error_at));
    INVALID(index_open_with_key, "unwanted", (m->engine, "misuse", m->out, 32, &m->index_out, m->error_at));
    OPENS(index_open_with_options, NULL);
    cyborg_kms_open_options options = {.struct_size = 1};
    INVALID(index_open_with_options, "no size", (m->engine, "misuse", &options, &m->index_out, m->error_at));
    options = (cyborg_kms_open_options){.struct_size = sizeof options, .kek = NULL, .kek_len = 32};
    INVALID(index_open_with_options, "no key", (m->engine, "misuse", &options, &m->index_out, m->error_at));
    INVALID(index_refresh, "no index", (NULL, m->error_at));
    EXPECT(index_retain, cyborg_kms_index *, (NULL), it == NULL);
    SURVIVE(index_free, (NULL));
    EXPECT(index_name, const char *, (NULL), it != NULL && it[0] == 0);
    EXPECT(index_kms_name, const char *, (NULL), it != NULL && it[0] == 0);
    EXPECT(index_provider, const char *, (NULL), it != NULL && it[0] == 0);
    EXPECT(index_key_id, const char *, (NULL), it != NULL && it[0] == 0);
    EXPECT(index_version, uint32_t, (NULL), it == 0);
    EXPECT(index_epoch, uint64_t, (NULL), it == 0);
    EXPECT(index_data_key_id, uint32_t, (NULL), it == 0);
}

static void pages(misuse *m) {
    size_t huge = (size_t)CYBORG_KMS_MAX_PLAINTEXT + 1;
    INVALID(index_encrypt, "no index", (NULL, TEXT, 1, TEXT, 16, m->out, 256, &m->len_out, m->error_at));
    INVALID(index_encrypt, "no AAD", (m->index, NULL, 1, TEXT, 16, m->out, 256, &m->len_out, m->error_at));
    INVALID(index_encrypt, "no text", (m->index, NULL, 0, NULL, 16, m->out, 256, &m->len_out, m->error_at));
    INVALID(index_encrypt, "no output", (m->index, NULL, 0, TEXT, 16, NULL, 256, &m->len_out, m->error_at));
    INVALID(index_encrypt, "no length", (m->index, NULL, 0, TEXT, 16, m->out, 256, NULL, m->error_at));
    INVALID(index_encrypt, "too long",
            (m->index, NULL, 0, TEXT, huge, m->out, 256, &m->len_out, m->error_at));
    INVALID(index_encrypt, "far too long",
            (m->index, NULL, 0, TEXT, SIZE_MAX, m->out, 256, &m->len_out, m->error_at));
    REFUSE(index_encrypt, "small", BUFFER_TOO_SMALL,
           (m->index, NULL, 0, TEXT, 16, m->out, 63, &m->len_out, m->error_at));

    INVALID(index_decrypt, "no index", (NULL, NULL, 0, m->sealed, 64, m->out, 16, &m->len_out, m->error_at));
    INVALID(index_decrypt, "no AAD",
            (m->index, NULL, 1, m->sealed, 64, m->out, 16, &m->len_out, m->error_at));
    INVALID(index_decrypt, "no page", (m->index, NULL, 0, NULL, 64, m->out, 16, &m->len_out, m->error_at));
    INVALID(index_decrypt, "no output",
            (m->index, NULL, 0, m->sealed, 64, NULL, 16, &m->len_out, m->error_at));
    INVALID(index_decrypt, "no length", (m->index, NULL, 0, m->sealed, 64, m->out, 16, NULL, m->error_at));
    REFUSE(index_decrypt, "nothing", CORRUPT,
           (m->index, NULL, 0, NULL, 0, m->out, 16, &m->len_out, m->error_at));
    REFUSE(index_decrypt, "47 bytes", CORRUPT,
           (m->index, NULL, 0, m->sealed, 47, m->out, 16, &m->len_out, m->error_at));
    REFUSE(index_decrypt, "cut", AUTHENTICATION_FAILED,
           (m->index, NULL, 0, m->sealed, 63, m->out, 16, &m->len_out, m->error_at));
    REFUSE(index_decrypt, "small", BUFFER_TOO_SMALL,
           (m->index, NULL, 0, m->sealed, 64, m->out, 15, &m->len_out, m->error_at));
    REFUSE(page_data_key_id, "7 bytes", CORRUPT, (m->sealed, 7, &m->id_out, m->error_at));
    INVALID(page_data_key_id, "no page", (NULL, 8, &m->id_out, m->error_at));
    INVALID(page_data_key_id, "no output", (m->sealed, 8, NULL, m->error_at));
}

static void detached_pages(misuse *m) {
    uint8_t overhead[OVERHEAD] = {0};
    size_t huge = (size_t)CYBORG_KMS_MAX_PLAINTEXT + 1;
    INVALID(index_encrypt_detached, "no index", (NULL, NULL, 0, TEXT, 16, m->out, overhead, m->error_at));
    INVALID(index_encrypt_detached, "no AAD", (m->index, NULL, 1, TEXT, 16, m->out, overhead, m->error_at));
    INVALID(index_encrypt_detached, "no text", (m->index, NULL, 0, NULL, 16, m->out, overhead, m->error_at));
    INVALID(index_encrypt_detached, "no output", (m->index, NULL, 0, TEXT, 16, NULL, overhead, m->error_at));
    INVALID(index_encrypt_detached, "no overhead", (m->index, NULL, 0, TEXT, 16, m->out, NULL, m->error_at));
    INVALID(index_encrypt_detached, "too long",
            (m->index, NULL, 0, TEXT, huge, m->out, overhead, m->error_at));
    INVALID(index_decrypt_detached, "no index", (NULL, NULL, 0, TEXT, 16, overhead, m->out, m->error_at));
    INVALID(index_decrypt_detached, "no AAD", (m->index, NULL, 1, TEXT, 16, overhead, m->out, m->error_at));
    INVALID(index_decrypt_detached, "no text", (m->index, NULL, 0, NULL, 16, overhead, m->out, m->error_at));
    INVALID(index_decrypt_detached, "no overhead", (m->index, NULL, 0, TEXT, 16, NULL, m->out, m->error_at));
    INVALID(index_decrypt_detached, "no output", (m->index, NULL, 0, TEXT, 16, overhead, NULL, m->error_at));
    REFUSE(index_decrypt_detached, "zeros", CORRUPT,
           (m->index, NULL, 0, TEXT, 16, overhead, m->out, m->error_at));
}

static void keys(misuse *m) {
    INVALID(index_generate_data_key, "no index", (NULL, m->out, 32, &m->buffer_out, m->error_at));
    INVALID(index_generate_data_key, "no key", (m->index, NULL, 32, &m->buffer_out, m->error_at));
    INVALID(index_generate_data_key, "short", (m->index, m->out, 31, &m->buffer_out, m->error_at));
    INVALID(index_generate_data_key, "no output", (m->index, m->out, 32, NULL, m->error_at));
    INVALID(index_unwrap_data_key, "no index", (NULL, m->sealed, 64, m->out, 32, m->error_at));
    INVALID(index_unwrap_data_key, "no key", (m->index, NULL, 80, m->out, 32, m->error_at));
    INVALID(index_unwrap_data_key, "no output", (m->index, m->sealed, 64, NULL, 32, m->error_at));
    INVALID(index_unwrap_data_key, "long", (m->index, m->sealed, 64, m->out, 33, m->error_at));
    REFUSE(index_unwrap_data_key, "a page", CORRUPT, (m->index, m->sealed, 64, m->out, 32, m->error_at));
    INVALID(index_derive_key, "no index", (NULL, "label", NULL, 0, m->out, 32, m->error_at));
    INVALID(index_derive_key, "no label", (m->index, NULL, NULL, 0, m->out, 32, m->error_at));
    INVALID(index_derive_key, "label not UTF-8", (m->index, NOT_UTF8, NULL, 0, m->out, 32, m->error_at));
    INVALID(index_derive_key, "no context", (m->index, "label", NULL, 1, m->out, 32, m->error_at));
    INVALID(index_derive_key, "no output", (m->index, "label", NULL, 0, NULL, 32, m->error_at));
    INVALID(index_derive_key, "too long", (m->index, "label", NULL, 0, m->out, 8161, m->error_at));
    INVALID(index_export_kek, "no index", (NULL, 0, m->out, 32, m->error_at));
    INVALID(index_export_kek, "no output", (m->index, 0, NULL, 32, m->error_at));
    INVALID(index_export_kek, "short", (m->index, 0, m->out, 31, m->error_at));
    REFUSE(index_export_kek, "no such version", NOT_FOUND, (m->index, 9, m->out, 32, m->error_at));
}

void misuse_index(misuse *m) {
    opening(m);
    pages(m);
    detached_pages(m);
    keys(m);
}
