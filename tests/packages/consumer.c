/* A user's program: seals and opens a page under a key of its own. */
#include <cyborg_kms.h>
#include <stdio.h>
#include <string.h>

static int failed(const char *what, cyborg_kms_error *error) {
    fprintf(stderr, "%s: %s: %s\n", what, cyborg_kms_status_name(cyborg_kms_error_status(error)),
            cyborg_kms_error_message(error));
    cyborg_kms_error_free(error);
    return 1;
}

int main(void) {
    cyborg_kms_engine *engine = NULL;
    cyborg_kms_index *index = NULL;
    cyborg_kms_error *error = NULL;
    uint8_t kek[CYBORG_KMS_KEY_LEN], sealed[5 + CYBORG_KMS_OVERHEAD], opened[5];
    size_t len;
    if (cyborg_kms_random_key(kek, sizeof kek, &error) != CYBORG_KMS_OK)
        return failed("random key", error);
    if (cyborg_kms_engine_open_yaml("{}", &engine, &error) != CYBORG_KMS_OK)
        return failed("open the engine", error);
    if (cyborg_kms_index_create_with_key(engine, "a", NULL, kek, sizeof kek, &index, &error) != CYBORG_KMS_OK)
        return failed("create the index", error);
    cyborg_kms_engine_free(engine);
    if (cyborg_kms_index_encrypt(index, NULL, 0, (const uint8_t *)"hello", 5, sealed, sizeof sealed, &len,
                                 &error) != CYBORG_KMS_OK)
        return failed("encrypt", error);
    if (cyborg_kms_index_decrypt(index, NULL, 0, sealed, len, opened, sizeof opened, &len, &error) !=
        CYBORG_KMS_OK)
        return failed("decrypt", error);
    cyborg_kms_index_free(index);
    return len == 5 && memcmp(opened, "hello", 5) == 0 ? 0 : 1;
}
