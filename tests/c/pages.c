/* Pages: apart, in place, detached, empty, with buffers that are too small or overlap, altered, moved. */
#include "fixture.h"

#define AAD ((const uint8_t *)"page 1"), 6
#define LEN 4096

static cyborg_kms_index *index_, *other;
static cyborg_kms_error *error;
static uint8_t plain[LEN], sealed[LEN + OVERHEAD], buffer[3 * (LEN + OVERHEAD)];
static size_t len;

static bool is_zero(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

static void seal_plain(void) {
    fixture_fill(plain, LEN, 1);
    REQUIRE_OK(cyborg_kms_index_encrypt(index_, AAD, plain, LEN, sealed, sizeof sealed, &len, &error));
    REQUIRE(len == sizeof sealed);
}

static void every_length(void) {
    static const size_t lengths[] = {0, 1, 15, 16, 17, 63, 64, 255, 4095, 4096};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        size_t n = lengths[i];
        uint8_t opened[LEN];
        fixture_fill(plain, LEN, (unsigned)n);
        CHECK_OK(cyborg_kms_index_encrypt(index_, AAD, n == 0 ? NULL : plain, n, sealed, sizeof sealed, &len,
                                          &error));
        CHECK(len == n + OVERHEAD);
        CHECK(sealed[0] == 1 && is_zero(sealed + 1, 3));
        CHECK_OK(cyborg_kms_index_decrypt(index_, AAD, sealed, len, n == 0 ? NULL : opened, n, &len, &error));
        CHECK(len == n && memcmp(plain, opened, n) == 0);
    }
    seal_plain();
    uint8_t first[LEN + OVERHEAD];
    memcpy(first, sealed, sizeof first);
    seal_plain();
    CHECK(memcmp(first, sealed, sizeof first) != 0); /* a nonce of its own each time */
}

static void too_small(void) {
    seal_plain();
    memset(buffer, 0xAA, sizeof buffer);
    CHECK_STATUS(BUFFER_TOO_SMALL,
                 cyborg_kms_index_encrypt(index_, AAD, plain, LEN, buffer, LEN + OVERHEAD - 1, &len, &error));
    CHECK(len == LEN + OVERHEAD && buffer[0] == 0xAA && buffer[LEN] == 0xAA);
    CHECK_STATUS(BUFFER_TOO_SMALL, cyborg_kms_index_encrypt(index_, AAD, plain, LEN, NULL, 0, &len, &error));
    CHECK(len == LEN + OVERHEAD);
    CHECK_STATUS(BUFFER_TOO_SMALL,
                 cyborg_kms_index_decrypt(index_, AAD, sealed, sizeof sealed, buffer, LEN - 1, &len, &error));
    CHECK(len == LEN && buffer[0] == 0xAA);
}

static void in_place(void) {
    /* encrypt: out is the plaintext, which is moved up; decrypt: out is the sealed page, the plaintext moves
     * down */
    fixture_fill(plain, LEN, 2);
    memcpy(buffer, plain, LEN);
    CHECK_OK(cyborg_kms_index_encrypt(index_, AAD, buffer, LEN, buffer, LEN + OVERHEAD, &len, &error));
    memcpy(sealed, buffer, sizeof sealed);
    CHECK_OK(
        cyborg_kms_index_decrypt(index_, AAD, buffer, LEN + OVERHEAD, buffer, LEN + OVERHEAD, &len, &error));
    CHECK(len == LEN && memcmp(buffer, plain, LEN) == 0);

    /* the plaintext 32 bytes behind, where nothing moves */
    memcpy(buffer + 32, plain, LEN);
    CHECK_OK(cyborg_kms_index_encrypt(index_, AAD, buffer + 32, LEN, buffer, LEN + OVERHEAD, &len, &error));
    CHECK_OK(cyborg_kms_index_decrypt(index_, AAD, buffer, LEN + OVERHEAD, buffer + 32, LEN, &len, &error));
    CHECK(len == LEN && memcmp(buffer + 32, plain, LEN) == 0);

    CHECK_OK(cyborg_kms_index_decrypt(index_, AAD, sealed, sizeof sealed, buffer, LEN, &len, &error));
    CHECK(memcmp(buffer, plain, LEN) == 0);
}

static void refused_overlaps(void) {
    static const size_t places[] = {1, 16, 31, 33, 48, LEN - 1, LEN + OVERHEAD - 1};
    uint8_t *middle = buffer + LEN + OVERHEAD;
    seal_plain();
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        size_t far = places[i];
        CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_index_encrypt(index_, AAD, middle + far, LEN, middle,
                                                                LEN + OVERHEAD, &len, &error));
        if (far < LEN) {
            CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_index_encrypt(index_, AAD, middle - far, LEN, middle,
                                                                    LEN + OVERHEAD, &len, &error));
            CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_index_decrypt(index_, AAD, middle, LEN + OVERHEAD,
                                                                    middle - far, LEN, &len, &error));
        }
        CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_index_decrypt(index_, AAD, middle, LEN + OVERHEAD,
                                                                middle + far, LEN, &len, &error));
        CHECK(len == 0);
    }
    uint8_t overhead[OVERHEAD];
    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_index_encrypt_detached(index_, AAD, middle, LEN, middle + 1, overhead, &error));
    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_index_decrypt_detached(index_, AAD, middle, LEN, overhead, middle - 1, &error));
}

static void detached(void) {
    uint8_t overhead[OVERHEAD], cipher[LEN];
    fixture_fill(plain, LEN, 3);
    CHECK_OK(cyborg_kms_index_encrypt_detached(index_, AAD, plain, LEN, cipher, overhead, &error));
    CHECK_OK(cyborg_kms_index_decrypt_detached(index_, AAD, cipher, LEN, overhead, buffer, &error));
    CHECK(memcmp(buffer, plain, LEN) == 0);
    /* the same bytes as an attached page: header and nonce, ciphertext, tag */
    memcpy(sealed, overhead, 32);
    memcpy(sealed + 32, cipher, LEN);
    memcpy(sealed + 32 + LEN, overhead + 32, 16);
    CHECK_OK(cyborg_kms_index_decrypt(index_, AAD, sealed, sizeof sealed, buffer, LEN, &len, &error));
    CHECK(memcmp(buffer, plain, LEN) == 0);
    /* the overhead is written while the input is read: never in one place */
    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_index_encrypt_detached(index_, AAD, plain, LEN, cipher, plain + 8, &error));
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_index_encrypt_detached(index_, overhead + 4, 8, plain, LEN,
                                                                     cipher, overhead, &error));
    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_index_encrypt_detached(index_, AAD, plain, LEN, cipher, cipher + 8, &error));
    /* in place, and empty */
    memcpy(buffer, plain, LEN);
    CHECK_OK(cyborg_kms_index_encrypt_detached(index_, AAD, buffer, LEN, buffer, overhead, &error));
    CHECK(memcmp(buffer, plain, LEN) != 0);
    CHECK_OK(cyborg_kms_index_decrypt_detached(index_, AAD, buffer, LEN, overhead, buffer, &error));
    CHECK(memcmp(buffer, plain, LEN) == 0);
    CHECK_OK(cyborg_kms_index_encrypt_detached(index_, AAD, NULL, 0, NULL, overhead, &error));
    CHECK_OK(cyborg_kms_index_decrypt_detached(index_, AAD, NULL, 0, overhead, NULL, &error));
    overhead[40] ^= 1;
    CHECK_STATUS(AUTHENTICATION_FAILED,
                 cyborg_kms_index_decrypt_detached(index_, AAD, NULL, 0, overhead, NULL, &error));
}

static void altered(void) {
    /* format, reserved, data key id, nonce, ciphertext, tag */
    static const struct {
        size_t at;
        cyborg_kms_status expected;
    } places[] = {{0, CYBORG_KMS_CORRUPT},
                  {2, CYBORG_KMS_CORRUPT},
                  {4, CYBORG_KMS_CORRUPT},
                  {8, CYBORG_KMS_AUTHENTICATION_FAILED},
                  {31, CYBORG_KMS_AUTHENTICATION_FAILED},
                  {32, CYBORG_KMS_AUTHENTICATION_FAILED},
                  {LEN + 31, CYBORG_KMS_AUTHENTICATION_FAILED},
                  {LEN + 47, CYBORG_KMS_AUTHENTICATION_FAILED}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        seal_plain();
        sealed[places[i].at] ^= 0x40;
        memset(buffer, 0xAA, LEN);
        cyborg_kms_status status =
            cyborg_kms_index_decrypt(index_, AAD, sealed, sizeof sealed, buffer, LEN, &len, &error);
        check_status(status, places[i].expected, &error, "an altered page", __FILE__, (int)places[i].at);
        CHECK(len == 0);
        CHECK(memcmp(buffer, plain, 64) != 0); /* no plaintext after a failure */
        CHECK(cyborg_kms_index_decrypt(index_, AAD, sealed, sizeof sealed, sealed, LEN, &len, NULL) !=
              CYBORG_KMS_OK);
        if (places[i].expected == CYBORG_KMS_AUTHENTICATION_FAILED)
            CHECK(is_zero(sealed, LEN)); /* it was in place */
    }
    seal_plain();
    CHECK_STATUS(CORRUPT,
                 cyborg_kms_index_decrypt(index_, AAD, sealed, OVERHEAD - 1, buffer, LEN, &len, &error));
    CHECK_STATUS(AUTHENTICATION_FAILED,
                 cyborg_kms_index_decrypt(index_, AAD, sealed, sizeof sealed - 1, buffer, LEN, &len, &error));
    CHECK_STATUS(AUTHENTICATION_FAILED, cyborg_kms_index_decrypt(index_, (const uint8_t *)"page 2", 6, sealed,
                                                                 sizeof sealed, buffer, LEN, &len, &error));
    CHECK_STATUS(AUTHENTICATION_FAILED,
                 cyborg_kms_index_decrypt(index_, NULL, 0, sealed, sizeof sealed, buffer, LEN, &len, &error));
    CHECK_STATUS(AUTHENTICATION_FAILED,
                 cyborg_kms_index_decrypt(other, AAD, sealed, sizeof sealed, buffer, LEN, &len, &error));
}

static void data_key_id(void) {
    uint32_t id = 0;
    seal_plain();
    CHECK_OK(cyborg_kms_page_data_key_id(sealed, sizeof sealed, &id, &error));
    CHECK(id == cyborg_kms_index_data_key_id(index_));
    id = 0;
    CHECK_OK(cyborg_kms_page_data_key_id(sealed, 8, &id, &error));
    CHECK(id == cyborg_kms_index_data_key_id(index_));
    CHECK_STATUS(CORRUPT, cyborg_kms_page_data_key_id(sealed, 7, &id, &error));
    CHECK(id == 0);
    sealed[0] = 9;
    CHECK_STATUS(CORRUPT, cyborg_kms_page_data_key_id(sealed, sizeof sealed, &id, &error));
}

int main(void) {
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), NULL, "");
    index_ = fixture_index(engine, "pages");
    other = fixture_index(engine, "other pages");
    every_length();
    too_small();
    in_place();
    refused_overlaps();
    detached();
    altered();
    data_key_id();
    cyborg_kms_index_free(index_);
    cyborg_kms_index_free(other);
    cyborg_kms_engine_free(engine);
    return check_result("pages");
}
