/* Stores and their records: the four functions and the list on memory, disk and a store of the caller's own.
 */
#include "fixture.h"
#include "memory_store.h"

static cyborg_kms_error *error;

/* --- records ------------------------------------------------------------------------------------------- */

static cyborg_kms_blob *new_blob(const char *key_id, uint32_t version) {
    static const uint8_t wrapped[] = {1, 2, 3, 4, 5};
    cyborg_kms_blob *blob = cyborg_kms_blob_new();
    REQUIRE(blob != NULL);
    CHECK_OK(cyborg_kms_blob_set_kms_name(blob, "prod", &error));
    CHECK_OK(cyborg_kms_blob_set_provider(blob, "a provider that nobody knows", &error));
    CHECK_OK(cyborg_kms_blob_set_key_id(blob, key_id, &error));
    CHECK_OK(cyborg_kms_blob_set_region(blob, "eu-west-1", &error));
    CHECK_OK(cyborg_kms_blob_set_wrapped_kek(blob, wrapped, sizeof wrapped, &error));
    CHECK_OK(cyborg_kms_blob_set_version(blob, version, &error));
    CHECK_OK(cyborg_kms_blob_set_created_at(blob, -5, &error));
    return blob;
}

static void check_blob(const cyborg_kms_blob *blob, const char *key_id, uint32_t version) {
    size_t len = 0;
    CHECK(strcmp(cyborg_kms_blob_kms_name(blob, &len), "prod") == 0 && len == 4);
    CHECK(strcmp(cyborg_kms_blob_provider(blob, NULL), "a provider that nobody knows") == 0);
    CHECK(strcmp(cyborg_kms_blob_key_id(blob, &len), key_id) == 0 && len == strlen(key_id));
    CHECK(strcmp(cyborg_kms_blob_region(blob, &len), "eu-west-1") == 0 && len == 9);
    const uint8_t *wrapped = cyborg_kms_blob_wrapped_kek(blob, &len);
    CHECK(len == 5 && wrapped != NULL && wrapped[0] == 1 && wrapped[4] == 5);
    CHECK(cyborg_kms_blob_version(blob) == version);
    CHECK(cyborg_kms_blob_created_at(blob) == -5);
}

static void records(void) {
    cyborg_kms_blob *blob = new_blob("key", 3), *decoded = NULL;
    cyborg_kms_buffer *encoded = NULL;
    check_blob(blob, "key", 3);
    REQUIRE_OK(cyborg_kms_blob_encode(blob, &encoded, &error));
    const uint8_t *bytes = cyborg_kms_buffer_data(encoded);
    size_t len = cyborg_kms_buffer_len(encoded);
    REQUIRE_OK(cyborg_kms_blob_decode(bytes, len, &decoded, &error));
    check_blob(decoded, "key", 3);
    cyborg_kms_blob_free(decoded);
    for (size_t shorter = 0; shorter < 20; shorter++)
        CHECK_STATUS(CORRUPT, cyborg_kms_blob_decode(bytes, shorter, &decoded, &error));
    CHECK(decoded == NULL);
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_blob_set_version(blob, 0, &error));
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_blob_set_key_id(blob, "\xC3\x28", &error));
    check_blob(blob, "key", 3); /* a refused value changes nothing */
    cyborg_kms_buffer_free(encoded);
    cyborg_kms_blob_free(blob);
}

/* --- any store ----------------------------------------------------------------------------------------- */

typedef struct {
    char text[256];
    size_t stop_after, seen;
} names;

static bool append(const char *name, void *user_data) {
    names *list = user_data;
    strcat(strcat(list->text, name), " ");
    return ++list->seen != list->stop_after;
}

static void check_list(cyborg_kms_store *store, const char *start_after, size_t stop_after,
                       const char *expected) {
    names list = {.stop_after = stop_after};
    CHECK_OK(cyborg_kms_list_index_kms(store, start_after, append, &list, &error));
    if (!CHECK(strcmp(list.text, expected) == 0))
        fprintf(stderr, "  listed: %s; expected: %s\n", list.text, expected);
}

static void four_functions(cyborg_kms_store *store) {
    cyborg_kms_blob *blob = new_blob("first", 1), *second = new_blob("second", 2), *got = NULL;
    check_list(store, NULL, 0, "");
    CHECK_OK(cyborg_kms_create_index_kms(store, "b", blob, &error));
    CHECK_STATUS(ALREADY_EXISTS, cyborg_kms_create_index_kms(store, "b", second, &error));
    REQUIRE_OK(cyborg_kms_get_index_kms(store, "b", &got, &error));
    check_blob(got, "first", 1);
    cyborg_kms_blob_free(got);
    CHECK_OK(cyborg_kms_push_index_kms(store, "b", second, &error));
    CHECK_OK(cyborg_kms_push_index_kms(store, "b", second, &error));
    REQUIRE_OK(cyborg_kms_get_index_kms(store, "b", &got, &error));
    check_blob(got, "second", 2);
    cyborg_kms_blob_free(got);
    CHECK_OK(cyborg_kms_push_index_kms(store, "a", blob, &error));
    CHECK_OK(cyborg_kms_push_index_kms(store, "c", blob, &error));
    check_list(store, NULL, 0, "a b c ");
    check_list(store, NULL, 2, "a b ");
    check_list(store, "a", 0, "b c ");
    check_list(store, "aa", 0, "b c ");
    check_list(store, "c", 0, "");
    CHECK_OK(cyborg_kms_delete_index_kms(store, "b", &error));
    CHECK_OK(cyborg_kms_delete_index_kms(store, "b", &error));
    CHECK_STATUS(NOT_FOUND, cyborg_kms_get_index_kms(store, "b", &got, &error));
    CHECK(got == NULL);
    check_list(store, NULL, 0, "a c ");
    cyborg_kms_blob_free(blob);
    cyborg_kms_blob_free(second);
}

static void memory_and_disk(void) {
    char path[256], url[300];
    cyborg_kms_store *store = NULL;
    REQUIRE_OK(cyborg_kms_store_open("memory://", &store, &error));
    four_functions(store);
    cyborg_kms_store_free(store);
    snprintf(path, sizeof path, "%s/four functions", fixture_directory());
    REQUIRE_OK(cyborg_kms_store_open(path, &store, &error));
    four_functions(store);
    cyborg_kms_store_free(store);
    snprintf(url, sizeof url, "file://%s/four-functions", fixture_directory());
    REQUIRE_OK(cyborg_kms_store_open(url, &store, &error));
    four_functions(store);
    cyborg_kms_store_free(store);
}

/* --- the caller's own ---------------------------------------------------------------------------------- */

static void callbacks(bool on_another_thread) {
    memory_store memory = {.on_another_thread = on_another_thread};
    cyborg_kms_store *store = memory_store_open(&memory, 0);
    four_functions(store);
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), store, "");
    cyborg_kms_index *index = fixture_index(engine, "mine"), *again = NULL;
    CHECK_OK(cyborg_kms_index_open(engine, "mine", &again, &error));
    CHECK(fixture_page_works(again));
    cyborg_kms_store_free(store);
    CHECK_OK(cyborg_kms_index_refresh(index, &error));
    CHECK(fixture_page_works(index));
    CHECK(memory.destroyed == 0);
    cyborg_kms_index_free(index);
    cyborg_kms_index_free(again);
    cyborg_kms_engine_free(engine);
    CHECK(memory.destroyed == 1);
    memory_store_clear(&memory);
}

static void caller_thread(void) {
    memory_store memory = {.caller_only = true, .caller = pthread_self()};
    cyborg_kms_store *store = memory_store_open(&memory, CYBORG_KMS_STORE_CALLER_THREAD);
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), store, "");
    cyborg_kms_index *index = fixture_index(engine, "caller"), *again = NULL;
    CHECK_OK(cyborg_kms_engine_evict(engine, NULL, &error));
    CHECK_OK(cyborg_kms_index_open(engine, "caller", &again, &error));
    CHECK_OK(cyborg_kms_index_refresh(index, &error));
    CHECK(memory.gets > 0 && memory.puts > 0);
    cyborg_kms_index_free(index);
    cyborg_kms_index_free(again);
    cyborg_kms_engine_free(engine);
    cyborg_kms_store_free(store);
    memory_store_clear(&memory);
}

static void failing_callbacks(void) {
    memory_store memory = {.fails = true};
    cyborg_kms_store *store = memory_store_open(&memory, 0);
    cyborg_kms_blob *blob = new_blob("key", 1), *got = NULL;
    names list = {.stop_after = 0};
    CHECK_STATUS(STORAGE, cyborg_kms_create_index_kms(store, "a", blob, &error));
    CHECK_STATUS(STORAGE, cyborg_kms_get_index_kms(store, "a", &got, &error));
    CHECK_STATUS(STORAGE, cyborg_kms_push_index_kms(store, "a", blob, &error));
    CHECK_STATUS(STORAGE, cyborg_kms_delete_index_kms(store, "a", &error));
    CHECK_STATUS(STORAGE, cyborg_kms_list_index_kms(store, NULL, append, &list, &error));
    memory.fails = false;
    memory.forgets = true;
    CHECK_STATUS(INTERNAL, cyborg_kms_create_index_kms(store, "a", blob, &error));
    CHECK_STATUS(INTERNAL, cyborg_kms_get_index_kms(store, "a", &got, &error));
    CHECK_STATUS(INTERNAL, cyborg_kms_delete_index_kms(store, "a", &error));
    memory.forgets = false;
    CHECK_OK(cyborg_kms_create_index_kms(store, "a", blob, &error));
    cyborg_kms_blob_free(blob);
    cyborg_kms_store_free(store);
    CHECK(memory.destroyed == 1);
    memory_store_clear(&memory);
}

static void refused_callbacks(void) {
    memory_store memory = {.fails = false};
    cyborg_kms_store *store = NULL;
    cyborg_kms_store_callbacks broken = memory_store_callbacks(0);
    broken.get = NULL;
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_store_open_callbacks(&broken, &memory, &store, &error));
    CHECK(store == NULL && memory.destroyed == 1); /* destroyed though it was not taken */
    broken = memory_store_callbacks(1u << 31);
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_store_open_callbacks(&broken, &memory, &store, &error));
    CHECK(store == NULL && memory.destroyed == 2);
}

int main(void) {
    records();
    memory_and_disk();
    callbacks(false);
    callbacks(true);
    caller_thread();
    failing_callbacks();
    refused_callbacks();
    return check_result("store");
}
