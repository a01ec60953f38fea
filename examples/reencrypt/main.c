/* reencrypt replace CONFIG FILE KEY [PAGES_PER_SECOND]   seals the pages of data key KEY anew, while the
 * store is in use reencrypt retire CONFIG FILE KEY                       looks for the last of them, and
 * forgets the key reencrypt count CONFIG FILE KEY                        reads every page, and counts those
 * of the key
 *
 * FILE is a file of examples/pagestore. Exits with 3 where the key can't be retired yet.
 */
#define _POSIX_C_SOURCE 200809L

#include "reencrypt.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOT_YET 3

static int report(const char *what, const pagestore_failure *failure) {
    fprintf(stderr, "reencrypt: %s: %s: %s\n", what, cyborg_kms_status_name(failure->status),
            failure->message);
    return 1;
}

/* --- the database, which goes on meanwhile ------------------------------------------------------------- */

typedef struct {
    shared_store *store;
    atomic_bool ends;
    atomic_ulong written;
    bool failed;
} workload;

/* Reads a page and writes it again, as a transaction would, one after the other. */
static void *work(void *argument) {
    workload *load = argument;
    uint8_t page[PAGESTORE_PAGE_LEN];
    pagestore_failure failure;
    uint64_t end = 0, number = 0;
    struct timespec pause = {0, 5000000};
    while (!load->ends && !load->failed) {
        pthread_mutex_lock(&load->store->latch);
        bool works = pagestore_end(load->store->pages, &end, &failure) &&
                     pagestore_read(load->store->pages, number, page, &failure) &&
                     pagestore_write(load->store->pages, number, page, &failure);
        pthread_mutex_unlock(&load->store->latch);
        if (works)
            load->written++;
        else if (failure.status != CYBORG_KMS_NOT_FOUND)
            load->failed = report("the database's own work", &failure) != 0;
        number = end == 0 ? 0 : (number + 37) % end;
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* --- the commands -------------------------------------------------------------------------------------- */

static int replace(cyborg_kms_engine *engine, shared_store *store, uint32_t key, unsigned pages_per_second) {
    workload load = {.store = store};
    pthread_t worker;
    pagestore_failure failure;
    uint64_t resealed = 0;
    if (pthread_create(&worker, NULL, work, &load) != 0) {
        fprintf(stderr, "reencrypt: no thread can be started\n");
        return 1;
    }
    bool done = reencrypt_supersede(engine, store, key, &failure) &&
                reencrypt_pages(store, key, pages_per_second, &resealed, &failure);
    load.ends = true;
    pthread_join(worker, NULL);
    if (!done)
        return report("replace the data key", &failure);
    printf("%llu pages re-sealed; the database wrote %lu meanwhile.\n", (unsigned long long)resealed,
           (unsigned long)load.written);
    return load.failed;
}

static int retire(cyborg_kms_engine *engine, shared_store *store, uint32_t key) {
    pagestore_failure failure;
    char quiet_at[32];
    bool is_quiet;
    uint64_t resealed;
    if (!reencrypt_is_quiet(engine, store, key, quiet_at, &is_quiet, &failure))
        return report("look at the data key", &failure);
    if (!is_quiet) {
        printf("Not yet: other processes may seal with data key %u until %s. Retire it after that.\n", key,
               quiet_at);
        return NOT_YET;
    }
    /* What others sealed before they heard of the rotation. From here on there can't be more. */
    if (!reencrypt_pages(store, key, 0, &resealed, &failure))
        return report("re-seal the last pages", &failure);
    if (!reencrypt_retire(engine, store, key, &failure))
        return report("retire the data key", &failure);
    printf("%llu pages were left. Data key %u is retired: nobody reads what it sealed.\n",
           (unsigned long long)resealed, key);
    return 0;
}

static int count(shared_store *store, uint32_t key) {
    pagestore_failure failure;
    uint64_t of_key, of_others;
    if (!reencrypt_count(store, key, &of_key, &of_others, &failure))
        return report("read the pages", &failure);
    printf("%llu pages of data key %u, %llu of others, all readable\n", (unsigned long long)of_key, key,
           (unsigned long long)of_others);
    return 0;
}

static int run(cyborg_kms_engine *engine, int argc, char **argv) {
    shared_store store = {.latch = PTHREAD_MUTEX_INITIALIZER};
    pagestore_failure failure;
    uint32_t key = (uint32_t)strtoul(argv[4], NULL, 10);
    if (!pagestore_open(engine, argv[3], &store.pages, &failure))
        return report("open the page store", &failure);
    int status = 2;
    if (strcmp(argv[1], "replace") == 0)
        status = replace(engine, &store, key, argc > 5 ? (unsigned)strtoul(argv[5], NULL, 10) : 0);
    else if (strcmp(argv[1], "retire") == 0)
        status = retire(engine, &store, key);
    else if (strcmp(argv[1], "count") == 0)
        status = count(&store, key);
    pagestore_close(store.pages);
    return status;
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: %s replace|retire|count CONFIG FILE KEY [PAGES_PER_SECOND]\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* who watches a log sees how far it is */
    cyborg_kms_engine *engine = NULL;
    cyborg_kms_error *error = NULL;
    if (cyborg_kms_engine_open(argv[2], &engine, &error) != CYBORG_KMS_OK) {
        fprintf(stderr, "reencrypt: open the engine: %s: %s\n",
                cyborg_kms_status_name(cyborg_kms_error_status(error)), cyborg_kms_error_message(error));
        cyborg_kms_error_free(error);
        return 1;
    }
    int status = run(engine, argc, argv);
    cyborg_kms_engine_free(engine);
    return status;
}
