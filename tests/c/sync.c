/* Sync through the C API: what it says, whom it tells, how it is stopped. */
#include "fixture.h"
#include "memory_store.h"

#define INDEXES 20

/* What the progress callback has heard. */
typedef struct {
    pthread_t caller;
    uint64_t calls, failed, stop_after;
} progress;

static bool on_progress(uint64_t done, uint64_t total, const char *index_name, cyborg_kms_status status,
                        void *user_data) {
    progress *heard = user_data;
    CHECK(pthread_equal(pthread_self(), heard->caller));
    CHECK(done == ++heard->calls && total == INDEXES);
    CHECK(strncmp(index_name, "index ", 6) == 0);
    heard->failed += status != CYBORG_KMS_OK;
    return heard->calls != heard->stop_after;
}

/* The slot "local" by another key file, with the former one if it is named. */
static void reload(cyborg_kms_engine *engine, const char *key, const char *former) {
    const char *where = fixture_directory();
    char yaml[1024];
    cyborg_kms_error *error = NULL;
    snprintf(yaml, sizeof yaml,
             "kms: {registry: {local: {provider: local, create: true, key_id: \"%s/%s.key\","
             " former_key_ids: [\"%s/%s.key\"]}}}",
             where, key, where, former);
    REQUIRE_OK(cyborg_kms_engine_reload(engine, yaml, &error));
}

/* Syncs, and looks for words in the report. */
static void check_sync(cyborg_kms_engine *engine, const cyborg_kms_sync_options *options, progress *heard,
                       const char *words) {
    cyborg_kms_buffer *json = NULL;
    cyborg_kms_error *error = NULL;
    if (!CHECK_OK(cyborg_kms_engine_sync(engine, options, heard == NULL ? NULL : on_progress, heard, &json,
                                         &error)))
        return;
    size_t len = cyborg_kms_buffer_len(json);
    char *text = calloc(1, len + 1);
    REQUIRE(text != NULL);
    memcpy(text, cyborg_kms_buffer_data(json), len);
    cyborg_kms_buffer_free(json);
    CHECK(strlen(text) == len && text[0] == '{' && text[len - 1] == '}');
    if (!CHECK(strstr(text, words) != NULL))
        fprintf(stderr, "%s is missing in %s\n", words, text);
    free(text);
}

static void all_of_it(cyborg_kms_store *store) {
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), store, "");
    cyborg_kms_error *error = NULL;
    char name[32];
    cyborg_kms_index *first = NULL;
    for (int i = 0; i < INDEXES; i++) {
        snprintf(name, sizeof name, "index %d", i);
        cyborg_kms_index *index = fixture_index(engine, name);
        if (i == 0)
            first = index;
        else
            cyborg_kms_index_free(index);
    }
    cyborg_kms_sync_options options = {.struct_size = sizeof options, .requests_per_second = 1000000};
    progress heard = {.caller = pthread_self()};
    check_sync(engine, &options, &heard, "\"in_order\":20,");
    CHECK(heard.calls == INDEXES && heard.failed == 0);

    reload(engine, "new", "local");
    options.dry_run = true;
    check_sync(engine, &options, NULL, "\"would_rewrap\":20,");
    options.dry_run = false;
    options.concurrency = 1;
    heard = (progress){.caller = pthread_self(), .stop_after = 5};
    check_sync(engine, &options, &heard, "\"rewrapped\":5,");
    CHECK(heard.calls == 5);
    options.concurrency = 4;
    check_sync(engine, &options, NULL, "\"rewrapped\":15,");
    CHECK(fixture_page_works(first) && cyborg_kms_index_version(first) == 2);

    /* A key that is named nowhere: each index says so, and the call is OK. */
    reload(engine, "third", "fourth");
    heard = (progress){.caller = pthread_self()};
    check_sync(engine, NULL, &heard, "\"failed\":20,");
    CHECK(heard.calls == INDEXES && heard.failed == INDEXES);
    reload(engine, "new", "local");
    check_sync(engine, NULL, NULL, "\"in_order\":20,");
    CHECK_OK(cyborg_kms_engine_sync(engine, NULL, NULL, NULL, NULL, &error));

    /* The scope that it is called through ends it. */
    cyborg_kms_engine *scope = NULL;
    cyborg_kms_buffer *json = NULL;
    cyborg_kms_scope_options scoped = {.struct_size = sizeof scoped};
    REQUIRE_OK(cyborg_kms_engine_scope(engine, &scoped, &scope, &error));
    cyborg_kms_engine_cancel(scope);
    CHECK_STATUS(CANCELLED, cyborg_kms_engine_sync(scope, NULL, NULL, NULL, &json, &error));
    CHECK(json == NULL);
    cyborg_kms_engine_free(scope);
    for (int i = 0; i < INDEXES; i++) {
        snprintf(name, sizeof name, "index %d", i);
        CHECK_OK(cyborg_kms_index_delete(engine, name, NULL, &error));
    }
    cyborg_kms_index_free(first);
    cyborg_kms_engine_free(engine);
}

int main(void) {
    all_of_it(NULL);
    /* A store that is called on its caller's thread only. */
    memory_store memory = {.caller_only = true, .caller = pthread_self()};
    cyborg_kms_store *store = memory_store_open(&memory, CYBORG_KMS_STORE_CALLER_THREAD);
    all_of_it(store);
    cyborg_kms_store_free(store);
    memory_store_clear(&memory);
    return check_result("sync");
}
