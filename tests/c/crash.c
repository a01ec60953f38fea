/* crash DIRECTORY STEP: one step on the index "crash", killed by tests/crash.py at each of its system calls,
 * or at some moment. Prints the status; an index that opens must work, and `check` reads every page that was
 * ever kept.
 *
 *   create open          the index
 *   prepare              the index, pages, and what it derives
 *   rewrap move kek data-key disable enable     one change; move is a rewrap by another slot
 *   storm                keeps pages and changes keys, without an end
 *   check                opens, reads every page, derives
 */
#include "fixture.h"

#include <dirent.h>
#include <unistd.h>

#define PAGE 100
#define PREPARED 8 /* pages of before any rotation */
#define KEPT 64    /* further ones, of which the oldest is written over */
#define DERIVED "%s/derived"

static const char *directory;

/* --- files --------------------------------------------------------------------------------------------- */

static size_t read_file(const char *path, uint8_t *bytes, size_t capacity) {
    FILE *file = fopen(path, "rb");
    REQUIRE(file != NULL);
    size_t len = fread(bytes, 1, capacity, file);
    fclose(file);
    return len;
}

/* Whole or not at all, whenever this process is killed. */
static void keep_file(const char *path, const uint8_t *bytes, size_t len) {
    char temporary[512];
    snprintf(temporary, sizeof temporary, "%s/temporary", directory);
    FILE *file = fopen(temporary, "wb");
    REQUIRE(file != NULL && fwrite(bytes, 1, len, file) == len && fclose(file) == 0);
    REQUIRE(rename(temporary, path) == 0);
}

/* --- pages --------------------------------------------------------------------------------------------- */

static size_t aad_of(unsigned number, char aad[16]) {
    return (size_t)snprintf(aad, 16, "page %u", number);
}

static void page_path(unsigned number, char path[512]) {
    snprintf(path, 512, "%s/pages/%u", directory, number);
}

static void keep_page(cyborg_kms_index *index, unsigned number) {
    uint8_t plaintext[PAGE], sealed[PAGE + OVERHEAD];
    char aad[16], path[512];
    size_t len;
    cyborg_kms_error *error = NULL;
    fixture_fill(plaintext, sizeof plaintext, number);
    REQUIRE_OK(cyborg_kms_index_encrypt(index, (const uint8_t *)aad, aad_of(number, aad), plaintext,
                                        sizeof plaintext, sealed, sizeof sealed, &len, &error));
    page_path(number, path);
    keep_file(path, sealed, len);
}

static void check_page(cyborg_kms_index *index, unsigned number) {
    uint8_t plaintext[PAGE], sealed[PAGE + OVERHEAD], opened[PAGE];
    char aad[16], path[512];
    size_t len;
    cyborg_kms_error *error = NULL;
    page_path(number, path);
    REQUIRE(read_file(path, sealed, sizeof sealed) == sizeof sealed);
    fixture_fill(plaintext, sizeof plaintext, number);
    if (CHECK_OK(cyborg_kms_index_decrypt(index, (const uint8_t *)aad, aad_of(number, aad), sealed,
                                          sizeof sealed, opened, sizeof opened, &len, &error)))
        CHECK(memcmp(opened, plaintext, sizeof opened) == 0);
}

/* Returns how many there are. */
static unsigned check_pages(cyborg_kms_index *index) {
    char path[512];
    snprintf(path, sizeof path, "%s/pages", directory);
    DIR *pages = opendir(path);
    REQUIRE(pages != NULL);
    unsigned count = 0;
    for (struct dirent *entry; (entry = readdir(pages)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        check_page(index, (unsigned)strtoul(entry->d_name, NULL, 10));
        count++;
    }
    closedir(pages);
    return count;
}

/* --- steps --------------------------------------------------------------------------------------------- */

static void derive(cyborg_kms_index *index, uint8_t derived[32]) {
    cyborg_kms_error *error = NULL;
    REQUIRE_OK(cyborg_kms_index_derive_key(index, "crash", NULL, 0, derived, 32, &error));
}

static void prepare(cyborg_kms_engine *engine) {
    cyborg_kms_index *index = fixture_index(engine, "crash");
    uint8_t derived[32];
    char path[512];
    for (unsigned number = 0; number < PREPARED; number++)
        keep_page(index, number);
    derive(index, derived);
    snprintf(path, sizeof path, DERIVED, directory);
    keep_file(path, derived, sizeof derived);
    cyborg_kms_index_free(index);
}

static int check(cyborg_kms_engine *engine) {
    cyborg_kms_index *index = NULL;
    cyborg_kms_error *error = NULL;
    uint8_t derived[32], expected[32], kek[KEY_LEN];
    char path[512];
    REQUIRE_OK(cyborg_kms_index_enable(engine, "crash", &error));
    REQUIRE_OK(cyborg_kms_index_open(engine, "crash", &index, &error));
    unsigned pages = check_pages(index);
    CHECK(pages >= PREPARED && fixture_page_works(index));
    derive(index, derived);
    snprintf(path, sizeof path, DERIVED, directory);
    CHECK(read_file(path, expected, sizeof expected) == 32 && memcmp(derived, expected, 32) == 0);
    for (uint32_t version = 1; version <= cyborg_kms_index_version(index); version++)
        CHECK_OK(cyborg_kms_index_export_kek(index, version, kek, sizeof kek, &error));
    printf("OK version %u epoch %llu data_key %u slot %s pages %u\n", cyborg_kms_index_version(index),
           (unsigned long long)cyborg_kms_index_epoch(index), cyborg_kms_index_data_key_id(index),
           cyborg_kms_index_kms_name(index), pages);
    cyborg_kms_index_free(index);
    return check_failures > 0;
}

static int change(cyborg_kms_engine *engine, const char *step) {
    cyborg_kms_error *error = NULL;
    if (strcmp(step, "disable") == 0)
        return !CHECK_OK(cyborg_kms_index_disable(engine, "crash", &error));
    if (strcmp(step, "enable") == 0)
        return !CHECK_OK(cyborg_kms_index_enable(engine, "crash", &error));
    cyborg_kms_rotation rotation = CYBORG_KMS_ROTATE_REWRAP;
    const char *slot = strcmp(step, "move") == 0 ? "other" : NULL;
    if (strcmp(step, "kek") == 0)
        rotation = CYBORG_KMS_ROTATE_KEK;
    else if (strcmp(step, "data-key") == 0)
        rotation = CYBORG_KMS_ROTATE_DATA_KEY;
    return !CHECK_OK(cyborg_kms_index_rotate(engine, "crash", rotation, slot, &error));
}

static void storm(cyborg_kms_engine *engine) {
    static const char *const steps[] = {"kek", "data-key", "move", "rewrap"};
    cyborg_kms_index *index = NULL;
    cyborg_kms_error *error = NULL;
    REQUIRE_OK(cyborg_kms_index_open(engine, "crash", &index, &error));
    printf("started\n");
    fflush(stdout);
    for (unsigned round = (unsigned)getpid();; round++) {
        REQUIRE(change(engine, steps[round % 4]) == 0);
        keep_page(index, PREPARED + round % KEPT);
        REQUIRE(change(engine, "disable") == 0);
        CHECK_STATUS(KEY_DISABLED, cyborg_kms_index_refresh(index, &error));
        REQUIRE(check_failures == 0 && change(engine, "enable") == 0);
    }
}

static int open_or_create(cyborg_kms_engine *engine, bool create) {
    cyborg_kms_index *index = NULL;
    cyborg_kms_error *error = NULL;
    cyborg_kms_status status = create ? cyborg_kms_index_create(engine, "crash", "local", &index, &error)
                                      : cyborg_kms_index_open(engine, "crash", &index, &error);
    bool works = status != CYBORG_KMS_OK || fixture_page_works(index);
    printf("%s %s\n", cyborg_kms_status_name(status), error == NULL ? "" : cyborg_kms_error_message(error));
    cyborg_kms_error_free(error);
    cyborg_kms_index_free(index);
    return works ? 0 : 1;
}

int main(int argc, char **argv) {
    REQUIRE(argc == 3);
    const char *step = argv[2];
    char other[640];
    directory = argv[1];
    snprintf(other, sizeof other, "    other: {provider: local, key_id: \"%s/other.key\", create: true}\n",
             directory);
    cyborg_kms_engine *engine = fixture_engine(directory, NULL, other);
    int failed = 0;
    if (strcmp(step, "create") == 0 || strcmp(step, "open") == 0)
        failed = open_or_create(engine, strcmp(step, "create") == 0);
    else if (strcmp(step, "prepare") == 0)
        prepare(engine);
    else if (strcmp(step, "check") == 0)
        failed = check(engine);
    else if (strcmp(step, "storm") == 0)
        storm(engine);
    else
        failed = change(engine, step);
    cyborg_kms_engine_free(engine);
    return failed;
}
