#define _XOPEN_SOURCE 700

#include "fixture.h"

#include <ftw.h>
#include <unistd.h>

_Atomic int check_failures, check_count;

int check_result(const char *program) {
    printf("%s: %d checks, %d failed\n", program, check_count, check_failures);
    return check_failures > 0;
}

/* --- the directory ------------------------------------------------------------------------------------- */

static char directory[64];
static pid_t owner;

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *position) {
    (void)status, (void)type, (void)position;
    return remove(path);
}

static void remove_directory(void) {
    if (getpid() == owner)
        nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fixture_directory(void) {
    if (directory[0] == 0) {
        strcpy(directory, "/tmp/cyborg_kms_test_XXXXXX");
        REQUIRE(mkdtemp(directory) != NULL);
        owner = getpid();
        atexit(remove_directory);
    }
    return directory;
}

/* --- engines and indexes ------------------------------------------------------------------------------- */

char *fixture_yaml(const char *where, bool with_storage, const char *more) {
    char storage[256] = "";
    if (with_storage)
        snprintf(storage, sizeof storage, "storage: {url: \"%s/store\"}\n", where);
    size_t capacity = strlen(more) + 1024;
    char *yaml = malloc(capacity);
    REQUIRE(yaml != NULL);
    snprintf(yaml, capacity,
             "%skms:\n"
             "  registry:\n"
             "    local: {provider: local, key_id: \"%s/local.key\", create: true}\n"
             "%s",
             storage, where, more);
    return yaml;
}

cyborg_kms_engine *fixture_engine(const char *where, cyborg_kms_store *store, const char *more) {
    char *yaml = fixture_yaml(where, store == NULL, more);
    cyborg_kms_engine *engine = NULL;
    cyborg_kms_error *error = NULL;
    if (store == NULL)
        REQUIRE_OK(cyborg_kms_engine_open_yaml(yaml, &engine, &error));
    else
        REQUIRE_OK(cyborg_kms_engine_open_yaml_with_store(yaml, store, &engine, &error));
    free(yaml);
    return engine;
}

cyborg_kms_index *fixture_index(cyborg_kms_engine *engine, const char *name) {
    cyborg_kms_index *index = NULL;
    cyborg_kms_error *error = NULL;
    REQUIRE_OK(cyborg_kms_index_create(engine, name, "local", &index, &error));
    return index;
}

/* --- pages --------------------------------------------------------------------------------------------- */

void fixture_fill(uint8_t *bytes, size_t len, unsigned seed) {
    unsigned state = seed * 2654435761u + 12345;
    for (size_t i = 0; i < len; i++) {
        state = state * 1103515245u + 12345;
        bytes[i] = (uint8_t)(state >> 16);
    }
}

bool fixture_page_works(cyborg_kms_index *index) {
    uint8_t plaintext[100], sealed[100 + OVERHEAD], opened[100];
    size_t sealed_len = 0, opened_len = 0;
    cyborg_kms_error *error = NULL;
    fixture_fill(plaintext, sizeof plaintext, 7);
    return CHECK_OK(cyborg_kms_index_encrypt(index, (const uint8_t *)"aad", 3, plaintext, sizeof plaintext,
                                             sealed, sizeof sealed, &sealed_len, &error)) &&
           CHECK(sealed_len == sizeof sealed) &&
           CHECK_OK(cyborg_kms_index_decrypt(index, (const uint8_t *)"aad", 3, sealed, sealed_len, opened,
                                             sizeof opened, &opened_len, &error)) &&
           CHECK(opened_len == sizeof opened && memcmp(opened, plaintext, sizeof opened) == 0);
}
