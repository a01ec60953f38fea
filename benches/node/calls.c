/* The calls of bench.mjs from C, each function in nanoseconds for one of `count` calls. Loaded into the same
 * process, so that both are measured by turns over the same library. */
#define _POSIX_C_SOURCE 200809L

#include <cyborg_kms.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PAGE 4096

static cyborg_kms_engine *engine;
static cyborg_kms_index *page_index;
static uint8_t plain[PAGE], sealed[PAGE + CYBORG_KMS_OVERHEAD], opened[PAGE];
static const uint8_t AAD[16];
static size_t len;

static void need(cyborg_kms_status status, cyborg_kms_error *error) {
    if (status == CYBORG_KMS_OK)
        return;
    fprintf(stderr, "calls.c: %s: %s\n", cyborg_kms_status_name(status), cyborg_kms_error_message(error));
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Opens an engine of its own over `yaml`, and its index "page". */
void calls_start(const char *yaml) {
    cyborg_kms_error *error = NULL;
    need(cyborg_kms_engine_open_yaml(yaml, &engine, &error), error);
    need(cyborg_kms_index_create(engine, "page", "local", &page_index, &error), error);
}

double calls_seal(int count) {
    cyborg_kms_error *error = NULL;
    double start = now();
    for (int i = 0; i < count; i++)
        need(cyborg_kms_index_encrypt(page_index, AAD, sizeof AAD, plain, sizeof plain, sealed, sizeof sealed,
                                      &len, &error),
             error);
    return (now() - start) / count;
}

double calls_unseal(int count) {
    cyborg_kms_error *error = NULL;
    double start = now();
    for (int i = 0; i < count; i++)
        need(cyborg_kms_index_decrypt(page_index, AAD, sizeof AAD, sealed, sizeof sealed, opened,
                                      sizeof opened, &len, &error),
             error);
    return (now() - start) / count;
}

double calls_open(int count) {
    cyborg_kms_error *error = NULL;
    double start = now();
    for (int i = 0; i < count; i++) {
        cyborg_kms_index *index = NULL;
        need(cyborg_kms_index_open(engine, "page", &index, &error), error);
        cyborg_kms_index_free(index);
    }
    return (now() - start) / count;
}
