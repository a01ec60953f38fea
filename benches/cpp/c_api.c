#include "c_api.h"

#include <stdio.h>
#include <stdlib.h>

static cyborg_kms_engine *engine;
cyborg_kms_index *sealing;
uint8_t page[PAGE_LEN], sealed[PAGE_LEN + CYBORG_KMS_OVERHEAD];

static void must(cyborg_kms_status status, cyborg_kms_error *error) {
    if (status == CYBORG_KMS_OK)
        return;
    fprintf(stderr, "bench: %s\n", cyborg_kms_error_message(error));
    exit(1);
}

void c_open(const char *yaml) {
    cyborg_kms_error *error = NULL;
    must(cyborg_kms_engine_open_yaml(yaml, &engine, &error), error);
    must(cyborg_kms_index_create(engine, "customers", "prod", &sealing, &error), error);
}

void c_seal(uint64_t calls) {
    cyborg_kms_error *error = NULL;
    size_t len;
    for (; calls; calls--)
        must(cyborg_kms_index_encrypt(sealing, (const uint8_t *)"page 1", 6, page, sizeof page, sealed,
                                      sizeof sealed, &len, &error),
             error);
}

void c_unseal(uint64_t calls) {
    cyborg_kms_error *error = NULL;
    size_t len;
    for (; calls; calls--)
        must(cyborg_kms_index_decrypt(sealing, (const uint8_t *)"page 1", 6, sealed, sizeof sealed, page,
                                      sizeof page, &len, &error),
             error);
}

void c_open_cached(uint64_t calls) {
    cyborg_kms_error *error = NULL;
    cyborg_kms_index *index;
    for (; calls; calls--) {
        must(cyborg_kms_index_open(engine, "customers", &index, &error), error);
        cyborg_kms_index_free(index);
    }
}
