#define _POSIX_C_SOURCE 200809L

#include "attacks.h"
#include "pagestore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALTERED_PAGE 500
#define SWAPPED_PAGE 7
#define OTHER_PAGE 8

static bool complain(const char *what) {
    fprintf(stderr, "  FAILED: %s: %s\n", what, strerror(errno));
    return false;
}

/* --- the file as a whole ------------------------------------------------------------------------------- */

static uint8_t *read_file(const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    uint8_t *bytes = NULL;
    long end = -1;
    if (fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) > 0 && fseek(file, 0, SEEK_SET) == 0)
        bytes = malloc((size_t)end);
    if (bytes != NULL && fread(bytes, 1, (size_t)end, file) != (size_t)end) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    *len = bytes == NULL ? 0 : (size_t)end;
    return bytes;
}

static bool write_file(const char *path, const uint8_t *bytes, size_t len) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0)
        return false;
    bool written = write(file, bytes, len) == (ssize_t)len && fsync(file) == 0;
    return close(file) == 0 && written;
}

bool attack_read_plaintext(const char *path, const char *plaintext) {
    size_t len, needle = strlen(plaintext);
    uint8_t *bytes = read_file(path, &len);
    if (bytes == NULL)
        return complain(path);
    size_t found = 0;
    for (size_t i = 0; i + needle <= len; i++)
        found += memcmp(bytes + i, plaintext, needle) == 0;
    free(bytes);
    printf(
        "  Searched the %zu bytes of the file for the text that every page holds, \"%s\": found %zu times.\n",
        len, plaintext, found);
    return found == 0;
}

/* --- altered files ------------------------------------------------------------------------------------- */

/* Reads one page of a file. True if that is refused with `expected`. */
static bool is_refused(const char *config, const char *path, uint64_t page_number,
                       cyborg_kms_status expected) {
    cyborg_kms_engine *engine = NULL;
    cyborg_kms_error *error = NULL;
    if (cyborg_kms_engine_open(config, &engine, &error) != CYBORG_KMS_OK) {
        fprintf(stderr, "  FAILED: %s: %s\n", cyborg_kms_status_name(cyborg_kms_error_status(error)),
                cyborg_kms_error_message(error));
        cyborg_kms_error_free(error);
        return false;
    }
    pagestore *store = NULL;
    pagestore_failure failure = {CYBORG_KMS_OK, "it was read, as if nothing had happened"};
    uint8_t page[PAGESTORE_PAGE_LEN];
    if (pagestore_open(engine, path, &store, &failure))
        pagestore_read(store, page_number, page, &failure);
    pagestore_close(store);
    cyborg_kms_engine_free(engine);

    bool refused = failure.status == expected;
    printf("  %s: %s: %s\n", refused ? "Refused" : "NOT REFUSED AS IT MUST BE",
           cyborg_kms_status_name(failure.status), failure.message);
    return refused;
}

static void turn_a_bit(uint8_t *file) {
    file[pagestore_page_offset(ALTERED_PAGE) + 1234] ^= 0x10;
}

static void swap(uint8_t *a, uint8_t *b, size_t len) {
    for (size_t i = 0; i < len; i++) {
        uint8_t kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

static void swap_pages(uint8_t *file) {
    swap(file + pagestore_page_offset(SWAPPED_PAGE), file + pagestore_page_offset(OTHER_PAGE),
         PAGESTORE_PAGE_LEN);
    swap(file + pagestore_overhead_offset(SWAPPED_PAGE), file + pagestore_overhead_offset(OTHER_PAGE),
         CYBORG_KMS_OVERHEAD);
}

/* Applies `change` to a copy of the file, then reads a page of it. */
static bool attack_copy(const char *config, const char *path, void (*change)(uint8_t *),
                        uint64_t page_number) {
    char copy[4096];
    if (snprintf(copy, sizeof copy, "%s.altered", path) >= (int)sizeof copy) {
        errno = ENAMETOOLONG;
        return complain(path);
    }
    size_t len;
    uint8_t *bytes = read_file(path, &len);
    if (bytes == NULL)
        return complain(path);
    change(bytes);
    bool written = write_file(copy, bytes, len);
    free(bytes);
    if (!written)
        return complain(copy);
    bool refused = is_refused(config, copy, page_number, CYBORG_KMS_AUTHENTICATION_FAILED);
    unlink(copy);
    return refused;
}

bool attack_alter_page(const char *config, const char *path) {
    printf("  Turned one bit over in page %d of a copy of the file, and read that page.\n", ALTERED_PAGE);
    return attack_copy(config, path, turn_a_bit, ALTERED_PAGE);
}

bool attack_swap_pages(const char *config, const char *path) {
    printf("  Exchanged pages %d and %d, overheads too, in a copy of the file, and read page %d.\n",
           SWAPPED_PAGE, OTHER_PAGE, SWAPPED_PAGE);
    return attack_copy(config, path, swap_pages, SWAPPED_PAGE);
}

/* --- another key --------------------------------------------------------------------------------------- */

bool attack_wrong_key(const char *config, const char *path, const char *key_file) {
    char kept[4096];
    if (snprintf(kept, sizeof kept, "%s.kept", key_file) >= (int)sizeof kept) {
        errno = ENAMETOOLONG;
        return complain(key_file);
    }
    uint8_t key[CYBORG_KMS_KEY_LEN];
    cyborg_kms_error *error = NULL;
    if (cyborg_kms_random_key(key, sizeof key, &error) != CYBORG_KMS_OK) {
        fprintf(stderr, "  FAILED: %s: %s\n", cyborg_kms_status_name(cyborg_kms_error_status(error)),
                cyborg_kms_error_message(error));
        cyborg_kms_error_free(error);
        return false;
    }
    printf("  Put another key file in the place of the right one, and opened the store.\n");
    if (rename(key_file, kept) != 0)
        return complain(key_file);
    bool refused = write_file(key_file, key, sizeof key)
                       ? is_refused(config, path, 0, CYBORG_KMS_AUTHENTICATION_FAILED)
                       : complain(key_file);
    cyborg_kms_wipe(key, sizeof key);
    if (rename(kept, key_file) != 0)
        return complain(kept);
    return refused;
}
