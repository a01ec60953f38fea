/* memory DIRECTORY: a process whose memory tests/memory.py looks through. It stops at three points until a
 * line comes in: its index open, its keys evicted, everything freed. It tells its keys as their complements,
 * so that it holds no copy of its own. */
#define _GNU_SOURCE

#include "fixture.h"

#include <sys/prctl.h>

static void tell(const char *name, uint8_t *key, size_t len) {
    printf("%s ", name);
    for (size_t i = 0; i < len; i++)
        printf("%02x", (unsigned char)~key[i]);
    printf("\n");
    cyborg_kms_wipe(key, len);
}

static void stop(const char *where) {
    char line[16];
    printf("stop %s\n", where);
    fflush(stdout);
    REQUIRE(fgets(line, sizeof line, stdin) != NULL);
}

int main(int argc, char **argv) {
    static uint8_t key[KEY_LEN];
    cyborg_kms_error *error = NULL;
    cyborg_kms_buffer *wrapped = NULL;
    REQUIRE(argc == 2);
    /* the debugger is no parent of this process */
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    char *canary = malloc(64);
    REQUIRE(canary != NULL);
    strcpy(canary, "a canary that every dump must show");

    cyborg_kms_engine *engine = fixture_engine(argv[1], NULL, "");
    cyborg_kms_index *index = fixture_index(engine, "memory");
    for (int i = 0; i < 100; i++)
        CHECK(fixture_page_works(index));
    REQUIRE_OK(cyborg_kms_index_export_kek(index, 0, key, sizeof key, &error));
    tell("kek", key, sizeof key);
    REQUIRE_OK(cyborg_kms_index_derive_key(index, "label", NULL, 0, key, sizeof key, &error));
    tell("derived", key, sizeof key);
    REQUIRE_OK(cyborg_kms_index_generate_data_key(index, key, sizeof key, &wrapped, &error));
    tell("generated", key, sizeof key);
    cyborg_kms_buffer_free(wrapped);
    stop("open");

    REQUIRE_OK(cyborg_kms_engine_evict(engine, NULL, &error));
    stop("evicted");

    CHECK(fixture_page_works(index)); /* loads its keys again */
    REQUIRE_OK(cyborg_kms_engine_evict(engine, NULL, &error));
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);
    stop("freed");
    CHECK(canary[0] == 'a');
    free(canary);
    return check_failures > 0;
}
