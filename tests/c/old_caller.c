/* Option structs from callers older and newer than the library: a shorter one works, a longer one works as
 * long as what the library does not know is zero. */
#include "fixture.h"
#include "memory_store.h"

#include <stddef.h>

/* A struct of a later header: what is here today and a field more. */
#define NEWER(type)                                                                                          \
    struct {                                                                                                 \
        type now;                                                                                            \
        uint64_t later;                                                                                      \
    }

static cyborg_kms_error *error;

static void open_options(cyborg_kms_engine *engine) {
    cyborg_kms_index *index = NULL;
    NEWER(cyborg_kms_open_options)
    options = {.now = {.capabilities = CYBORG_KMS_CAN_ENCRYPT, .min_epoch = 99}};
    cyborg_kms_index_free(fixture_index(engine, "old caller"));

    /* an older caller's struct ends before min_epoch: what lies behind is not read */
    options.now.struct_size = offsetof(cyborg_kms_open_options, min_epoch);
    CHECK_OK(cyborg_kms_index_open_with_options(engine, "old caller", &options.now, &index, &error));
    cyborg_kms_index_free(index);
    options.now.struct_size = offsetof(cyborg_kms_open_options, kek);
    CHECK_OK(cyborg_kms_index_open_with_options(engine, "old caller", &options.now, &index, &error));
    CHECK(fixture_page_works(index)); /* the capabilities were not read either */
    cyborg_kms_index_free(index);

    options.now.min_epoch = 0;
    options.now.struct_size = sizeof options;
    CHECK_OK(cyborg_kms_index_open_with_options(engine, "old caller", &options.now, &index, &error));
    cyborg_kms_index_free(index);
    options.later = 1;
    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_index_open_with_options(engine, "old caller", &options.now, &index, &error));
    options.now.struct_size = sizeof(size_t) - 1;
    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_index_open_with_options(engine, "old caller", &options.now, &index, &error));
}

static void store_callbacks(void) {
    memory_store memory = {.fails = false};
    cyborg_kms_store *store = NULL;
    NEWER(cyborg_kms_store_callbacks) callbacks = {.now = memory_store_callbacks(0)};
    REQUIRE(pthread_mutex_init(&memory.lock, NULL) == 0);

    callbacks.now.struct_size = offsetof(cyborg_kms_store_callbacks, destroy);
    CHECK_OK(cyborg_kms_store_open_callbacks(&callbacks.now, &memory, &store, &error));
    cyborg_kms_store_free(store);
    CHECK(memory.destroyed == 0);
    callbacks.now.struct_size =
        offsetof(cyborg_kms_store_callbacks, put); /* without what it can't do without */
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_store_open_callbacks(&callbacks.now, &memory, &store, &error));

    callbacks.now.struct_size = sizeof callbacks;
    CHECK_OK(cyborg_kms_store_open_callbacks(&callbacks.now, &memory, &store, &error));
    cyborg_kms_store_free(store);
    CHECK(memory.destroyed == 1);
    callbacks.later = 1;
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_store_open_callbacks(&callbacks.now, &memory, &store, &error));
    CHECK(memory.destroyed == 2);
    memory_store_clear(&memory);
}

static void never_called(const char *key_id, const uint8_t *aad, size_t aad_len, const uint8_t *bytes,
                         size_t len, cyborg_kms_reply *reply, void *user_data) {
    (void)key_id, (void)aad, (void)aad_len, (void)bytes, (void)len, (void)user_data;
    CHECK(!"called");
    cyborg_kms_reply_free(reply);
}

static void count_destroyed(void *user_data) {
    ++*(int *)user_data;
}

static void provider_callbacks(cyborg_kms_engine *engine) {
    int destroyed = 0;
    NEWER(cyborg_kms_provider_callbacks)
    callbacks = {.now = {.wrap = never_called, .unwrap = never_called, .destroy = count_destroyed}};
    callbacks.now.struct_size = offsetof(cyborg_kms_provider_callbacks, destroy);
    CHECK_OK(cyborg_kms_engine_register_provider(engine, "older", &callbacks.now, &destroyed, &error));
    callbacks.now.struct_size = sizeof callbacks;
    callbacks.later = 1;
    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_engine_register_provider(engine, "newer", &callbacks.now, &destroyed, &error));
    CHECK(destroyed == 1);
}

static void stats(cyborg_kms_engine *engine) {
    NEWER(cyborg_kms_stats) out;
    memset(&out, 0xAA, sizeof out);
    out.now.struct_size = offsetof(cyborg_kms_stats, kms_calls);
    CHECK_OK(cyborg_kms_engine_stats(engine, &out.now, &error));
    CHECK(out.now.cache_hits != 0xAAAAAAAAAAAAAAAAu);
    CHECK(out.now.kms_calls == 0xAAAAAAAAAAAAAAAAu); /* behind the caller's struct: not written */
    memset(&out, 0, sizeof out);
    out.now.struct_size = sizeof out;
    CHECK_OK(cyborg_kms_engine_stats(engine, &out.now, &error));
    CHECK(out.now.store_writes > 0 && out.now.struct_size == sizeof out);
}

static void sync_options(cyborg_kms_engine *engine) {
    NEWER(cyborg_kms_sync_options) options = {.now = {.dry_run = true, .requests_per_second = UINT32_MAX}};
    options.now.struct_size = offsetof(cyborg_kms_sync_options, requests_per_second);
    CHECK_OK(cyborg_kms_engine_sync(engine, &options.now, NULL, NULL, NULL, &error));
    options.now.struct_size = sizeof options;
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_engine_sync(engine, &options.now, NULL, NULL, NULL, &error));
    options.now.requests_per_second = 0;
    CHECK_OK(cyborg_kms_engine_sync(engine, &options.now, NULL, NULL, NULL, &error));
    options.later = 1;
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_engine_sync(engine, &options.now, NULL, NULL, NULL, &error));
}

int main(void) {
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), NULL, "");
    open_options(engine);
    store_callbacks();
    provider_callbacks(engine);
    stats(engine);
    sync_options(engine);
    cyborg_kms_engine_free(engine);
    return check_result("old_caller");
}
