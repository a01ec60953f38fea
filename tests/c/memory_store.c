#include "memory_store.h"

/* --- answers ------------------------------------------------------------------------------------------- */

typedef struct {
    cyborg_kms_reply *reply;
    cyborg_kms_status status;
    uint8_t *bytes;
    size_t len;
    uint64_t revision;
} answer;

static void *give(void *argument) {
    answer *a = argument;
    if (a->status == CYBORG_KMS_OK)
        cyborg_kms_reply_bytes(a->reply, a->bytes, a->len, a->revision);
    else
        cyborg_kms_reply_error(a->reply, a->status, NULL, "the test's store says so");
    free(a->bytes);
    free(a);
    return NULL;
}

static void reply(memory_store *store, cyborg_kms_reply *to, cyborg_kms_status status,
                  const memory_record *record, bool with_bytes) {
    answer *a = calloc(1, sizeof *a);
    pthread_t thread;
    REQUIRE(a != NULL);
    a->reply = to;
    a->status = status;
    a->revision = record == NULL ? 0 : record->revision;
    if (with_bytes) {
        a->len = record->len;
        a->bytes = malloc(a->len + 1);
        REQUIRE(a->bytes != NULL);
        memcpy(a->bytes, record->bytes, a->len);
    }
    if (store->on_another_thread)
        REQUIRE(pthread_create(&thread, NULL, give, a) == 0 && pthread_detach(thread) == 0);
    else
        give(a);
}

/* Whether the call was answered already, by one of the failures that the test asked for. */
static bool answered(memory_store *store, cyborg_kms_reply *to) {
    if (store->caller_only)
        CHECK(pthread_equal(pthread_self(), store->caller));
    if (store->forgets)
        cyborg_kms_reply_free(to);
    else if (store->fails)
        cyborg_kms_reply_error(to, CYBORG_KMS_STORAGE, "EIO", "the test's disk is broken");
    return store->forgets || store->fails;
}

/* --- records ------------------------------------------------------------------------------------------- */

/* Where the record is, or would be. */
static memory_record **place(memory_store *store, const char *name) {
    memory_record **at = &store->first;
    while (*at != NULL && strcmp((*at)->name, name) < 0)
        at = &(*at)->next;
    return at;
}

static memory_record *find(memory_store *store, const char *name) {
    memory_record *record = *place(store, name);
    return record != NULL && strcmp(record->name, name) == 0 ? record : NULL;
}

static memory_record *insert(memory_store *store, const char *name) {
    memory_record **at = place(store, name), *record = calloc(1, sizeof *record);
    REQUIRE(record != NULL && strlen(name) < sizeof record->name);
    strcpy(record->name, name);
    record->next = *at;
    *at = record;
    return record;
}

static void drop(memory_store *store, const char *name) {
    memory_record **at = place(store, name), *record = *at;
    *at = record->next;
    free(record->bytes);
    free(record);
}

static void get(const char *name, cyborg_kms_reply *to, void *user_data) {
    memory_store *store = user_data;
    store->gets++;
    if (answered(store, to))
        return;
    pthread_mutex_lock(&store->lock);
    memory_record *record = find(store, name);
    reply(store, to, record == NULL ? CYBORG_KMS_NOT_FOUND : CYBORG_KMS_OK, record, record != NULL);
    pthread_mutex_unlock(&store->lock);
}

static cyborg_kms_status compare(const memory_record *record, uint64_t expected) {
    if (expected == CYBORG_KMS_REVISION_ANY)
        return CYBORG_KMS_OK;
    if (expected == CYBORG_KMS_REVISION_ABSENT)
        return record == NULL ? CYBORG_KMS_OK : CYBORG_KMS_ALREADY_EXISTS;
    return record != NULL && record->revision == expected ? CYBORG_KMS_OK : CYBORG_KMS_CONFLICT;
}

static void put(const char *name, const uint8_t *data, size_t len, uint64_t expected, cyborg_kms_reply *to,
                void *user_data) {
    memory_store *store = user_data;
    store->puts++;
    if (answered(store, to))
        return;
    pthread_mutex_lock(&store->lock);
    memory_record *record = find(store, name);
    cyborg_kms_status status = compare(record, expected);
    if (status == CYBORG_KMS_OK) {
        if (record == NULL)
            record = insert(store, name);
        free(record->bytes);
        record->bytes = malloc(len + 1);
        REQUIRE(record->bytes != NULL);
        memcpy(record->bytes, data, len);
        record->len = len;
        record->revision = ++store->last_revision;
    }
    reply(store, to, status, record, false);
    pthread_mutex_unlock(&store->lock);
}

static void remove_record(const char *name, uint64_t expected, cyborg_kms_reply *to, void *user_data) {
    memory_store *store = user_data;
    if (answered(store, to))
        return;
    pthread_mutex_lock(&store->lock);
    memory_record *record = find(store, name);
    cyborg_kms_status status = record == NULL ? CYBORG_KMS_NOT_FOUND : compare(record, expected);
    if (status == CYBORG_KMS_OK)
        drop(store, name);
    reply(store, to, status, NULL, false);
    pthread_mutex_unlock(&store->lock);
}

static void list(const char *start_after, cyborg_kms_name_callback name, void *name_data,
                 cyborg_kms_reply *to, void *user_data) {
    memory_store *store = user_data;
    if (answered(store, to))
        return;
    pthread_mutex_lock(&store->lock);
    memory_record *record = store->first;
    while (record != NULL && start_after != NULL && strcmp(record->name, start_after) <= 0)
        record = record->next;
    while (record != NULL && name(record->name, name_data))
        record = record->next;
    reply(store, to, CYBORG_KMS_OK, NULL, false);
    pthread_mutex_unlock(&store->lock);
}

static void destroy(void *user_data) {
    memory_store *store = user_data;
    store->destroyed++;
}

/* --- open and close ------------------------------------------------------------------------------------ */

cyborg_kms_store_callbacks memory_store_callbacks(uint32_t flags) {
    return (cyborg_kms_store_callbacks){.struct_size = sizeof(cyborg_kms_store_callbacks),
                                        .flags = flags,
                                        .get = get,
                                        .put = put,
                                        .remove = remove_record,
                                        .list = list,
                                        .destroy = destroy};
}

cyborg_kms_store *memory_store_open(memory_store *store, uint32_t flags) {
    cyborg_kms_store_callbacks callbacks = memory_store_callbacks(flags);
    cyborg_kms_store *handle = NULL;
    cyborg_kms_error *error = NULL;
    REQUIRE(pthread_mutex_init(&store->lock, NULL) == 0);
    REQUIRE_OK(cyborg_kms_store_open_callbacks(&callbacks, store, &handle, &error));
    return handle;
}

void memory_store_clear(memory_store *store) {
    while (store->first != NULL)
        drop(store, store->first->name);
    pthread_mutex_destroy(&store->lock);
}
