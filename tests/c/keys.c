/* Keys that an index gives out: derived keys, data keys, its KEK; and an index whose KEK the caller brings.
 */
#include "fixture.h"

static cyborg_kms_error *error;

static void derived_keys(cyborg_kms_engine *engine) {
    cyborg_kms_index *index = fixture_index(engine, "derive"), *other = fixture_index(engine, "derive other");
    const uint8_t *context = (const uint8_t *)"column 3";
    uint8_t a[32], b[32], longest[8160];
    CHECK_OK(cyborg_kms_index_derive_key(index, "tokens", context, 8, a, sizeof a, &error));
    CHECK_OK(cyborg_kms_index_derive_key(index, "tokens", context, 8, b, sizeof b, &error));
    CHECK(memcmp(a, b, sizeof a) == 0);
    CHECK_OK(cyborg_kms_index_derive_key(index, "tokens", context, 7, b, sizeof b, &error));
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK_OK(cyborg_kms_index_derive_key(index, "token", context, 8, b, sizeof b, &error));
    CHECK(memcmp(a, b, sizeof a) != 0);
    /* what belongs to the label and what to the context is not confused */
    CHECK_OK(cyborg_kms_index_derive_key(index, "ab", (const uint8_t *)"c", 1, a, sizeof a, &error));
    CHECK_OK(cyborg_kms_index_derive_key(index, "a", (const uint8_t *)"bc", 2, b, sizeof b, &error));
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK_OK(cyborg_kms_index_derive_key(other, "ab", (const uint8_t *)"c", 1, b, sizeof b, &error));
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK_OK(cyborg_kms_index_derive_key(index, "ab", NULL, 0, longest, sizeof longest, &error));
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_index_derive_key(index, "ab", NULL, 0, longest, 8161, &error));

    /* it outlives the process's memory of the index */
    CHECK_OK(cyborg_kms_index_derive_key(index, "tokens", context, 8, a, sizeof a, &error));
    cyborg_kms_index_free(index);
    CHECK_OK(cyborg_kms_engine_evict(engine, NULL, &error));
    REQUIRE_OK(cyborg_kms_index_open(engine, "derive", &index, &error));
    CHECK_OK(cyborg_kms_index_derive_key(index, "tokens", context, 8, b, sizeof b, &error));
    CHECK(memcmp(a, b, sizeof a) == 0);
    cyborg_kms_index_free(index);
    cyborg_kms_index_free(other);
}

static void data_keys(cyborg_kms_engine *engine) {
    cyborg_kms_index *index = fixture_index(engine, "data keys"),
                     *other = fixture_index(engine, "other data keys");
    uint8_t key[KEY_LEN], again[KEY_LEN], page[80];
    size_t len;
    cyborg_kms_buffer *wrapped = NULL, *second = NULL;
    REQUIRE_OK(cyborg_kms_index_generate_data_key(index, key, sizeof key, &wrapped, &error));
    REQUIRE_OK(cyborg_kms_index_generate_data_key(index, again, sizeof again, &second, &error));
    CHECK(memcmp(key, again, sizeof key) != 0);
    cyborg_kms_buffer_free(second);
    const uint8_t *bytes = cyborg_kms_buffer_data(wrapped);
    CHECK(cyborg_kms_buffer_len(wrapped) == 80 && bytes[0] == 2);
    CHECK_OK(cyborg_kms_index_unwrap_data_key(index, bytes, 80, again, sizeof again, &error));
    CHECK(memcmp(key, again, sizeof key) == 0);

    CHECK_STATUS(AUTHENTICATION_FAILED,
                 cyborg_kms_index_unwrap_data_key(other, bytes, 80, again, sizeof again, &error));
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_index_unwrap_data_key(index, bytes, 80, again, 31, &error));
    CHECK_STATUS(CORRUPT, cyborg_kms_index_unwrap_data_key(index, bytes, 47, again, sizeof again, &error));
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_index_generate_data_key(index, key, 33, &second, &error));
    /* a page is not a key, a key is not a page */
    CHECK_STATUS(CORRUPT,
                 cyborg_kms_index_decrypt(index, NULL, 0, bytes, 80, page, sizeof page, &len, &error));
    CHECK_OK(cyborg_kms_index_encrypt(index, NULL, 0, key, sizeof key, page, sizeof page, &len, &error));
    CHECK_STATUS(CORRUPT, cyborg_kms_index_unwrap_data_key(index, page, 80, again, sizeof again, &error));
    cyborg_kms_buffer_free(wrapped);
    cyborg_kms_index_free(index);
    cyborg_kms_index_free(other);
}

static void exported_keks(cyborg_kms_engine *engine) {
    cyborg_kms_index *index = fixture_index(engine, "export"), *again = NULL;
    uint8_t kek[KEY_LEN], first[KEY_LEN];
    CHECK_OK(cyborg_kms_index_export_kek(index, 0, kek, sizeof kek, &error));
    CHECK_OK(cyborg_kms_index_export_kek(index, 1, first, sizeof first, &error));
    CHECK(memcmp(kek, first, sizeof kek) == 0);
    CHECK_STATUS(NOT_FOUND, cyborg_kms_index_export_kek(index, 2, first, sizeof first, &error));
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_index_export_kek(index, 0, first, 31, &error));
    /* an index that a KMS guards takes no key */
    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_index_open_with_key(engine, "export", kek, sizeof kek, &again, &error));
    cyborg_kms_index_free(index);

    /* a key that the caller has, taken into the slot's care */
    fixture_fill(kek, sizeof kek, 99);
    REQUIRE_OK(cyborg_kms_index_create_with_key(engine, "adopted", "local", kek, sizeof kek, &index, &error));
    cyborg_kms_index_free(index);
    REQUIRE_OK(cyborg_kms_index_open(engine, "adopted", &index, &error));
    CHECK_OK(cyborg_kms_index_export_kek(index, 0, first, sizeof first, &error));
    CHECK(memcmp(kek, first, sizeof kek) == 0);
    CHECK(fixture_page_works(index));
    cyborg_kms_index_free(index);
}

static void keys_of_the_caller(cyborg_kms_engine *engine) {
    uint8_t kek[KEY_LEN], wrong[KEY_LEN], sealed[OVERHEAD + 5], opened[5];
    size_t len = 0;
    cyborg_kms_index *index = NULL, *again = NULL;
    REQUIRE_OK(cyborg_kms_random_key(kek, sizeof kek, &error));
    memcpy(wrong, kek, sizeof wrong);
    wrong[31] ^= 1;
    REQUIRE_OK(cyborg_kms_index_create_with_key(engine, "none", NULL, kek, sizeof kek, &index, &error));
    CHECK(strcmp(cyborg_kms_index_provider(index), "none") == 0);
    CHECK_OK(cyborg_kms_index_encrypt(index, NULL, 0, (const uint8_t *)"hello", 5, sealed, sizeof sealed,
                                      &len, &error));
    cyborg_kms_index_free(index);

    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_index_open(engine, "none", &index, &error));
    CHECK_STATUS(AUTHENTICATION_FAILED,
                 cyborg_kms_index_open_with_key(engine, "none", wrong, sizeof wrong, &index, &error));
    CHECK(index == NULL);
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_index_open_with_key(engine, "none", kek, 31, &index, &error));
    REQUIRE_OK(cyborg_kms_index_open_with_key(engine, "none", kek, sizeof kek, &index, &error));
    CHECK_OK(cyborg_kms_index_decrypt(index, NULL, 0, sealed, len, opened, sizeof opened, &len, &error));
    CHECK(len == 5 && memcmp(opened, "hello", 5) == 0);

    cyborg_kms_open_options options = {.struct_size = sizeof options, .kek = kek, .kek_len = sizeof kek};
    CHECK_OK(cyborg_kms_index_open_with_options(engine, "none", &options, &again, &error));
    cyborg_kms_index_free(again);
    options.kek = wrong;
    CHECK_STATUS(AUTHENTICATION_FAILED,
                 cyborg_kms_index_open_with_options(engine, "none", &options, &again, &error));
    cyborg_kms_index_free(index);
    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_index_create_with_key(engine, "short", NULL, kek, 5, &index, &error));
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_index_create(engine, "nobody", NULL, &index, &error));
}

static void random_and_wipe(void) {
    uint8_t a[64], b[64], zero[64] = {0};
    CHECK_OK(cyborg_kms_random_key(a, sizeof a, &error));
    CHECK_OK(cyborg_kms_random_key(b, sizeof b, &error));
    CHECK(memcmp(a, b, sizeof a) != 0);
    cyborg_kms_wipe(a, sizeof a);
    CHECK(memcmp(a, zero, sizeof a) == 0);
    cyborg_kms_wipe(NULL, 0);
}

int main(void) {
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), NULL, "");
    derived_keys(engine);
    data_keys(engine);
    exported_keks(engine);
    keys_of_the_caller(engine);
    random_and_wipe();
    cyborg_kms_engine_free(engine);
    return check_result("keys");
}
