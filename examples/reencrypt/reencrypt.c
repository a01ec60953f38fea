#define _POSIX_C_SOURCE 200809L

#include "reencrypt.h"

#include "files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* --- the key ------------------------------------------------------------------------------------------- */

bool reencrypt_supersede(cyborg_kms_engine *engine, shared_store *store, uint32_t key,
                         pagestore_failure *failure) {
    cyborg_kms_index *index = pagestore_index(store->pages);
    cyborg_kms_error *error = NULL;
    /* Not from what this process has cached: the rotation of a run before may be newer. */
    if (cyborg_kms_index_refresh(index, &error) != CYBORG_KMS_OK)
        return fail_library(failure, error);
    if (cyborg_kms_index_data_key_id(index) != key) {
        printf("New pages are sealed with data key %u already.\n", cyborg_kms_index_data_key_id(index));
        return true;
    }
    if (cyborg_kms_index_rotate(engine, cyborg_kms_index_name(index), CYBORG_KMS_ROTATE_DATA_KEY, NULL,
                                &error) != CYBORG_KMS_OK)
        return fail_library(failure, error);
    printf("Rotated: new pages are sealed with data key %u.\n", cyborg_kms_index_data_key_id(index));
    return true;
}

/* The value of "quiet_at" of a data key in what cyborg_kms_index_describe gives. A host with a JSON parser
 * uses that. */
static bool find_quiet_at(const char *json, uint32_t key, char quiet_at[32]) {
    char start[32];
    snprintf(start, sizeof start, "{\"id\":%u,", key);
    const char *entry = strstr(json, start);
    const char *end = entry == NULL ? NULL : strchr(entry, '}');
    const char *value = entry == NULL ? NULL : strstr(entry, "\"quiet_at\":\"");
    return value != NULL && value < end && sscanf(value, "\"quiet_at\":\"%31[^\"]\"", quiet_at) == 1;
}

bool reencrypt_is_quiet(cyborg_kms_engine *engine, shared_store *store, uint32_t key, char quiet_at[32],
                        bool *is_quiet, pagestore_failure *failure) {
    cyborg_kms_buffer *buffer = NULL;
    cyborg_kms_error *error = NULL;
    const char *name = cyborg_kms_index_name(pagestore_index(store->pages));
    if (cyborg_kms_index_describe(engine, name, &buffer, &error) != CYBORG_KMS_OK)
        return fail_library(failure, error);
    size_t len = cyborg_kms_buffer_len(buffer);
    char *json = calloc(1, len + 1);
    bool found = false;
    if (json != NULL) {
        memcpy(json, cyborg_kms_buffer_data(buffer), len);
        found = find_quiet_at(json, key, quiet_at);
    }
    free(json);
    cyborg_kms_buffer_free(buffer);
    if (!found)
        return fail(failure, CYBORG_KMS_NOT_FOUND, "there is no such data key, or it is the current one");
    char now[32];
    time_t seconds = time(NULL);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
    *is_quiet = strcmp(now, quiet_at) >= 0; /* both in the one form whose order is that of time */
    return true;
}

/* --- the pages ----------------------------------------------------------------------------------------- */

/* Seals a page anew, if it is the key's. The latch is held for one page, so the database's work goes on
 * between. */
static bool reseal(shared_store *store, uint64_t number, uint32_t key, bool *was_left,
                   pagestore_failure *failure) {
    uint8_t page[PAGESTORE_PAGE_LEN];
    uint32_t id = 0;
    *was_left = false;
    pthread_mutex_lock(&store->latch);
    bool works = pagestore_data_key(store->pages, number, &id, failure);
    if (works && id == key) {
        *was_left = true;
        works = pagestore_read(store->pages, number, page, failure) &&
                pagestore_write(store->pages, number, page, failure);
    }
    pthread_mutex_unlock(&store->latch);
    cyborg_kms_wipe(page, sizeof page);
    return works || failure->status == CYBORG_KMS_NOT_FOUND; /* a page that was never written */
}

static void pause_between(unsigned pages_per_second) {
    if (pages_per_second == 0)
        return;
    struct timespec pause = {pages_per_second == 1,
                             pages_per_second == 1 ? 0 : 1000000000L / pages_per_second};
    nanosleep(&pause, NULL);
}

bool reencrypt_pages(shared_store *store, uint32_t key, unsigned pages_per_second, uint64_t *resealed,
                     pagestore_failure *failure) {
    uint64_t end;
    *resealed = 0;
    if (!pagestore_end(store->pages, &end, failure))
        return false;
    for (uint64_t number = 0; number < end; number++) {
        bool was_left;
        if (!reseal(store, number, key, &was_left, failure))
            return false;
        if (!was_left)
            continue;
        if (++*resealed % 50 == 0)
            printf("%llu pages re-sealed, at page %llu of %llu\n", (unsigned long long)*resealed,
                   (unsigned long long)number, (unsigned long long)end);
        pause_between(pages_per_second);
    }
    return pagestore_sync(store->pages, failure);
}

bool reencrypt_count(shared_store *store, uint32_t key, uint64_t *of_key, uint64_t *of_others,
                     pagestore_failure *failure) {
    uint64_t end;
    uint8_t page[PAGESTORE_PAGE_LEN];
    *of_key = *of_others = 0;
    if (!pagestore_end(store->pages, &end, failure))
        return false;
    for (uint64_t number = 0; number < end; number++) {
        uint32_t id = 0;
        pthread_mutex_lock(&store->latch);
        bool works = pagestore_data_key(store->pages, number, &id, failure) &&
                     pagestore_read(store->pages, number, page, failure);
        pthread_mutex_unlock(&store->latch);
        if (works)
            ++*(id == key ? of_key : of_others);
        else if (failure->status != CYBORG_KMS_NOT_FOUND)
            return false;
    }
    return true;
}

bool reencrypt_retire(cyborg_kms_engine *engine, shared_store *store, uint32_t key,
                      pagestore_failure *failure) {
    cyborg_kms_error *error = NULL;
    const char *name = cyborg_kms_index_name(pagestore_index(store->pages));
    if (cyborg_kms_index_retire_data_key(engine, name, key, &error) != CYBORG_KMS_OK)
        return fail_library(failure, error);
    return true;
}
