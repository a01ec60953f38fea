/* Rotation through the C API: slots, keys of the caller's, exported KEKs, what is retired. */
#include "fixture.h"
#include "memory_store.h"

#define AAD (const uint8_t *)"aad", 3
#define OTHER "    other: {provider: local, key_id: \"%s/other.key\", create: true}\n"

static const uint8_t FIRST[KEY_LEN] = {1}, SECOND[KEY_LEN] = {2};

typedef struct {
    uint8_t sealed[16 + OVERHEAD];
} page;

static page seal(cyborg_kms_index *index) {
    page page;
    size_t len;
    cyborg_kms_error *error = NULL;
    CHECK_OK(cyborg_kms_index_encrypt(index, AAD, (const uint8_t *)"sixteen bytes...", 16, page.sealed,
                                      sizeof page.sealed, &len, &error));
    return page;
}

static void check_opens(cyborg_kms_index *index, const page *page) {
    uint8_t opened[16];
    size_t len;
    cyborg_kms_error *error = NULL;
    if (CHECK_OK(cyborg_kms_index_decrypt(index, AAD, page->sealed, sizeof page->sealed, opened,
                                          sizeof opened, &len, &error)))
        CHECK(memcmp(opened, "sixteen bytes...", 16) == 0);
}

static uint32_t data_key_of(const page *page) {
    uint32_t id = 0;
    cyborg_kms_error *error = NULL;
    CHECK_OK(cyborg_kms_page_data_key_id(page->sealed, 8, &id, &error));
    return id;
}

/* On disk, or over the caller's own store. */
static cyborg_kms_engine *two_slots(cyborg_kms_store *store) {
    char other[512];
    snprintf(other, sizeof other, OTHER, fixture_directory());
    return fixture_engine(fixture_directory(), store, other);
}

static void each_rotation(cyborg_kms_store *store) {
    cyborg_kms_engine *engine = two_slots(store);
    cyborg_kms_index *index = fixture_index(engine, "rotated");
    cyborg_kms_error *error = NULL;
    uint8_t derived[32], again[32], first[KEY_LEN], kek[KEY_LEN];
    page before = seal(index);
    CHECK_OK(cyborg_kms_index_derive_key(index, "label", NULL, 0, derived, sizeof derived, &error));
    CHECK_OK(cyborg_kms_index_export_kek(index, 0, first, sizeof first, &error));

    CHECK_OK(cyborg_kms_index_rotate(engine, "rotated", CYBORG_KMS_ROTATE_REWRAP, "other", &error));
    CHECK(cyborg_kms_index_version(index) == 2 && cyborg_kms_index_epoch(index) == 2);
    CHECK_OK(cyborg_kms_index_rotate(engine, "rotated", CYBORG_KMS_ROTATE_KEK, NULL, &error));
    CHECK(cyborg_kms_index_version(index) == 3 && cyborg_kms_index_epoch(index) == 3);
    CHECK_OK(cyborg_kms_index_rotate(engine, "rotated", CYBORG_KMS_ROTATE_DATA_KEY, NULL, &error));
    CHECK(cyborg_kms_index_version(index) == 3 && cyborg_kms_index_epoch(index) == 4);

    page after = seal(index);
    CHECK(data_key_of(&before) == 1 && data_key_of(&after) == 2 && cyborg_kms_index_data_key_id(index) == 2);
    check_opens(index, &before);
    check_opens(index, &after);
    CHECK_OK(cyborg_kms_index_derive_key(index, "label", NULL, 0, again, sizeof again, &error));
    CHECK(memcmp(derived, again, sizeof derived) == 0);
    for (uint32_t version = 0; version <= 3; version++) {
        CHECK_OK(cyborg_kms_index_export_kek(index, version, kek, sizeof kek, &error));
        CHECK((memcmp(kek, first, sizeof kek) == 0) == (version == 1 || version == 2));
    }

    CHECK_STATUS(CONFLICT, cyborg_kms_index_retire_data_key(engine, "rotated", 1, &error));
    CHECK_OK(cyborg_kms_index_retire_kek(engine, "rotated", 1, &error));
    CHECK_STATUS(NOT_FOUND, cyborg_kms_index_export_kek(index, 2, kek, sizeof kek, &error));
    CHECK_STATUS(NOT_FOUND, cyborg_kms_index_retire_kek(engine, "rotated", 2, &error));
    check_opens(index, &before);
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);
}

static void with_keys(void) {
    cyborg_kms_engine *engine = two_slots(NULL);
    cyborg_kms_index *index = NULL;
    cyborg_kms_error *error = NULL;
    REQUIRE_OK(cyborg_kms_index_create_with_key(engine, "given", NULL, FIRST, KEY_LEN, &index, &error));
    page sealed = seal(index);
    cyborg_kms_index_free(index);

    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_index_rotate(engine, "given", CYBORG_KMS_ROTATE_KEK, NULL, &error));
    CHECK_STATUS(AUTHENTICATION_FAILED,
                 cyborg_kms_index_rotate_with_key(engine, "given", CYBORG_KMS_ROTATE_KEK, NULL, SECOND,
                                                  KEY_LEN, FIRST, KEY_LEN, &error));
    CHECK_OK(cyborg_kms_index_rotate_with_key(engine, "given", CYBORG_KMS_ROTATE_KEK, NULL, FIRST, KEY_LEN,
                                              SECOND, KEY_LEN, &error));
    CHECK_OK(cyborg_kms_index_rotate_with_key(engine, "given", CYBORG_KMS_ROTATE_REWRAP, "local", SECOND,
                                              KEY_LEN, NULL, 0, &error));
    REQUIRE_OK(cyborg_kms_index_open(engine, "given", &index, &error));
    check_opens(index, &sealed);
    cyborg_kms_index_free(index);

    CHECK_OK(cyborg_kms_index_rotate_with_key(engine, "given", CYBORG_KMS_ROTATE_REWRAP, "", NULL, 0, SECOND,
                                              KEY_LEN, &error));
    REQUIRE_OK(cyborg_kms_engine_evict(engine, NULL, &error));
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_index_open(engine, "given", &index, &error));
    REQUIRE_OK(cyborg_kms_index_open_with_key(engine, "given", SECOND, KEY_LEN, &index, &error));
    check_opens(index, &sealed);
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);
}

/* --- at once, over the caller's own store -------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS 20

typedef struct {
    cyborg_kms_store *store;
    _Atomic uint64_t rotated, data_keys;
} race;

/* An engine of its own, as another process has. */
static void *rotate_raced(void *argument) {
    race *all = argument;
    cyborg_kms_engine *engine = two_slots(all->store);
    cyborg_kms_index *index = NULL;
    cyborg_kms_error *error = NULL;
    REQUIRE_OK(cyborg_kms_index_open(engine, "raced", &index, &error));
    for (uint32_t round = 0; round < ROUNDS; round++) {
        cyborg_kms_status status = cyborg_kms_index_rotate(engine, "raced", round % 3, NULL, &error);
        if (status == CYBORG_KMS_OK) {
            all->rotated++;
            all->data_keys += round % 3 == CYBORG_KMS_ROTATE_DATA_KEY;
        } else {
            CHECK_STATUS(CONFLICT, status);
        }
        page sealed = seal(index);
        check_opens(index, &sealed);
    }
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);
    return NULL;
}

static void racing_rotations(void) {
    memory_store memory = {.lock = PTHREAD_MUTEX_INITIALIZER};
    race all = {.store = memory_store_open(&memory, 0)};
    cyborg_kms_engine *engine = two_slots(all.store);
    cyborg_kms_index *index = fixture_index(engine, "raced");
    cyborg_kms_error *error = NULL;
    pthread_t workers[THREADS];
    page before = seal(index);
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&workers[i], NULL, rotate_raced, &all) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i], NULL);
    CHECK_OK(cyborg_kms_index_refresh(index, &error));
    check_opens(index, &before);
    CHECK(all.rotated > 0 && cyborg_kms_index_epoch(index) == 1 + all.rotated);
    CHECK(cyborg_kms_index_data_key_id(index) == 1 + all.data_keys);
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);
    cyborg_kms_store_free(all.store);
    memory_store_clear(&memory);
}

static void over_the_callers_store(void) {
    memory_store memory = {.lock = PTHREAD_MUTEX_INITIALIZER, .caller_only = true, .caller = pthread_self()};
    cyborg_kms_store *store = memory_store_open(&memory, CYBORG_KMS_STORE_CALLER_THREAD);
    each_rotation(store);
    cyborg_kms_store_free(store);
    memory_store_clear(&memory);
}

int main(void) {
    each_rotation(NULL);
    over_the_callers_store();
    with_keys();
    racing_rotations();
    return check_result("rotation");
}
