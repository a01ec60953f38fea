/* pagestore write CONFIG FILE             creates FILE and writes 1,000 pages to it
 * pagestore read CONFIG FILE              reads them all
 * pagestore watch CONFIG FILE             the same, then page after page until the key's owner says no
 * pagestore verify CONFIG FILE KEY_FILE   in another process: reads them all, then attacks the file
 */
#define _POSIX_C_SOURCE 200809L

#include "attacks.h"
#include "pagestore.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define PAGES 1000
#define INDEX_NAME "accounts"
#define KMS_NAME "prod" /* the slot of the configuration's registry that guards the index's key */
#define PLAINTEXT "Balance of account"

static int report(const char *what, const pagestore_failure *failure) {
    fprintf(stderr, "pagestore: %s: %s: %s\n", what, cyborg_kms_status_name(failure->status),
            failure->message);
    return 1;
}

static cyborg_kms_engine *open_engine(const char *config) {
    cyborg_kms_engine *engine = NULL;
    cyborg_kms_error *error = NULL;
    if (cyborg_kms_engine_open(config, &engine, &error) != CYBORG_KMS_OK) {
        fprintf(stderr, "pagestore: open the engine: %s: %s\n",
                cyborg_kms_status_name(cyborg_kms_error_status(error)), cyborg_kms_error_message(error));
        cyborg_kms_error_free(error);
    }
    return engine;
}

/* What a database would have in its buffer pool: a page full of rows. */
static void fill_page(uint8_t page[PAGESTORE_PAGE_LEN], unsigned page_number) {
    memset(page, 0, PAGESTORE_PAGE_LEN);
    for (unsigned row = 0; row < 64; row++)
        snprintf((char *)page + row * 64, 64, PLAINTEXT " %06u-%02u: %u.00", page_number, row,
                 page_number * 31 + row);
}

/* --- the first process --------------------------------------------------------------------------------- */

static bool write_pages(pagestore *store, pagestore_failure *failure) {
    uint8_t page[PAGESTORE_PAGE_LEN];
    for (unsigned i = 0; i < PAGES; i++) {
        fill_page(page, i);
        if (!pagestore_write(store, i, page, failure))
            return false;
    }
    return pagestore_sync(store, failure);
}

static int run_write(const char *config, const char *path) {
    cyborg_kms_engine *engine = open_engine(config);
    if (engine == NULL)
        return 1;
    pagestore *store = NULL;
    pagestore_failure failure;
    int status = 0;
    if (!pagestore_create(engine, path, INDEX_NAME, KMS_NAME, &store, &failure))
        status = report("create the page store", &failure);
    else if (!write_pages(store, &failure))
        status = report("write pages", &failure);
    pagestore_close(store);
    cyborg_kms_engine_free(engine);
    if (status == 0) {
        printf("  Created index \"%s\": a random key, wrapped by slot \"%s\".\n", INDEX_NAME, KMS_NAME);
        printf("  Wrote %d encrypted pages of %d bytes to %s, synced and closed it.\n", PAGES,
               PAGESTORE_PAGE_LEN, path);
    }
    return status;
}

/* --- the second process -------------------------------------------------------------------------------- */

static bool verify_pages(pagestore *store, pagestore_failure *failure) {
    uint8_t page[PAGESTORE_PAGE_LEN], expected[PAGESTORE_PAGE_LEN];
    for (unsigned i = 0; i < PAGES; i++) {
        if (!pagestore_read(store, i, page, failure))
            return false;
        fill_page(expected, i);
        if (memcmp(page, expected, sizeof page) != 0) {
            failure->status = CYBORG_KMS_CORRUPT;
            snprintf(failure->message, sizeof failure->message, "page %u is not what was written", i);
            return false;
        }
    }
    return true;
}

static int run_verify(const char *config, const char *path) {
    cyborg_kms_engine *engine = open_engine(config);
    if (engine == NULL)
        return 1;
    pagestore *store = NULL;
    pagestore_failure failure;
    int status = 0;
    if (!pagestore_open(engine, path, &store, &failure))
        status = report("open the page store", &failure);
    else if (!verify_pages(store, &failure))
        status = report("verify pages", &failure);
    pagestore_close(store);
    cyborg_kms_engine_free(engine);
    if (status == 0)
        printf("  Opened the store again: all %d pages decrypt to what was written.\n", PAGES);
    return status;
}

/* --- a process that is still there when the key is disabled -------------------------------------------- */

static void read_on(pagestore *store, pagestore_failure *failure) {
    uint8_t page[PAGESTORE_PAGE_LEN];
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    for (unsigned long reads = 0; pagestore_read(store, reads % PAGES, page, failure); reads++)
        nanosleep(&pause, NULL);
}

/* Success is that the key was disabled. */
static int run_watch(const char *config, const char *path) {
    cyborg_kms_engine *engine = open_engine(config);
    if (engine == NULL)
        return 1;
    pagestore *store = NULL;
    pagestore_failure failure;
    int status = 1;
    if (!pagestore_open(engine, path, &store, &failure) || !verify_pages(store, &failure)) {
        report("read the pages", &failure);
    } else {
        printf("  Opened the store: all %d pages decrypt; reading on.\n", PAGES);
        fflush(stdout);
        read_on(store, &failure);
        printf("  Reading ended: %s: %s\n", cyborg_kms_status_name(failure.status), failure.message);
        status = failure.status != CYBORG_KMS_KEY_DISABLED;
    }
    pagestore_close(store);
    cyborg_kms_engine_free(engine);
    return status;
}

static int run_attacks(const char *config, const char *path, const char *key_file) {
    unsigned failed = 0;
    failed += !attack_read_plaintext(path, PLAINTEXT);
    failed += !attack_alter_page(config, path);
    failed += !attack_swap_pages(config, path);
    failed += !attack_wrong_key(config, path, key_file);
    if (failed > 0)
        fprintf(stderr, "pagestore: %u attacks were not refused as they must be\n", failed);
    return failed > 0;
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "write") == 0)
        return run_write(argv[2], argv[3]);
    if (argc == 5 && strcmp(argv[1], "verify") == 0)
        return run_verify(argv[2], argv[3]) || run_attacks(argv[2], argv[3], argv[4]);
    if (argc == 4 && strcmp(argv[1], "read") == 0)
        return run_verify(argv[2], argv[3]);
    if (argc == 4 && strcmp(argv[1], "watch") == 0)
        return run_watch(argv[2], argv[3]);
    fprintf(stderr, "usage: %s write|read|watch CONFIG FILE\n       %s verify CONFIG FILE KEY_FILE\n",
            argv[0], argv[0]);
    return 2;
}
