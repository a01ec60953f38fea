/* An index from its creation to its removal: in one process, in the next, with the handles freed in any
 * order. */
#define _POSIX_C_SOURCE 200809L

#include "fixture.h"

#include <sys/wait.h>
#include <unistd.h>

#define AAD ((const uint8_t *)"page 1"), 6

static void create_and_open(void) {
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), NULL, "");
    cyborg_kms_index *index = fixture_index(engine, "lifecycle"), *again = NULL;
    cyborg_kms_error *error = NULL;
    CHECK(strcmp(cyborg_kms_index_name(index), "lifecycle") == 0);
    CHECK(strcmp(cyborg_kms_index_kms_name(index), "local") == 0);
    CHECK(strcmp(cyborg_kms_index_provider(index), "local") == 0);
    CHECK(strstr(cyborg_kms_index_key_id(index), "local.key") != NULL);
    CHECK(cyborg_kms_index_version(index) == 1);
    CHECK(cyborg_kms_index_epoch(index) == 1);
    CHECK(cyborg_kms_index_data_key_id(index) == 1);
    CHECK(fixture_page_works(index));

    CHECK_STATUS(ALREADY_EXISTS, cyborg_kms_index_create(engine, "lifecycle", "local", &again, &error));
    CHECK_OK(cyborg_kms_index_open(engine, "lifecycle", &again, &error));
    CHECK(fixture_page_works(again));
    cyborg_kms_index_free(again);
    CHECK_STATUS(NOT_FOUND, cyborg_kms_index_open(engine, "no such index", &again, &error));
    CHECK(again == NULL);
    CHECK_STATUS(CONFIG, cyborg_kms_index_create(engine, "other", "no such slot", &again, &error));
    CHECK_OK(cyborg_kms_index_refresh(index, &error));
    CHECK(fixture_page_works(index));
    CHECK_OK(cyborg_kms_engine_check(engine, "local", &error));
    CHECK_STATUS(CONFIG, cyborg_kms_engine_check(engine, "no such slot", &error));
    CHECK_OK(cyborg_kms_engine_evict(engine, NULL, &error));
    CHECK(fixture_page_works(index));
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);
}

static void open_with_options(void) {
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), NULL, "");
    cyborg_kms_index_free(fixture_index(engine, "options"));
    cyborg_kms_index *index = NULL;
    cyborg_kms_error *error = NULL;
    uint8_t sealed[OVERHEAD], key[KEY_LEN], plaintext[1];
    size_t len;

    cyborg_kms_open_options options = {.struct_size = sizeof options, .capabilities = CYBORG_KMS_CAN_ENCRYPT};
    REQUIRE_OK(cyborg_kms_index_open_with_options(engine, "options", &options, &index, &error));
    CHECK_OK(cyborg_kms_index_encrypt(index, AAD, NULL, 0, sealed, sizeof sealed, &len, &error));
    CHECK_STATUS(ACCESS_DENIED, cyborg_kms_index_decrypt(index, AAD, sealed, sizeof sealed, plaintext,
                                                         sizeof plaintext, &len, &error));
    CHECK_STATUS(ACCESS_DENIED,
                 cyborg_kms_index_derive_key(index, "label", NULL, 0, key, sizeof key, &error));
    CHECK_STATUS(ACCESS_DENIED, cyborg_kms_index_export_kek(index, 0, key, sizeof key, &error));
    cyborg_kms_index_free(index);

    options = (cyborg_kms_open_options){.struct_size = sizeof options, .min_epoch = 1};
    CHECK_OK(cyborg_kms_index_open_with_options(engine, "options", &options, &index, &error));
    cyborg_kms_index_free(index);
    options.min_epoch = 2;
    CHECK_STATUS(ROLLED_BACK,
                 cyborg_kms_index_open_with_options(engine, "options", &options, &index, &error));
    options = (cyborg_kms_open_options){.struct_size = sizeof options, .flags = 1u << 31};
    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_index_open_with_options(engine, "options", &options, &index, &error));
    options = (cyborg_kms_open_options){.struct_size = sizeof options, .capabilities = 1u << 31};
    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_index_open_with_options(engine, "options", &options, &index, &error));
    options = (cyborg_kms_open_options){.struct_size = sizeof options, .flags = CYBORG_KMS_OPEN_NO_WAIT};
    CHECK_OK(cyborg_kms_index_open_with_options(engine, "options", &options, &index, &error));
    CHECK(fixture_page_works(index));
    cyborg_kms_index_free(index);
    CHECK_OK(cyborg_kms_index_open_with_options(engine, "options", NULL, &index, &error));
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);
}

/* --- the next process ---------------------------------------------------------------------------------- */

static void path_of(char path[256], const char *directory, const char *name) {
    snprintf(path, 256, "%s/%s", directory, name);
}

/* The child: opens what the parent made, and reads the page that it sealed. */
static int open_in_next_process(const char *directory) {
    cyborg_kms_engine *engine = NULL;
    cyborg_kms_index *index = NULL;
    cyborg_kms_error *error = NULL;
    char path[256];
    path_of(path, directory, "db.yaml");
    REQUIRE_OK(cyborg_kms_engine_open(path, &engine, &error));
    REQUIRE_OK(cyborg_kms_index_open(engine, "processes", &index, &error));
    uint8_t sealed[1000 + OVERHEAD], expected[1000], opened[1000];
    path_of(path, directory, "page");
    FILE *file = fopen(path, "rb");
    REQUIRE(file != NULL && fread(sealed, 1, sizeof sealed, file) == sizeof sealed);
    fclose(file);
    fixture_fill(expected, sizeof expected, 42);
    size_t len = 0;
    CHECK_OK(
        cyborg_kms_index_decrypt(index, AAD, sealed, sizeof sealed, opened, sizeof opened, &len, &error));
    CHECK(len == sizeof expected && memcmp(opened, expected, len) == 0);
    cyborg_kms_engine_free(engine);
    cyborg_kms_index_free(index);
    return check_failures > 0;
}

static void write_file(const char *name, const void *bytes, size_t len) {
    char path[256];
    path_of(path, fixture_directory(), name);
    FILE *file = fopen(path, "wb");
    REQUIRE(file != NULL && fwrite(bytes, 1, len, file) == len && fclose(file) == 0);
}

static void next_process(char *program) {
    char *yaml = fixture_yaml(fixture_directory(), true, "");
    write_file("db.yaml", yaml, strlen(yaml));
    free(yaml);
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), NULL, "");
    cyborg_kms_index *index = fixture_index(engine, "processes");
    cyborg_kms_error *error = NULL;
    uint8_t page[1000], sealed[1000 + OVERHEAD];
    size_t len = 0;
    fixture_fill(page, sizeof page, 42);
    REQUIRE_OK(cyborg_kms_index_encrypt(index, AAD, page, sizeof page, sealed, sizeof sealed, &len, &error));
    write_file("page", sealed, len);
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);

    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        execl(program, program, "--open", fixture_directory(), (char *)NULL);
        _exit(127);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* --- handles ------------------------------------------------------------------------------------------- */

typedef struct {
    cyborg_kms_engine *engine;
    cyborg_kms_store *store;
    cyborg_kms_index *index;
} handles;

static void free_one(handles *all, char which) {
    if (which == 'e') {
        cyborg_kms_engine_free(all->engine);
        all->engine = NULL;
    } else if (which == 's') {
        cyborg_kms_store_free(all->store);
        all->store = NULL;
    } else {
        cyborg_kms_index_free(all->index);
        all->index = NULL;
    }
}

/* What is left of the three must go on working, whatever was freed before it. */
static void free_in_order(const char order[3], const char *name) {
    handles all = {NULL, NULL, NULL};
    cyborg_kms_error *error = NULL;
    cyborg_kms_blob *blob = NULL;
    REQUIRE_OK(cyborg_kms_store_open("memory://", &all.store, &error));
    all.engine = fixture_engine(fixture_directory(), all.store, "");
    all.index = fixture_index(all.engine, name);
    for (int i = 0; i < 3; i++) {
        free_one(&all, order[i]);
        if (all.index != NULL)
            CHECK(fixture_page_works(all.index));
        if (all.store != NULL) {
            CHECK_OK(cyborg_kms_get_index_kms(all.store, name, &blob, &error));
            cyborg_kms_blob_free(blob);
        }
        if (all.engine != NULL)
            CHECK_OK(cyborg_kms_engine_evict(all.engine, name, &error));
    }
}

static void retained_handles(void) {
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), NULL, ""), *engine2;
    cyborg_kms_index *index = fixture_index(engine, "retained"), *index2;
    cyborg_kms_store *store = NULL, *store2;
    cyborg_kms_blob *blob = NULL;
    cyborg_kms_error *error = NULL;
    REQUIRE_OK(cyborg_kms_engine_store(engine, &store, &error));
    engine2 = cyborg_kms_engine_retain(engine);
    index2 = cyborg_kms_index_retain(index);
    store2 = cyborg_kms_store_retain(store);
    cyborg_kms_index_free(index);
    cyborg_kms_store_free(store);
    cyborg_kms_engine_free(engine);
    CHECK(fixture_page_works(index2));
    CHECK_OK(cyborg_kms_get_index_kms(store2, "retained", &blob, &error));
    cyborg_kms_blob_free(blob);
    CHECK_OK(cyborg_kms_index_open(engine2, "retained", &index, &error));
    cyborg_kms_index_free(index);
    cyborg_kms_index_free(index2);
    cyborg_kms_store_free(store2);
    cyborg_kms_engine_free(engine2);
}

/* --- the engine ---------------------------------------------------------------------------------------- */

static void reload_and_stats(void) {
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), NULL, "");
    cyborg_kms_index *index = fixture_index(engine, "reload"), *again = NULL;
    cyborg_kms_error *error = NULL;
    cyborg_kms_stats stats = {.struct_size = sizeof stats};
    CHECK_OK(cyborg_kms_engine_stats(engine, &stats, &error));
    CHECK(stats.store_writes >= 1 && stats.kms_errors == 0);

    char *yaml = fixture_yaml(fixture_directory(), true, "    more: {provider: none}\n");
    CHECK_OK(cyborg_kms_engine_reload(engine, yaml, &error));
    free(yaml);
    CHECK_STATUS(CONFIG,
                 cyborg_kms_engine_reload(engine, "kms: {registry: {local: {provider: nonsense}}}", &error));
    CHECK(fixture_page_works(index));
    CHECK_OK(cyborg_kms_index_open(engine, "reload", &again, &error));
    cyborg_kms_index_free(again);
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);

    REQUIRE_OK(cyborg_kms_engine_open_yaml("{}", &engine, &error));
    CHECK_STATUS(CONFIG, cyborg_kms_index_create(engine, "a", "local", &index, &error));
    cyborg_kms_engine_free(engine);
    CHECK_STATUS(CONFIG, cyborg_kms_engine_open("/no/such/file.yaml", &engine, &error));
    CHECK_STATUS(CONFIG, cyborg_kms_engine_open_yaml("storage: {ulr: /tmp}", &engine, &error));
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--open") == 0)
        return open_in_next_process(argv[2]);
    create_and_open();
    open_with_options();
    next_process(argv[0]);
    static const char orders[6][3] = {"esi", "eis", "sei", "sie", "ies", "ise"};
    for (int i = 0; i < 6; i++)
        free_in_order(orders[i], "any order");
    retained_handles();
    reload_and_stats();
    return check_result("lifecycle");
}
