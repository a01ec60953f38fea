/* The file, in blocks of 4 KiB:
 *
 *   block 0            header: magic, version, page size, store id, index name
 *   block 1            overheads of pages 0 to 84, 48 bytes each
 *   blocks 2 to 86     pages 0 to 84, ciphertext alone: every page stays aligned to 4 KiB
 *   block 87           overheads of pages 85 to 169, and so on
 *
 * Each page is bound to its place by the AAD: what this is, the store's random id, the page's number. A page
 * that is moved, or brought in from another store of the same index, does not decrypt.
 *
 * A crash between the two writes of a page would leave an overhead that does not fit its ciphertext. So a
 * page is written to FILE.journal first, sealed, and put in its place from there when the store is opened
 * after a crash. A database engine has such a place already, against torn pages: its log, or a double-write
 * buffer for many pages at once, where this one waits for the disk twice for each.
 */
#define _POSIX_C_SOURCE 200809L

#include "pagestore.h"

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION 1
#define STORE_ID_LEN 16
#define NAME_CAPACITY 221 /* the longest index name and its NUL */
#define PAGES_IN_GROUP (PAGESTORE_PAGE_LEN / CYBORG_KMS_OVERHEAD)

static const uint8_t MAGIC[8] = {'P', 'A', 'G', 'E', 'S', 'T', 'O', 'R'};
static const uint8_t AAD_LABEL[8] = {'p', 'a', 'g', 'e', ' ', 'v', '1', 0};

/* Single bytes only, so that the file has one layout on every machine. */
typedef struct {
    uint8_t magic[8];
    uint8_t version;
    uint8_t page_len_log2;
    uint8_t store_id[STORE_ID_LEN];
    char index_name[NAME_CAPACITY];
} file_header;

typedef struct {
    uint8_t label[8];
    uint8_t store_id[STORE_ID_LEN];
    uint8_t page_number[8]; /* big endian */
} page_aad;

/* What the journal holds: the page that was written last. It needs no checksum: a torn one does not decrypt.
 */
typedef struct {
    uint8_t page_number[8]; /* big endian */
    uint8_t overhead[CYBORG_KMS_OVERHEAD];
    uint8_t ciphertext[PAGESTORE_PAGE_LEN];
} journal_entry;

struct pagestore {
    int file, journal;
    char *journal_path;
    file_header header;
    cyborg_kms_index *index;
};

static bool fail_end(pagestore_failure *failure, uint64_t page_number) {
    return fail(failure, CYBORG_KMS_CORRUPT, "the page file ends within page %llu",
                (unsigned long long)page_number);
}

/* --- the file ------------------------------------------------------------------------------------------ */

static uint64_t group_offset(uint64_t page_number) {
    return (1 + page_number / PAGES_IN_GROUP * (PAGES_IN_GROUP + 1)) * PAGESTORE_PAGE_LEN;
}

uint64_t pagestore_overhead_offset(uint64_t page_number) {
    return group_offset(page_number) + page_number % PAGES_IN_GROUP * CYBORG_KMS_OVERHEAD;
}

uint64_t pagestore_page_offset(uint64_t page_number) {
    return group_offset(page_number) + (1 + page_number % PAGES_IN_GROUP) * PAGESTORE_PAGE_LEN;
}

static bool write_header(pagestore *store, const char *path, pagestore_failure *failure) {
    return write_all(store->file, &store->header, sizeof store->header, 0, failure) &&
           pagestore_sync(store, failure) && sync_directory(path, failure);
}

static bool read_header(pagestore *store, pagestore_failure *failure) {
    file_header *header = &store->header;
    size_t got;
    if (!read_up_to(store->file, header, sizeof *header, 0, &got, failure))
        return false;
    if (got < sizeof *header || memcmp(header->magic, MAGIC, sizeof MAGIC) != 0)
        return fail(failure, CYBORG_KMS_CORRUPT, "this is not a page file, or its header is damaged");
    if (header->version != VERSION || header->page_len_log2 != 12)
        return fail(
            failure, CYBORG_KMS_UNSUPPORTED,
            "a page file of version %u with pages of 2^%u bytes; this program reads version %u with 2^12",
            header->version, header->page_len_log2, VERSION);
    if (memchr(header->index_name, 0, NAME_CAPACITY) == NULL)
        return fail(failure, CYBORG_KMS_CORRUPT, "the index name in the page file's header is damaged");
    return true;
}

/* --- the journal --------------------------------------------------------------------------------------- */

static page_aad aad_of(const pagestore *store, uint64_t page_number) {
    page_aad aad;
    memcpy(aad.label, AAD_LABEL, sizeof aad.label);
    memcpy(aad.store_id, store->header.store_id, sizeof aad.store_id);
    for (int i = 0; i < 8; i++)
        aad.page_number[i] = (uint8_t)(page_number >> (56 - 8 * i));
    return aad;
}

static uint64_t number_of(const journal_entry *entry) {
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | entry->page_number[i];
    return number;
}

static bool put_in_place(pagestore *store, uint64_t page_number, const journal_entry *entry,
                         pagestore_failure *failure) {
    return write_all(store->file, entry->ciphertext, sizeof entry->ciphertext,
                     pagestore_page_offset(page_number), failure) &&
           write_all(store->file, entry->overhead, sizeof entry->overhead,
                     pagestore_overhead_offset(page_number), failure) &&
           pagestore_sync(store, failure);
}

static bool write_journal(pagestore *store, const journal_entry *entry, pagestore_failure *failure) {
    if (store->journal < 0) {
        store->journal = open(store->journal_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (store->journal < 0)
            return fail_errno(failure, store->journal_path);
        if (!sync_directory(store->journal_path, failure))
            return false;
    }
    if (!write_all(store->journal, entry, sizeof *entry, 0, failure))
        return false;
    return fdatasync(store->journal) == 0 || fail_errno(failure, "sync the journal");
}

/* What the journal holds may not have reached its place. A torn entry, or one of a key that was retired
 * since, does not decrypt: then the page in its place is whole. */
static bool replay_journal(pagestore *store, pagestore_failure *failure) {
    journal_entry entry;
    uint8_t page[PAGESTORE_PAGE_LEN];
    size_t got;
    store->journal = open(store->journal_path, O_RDWR | O_CLOEXEC);
    if (store->journal < 0)
        return errno == ENOENT || fail_errno(failure, store->journal_path);
    if (!read_up_to(store->journal, &entry, sizeof entry, 0, &got, failure))
        return false;
    if (got < sizeof entry)
        return true;
    page_aad aad = aad_of(store, number_of(&entry));
    cyborg_kms_error *error = NULL;
    cyborg_kms_status status =
        cyborg_kms_index_decrypt_detached(store->index, (const uint8_t *)&aad, sizeof aad, entry.ciphertext,
                                          sizeof entry.ciphertext, entry.overhead, page, &error);
    if (status == CYBORG_KMS_OK)
        return put_in_place(store, number_of(&entry), &entry, failure);
    if (status != CYBORG_KMS_AUTHENTICATION_FAILED && status != CYBORG_KMS_CORRUPT)
        return fail_library(failure, error);
    cyborg_kms_error_free(error);
    return true;
}

/* --- open and close ------------------------------------------------------------------------------------ */

static pagestore *allocate(const char *path, pagestore_failure *failure) {
    static const char SUFFIX[] = ".journal";
    pagestore *store = calloc(1, sizeof *store);
    if (store == NULL) {
        fail_errno(failure, "make a page store");
        return NULL;
    }
    store->file = store->journal = -1;
    store->journal_path = malloc(strlen(path) + sizeof SUFFIX);
    if (store->journal_path == NULL) {
        fail_errno(failure, "make a page store");
        pagestore_close(store);
        return NULL;
    }
    strcpy(store->journal_path, path);
    strcat(store->journal_path, SUFFIX);
    return store;
}

static bool new_header(file_header *header, const char *index_name, pagestore_failure *failure) {
    if (strlen(index_name) >= NAME_CAPACITY)
        return fail(failure, CYBORG_KMS_INVALID_ARGUMENT, "the index name is longer than %d bytes",
                    NAME_CAPACITY - 1);
    cyborg_kms_error *error = NULL;
    if (cyborg_kms_random_key(header->store_id, STORE_ID_LEN, &error) != CYBORG_KMS_OK)
        return fail_library(failure, error);
    memcpy(header->magic, MAGIC, sizeof MAGIC);
    header->version = VERSION;
    header->page_len_log2 = 12;
    strcpy(header->index_name, index_name);
    return true;
}

bool pagestore_create(cyborg_kms_engine *engine, const char *path, const char *index_name,
                      const char *kms_name, pagestore **out, pagestore_failure *failure) {
    *out = NULL;
    pagestore *store = allocate(path, failure);
    if (store == NULL)
        return false;
    if (!new_header(&store->header, index_name, failure))
        goto failed;
    store->file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (store->file < 0) {
        fail_errno(failure, path);
        goto failed;
    }
    /* The index last: what fails before it leaves nothing but a file, which is removed. A crash in between
     * leaves a file that nothing was written to; opening it says NOT_FOUND. */
    if (!write_header(store, path, failure))
        goto failed_file;
    cyborg_kms_error *error = NULL;
    if (cyborg_kms_index_create(engine, index_name, kms_name, &store->index, &error) != CYBORG_KMS_OK) {
        fail_library(failure, error);
        goto failed_file;
    }
    *out = store;
    return true;

failed_file:
    unlink(path);
failed:
    pagestore_close(store);
    return false;
}

bool pagestore_open(cyborg_kms_engine *engine, const char *path, pagestore **out,
                    pagestore_failure *failure) {
    *out = NULL;
    pagestore *store = allocate(path, failure);
    if (store == NULL)
        return false;
    store->file = open(path, O_RDWR | O_CLOEXEC);
    if (store->file < 0) {
        fail_errno(failure, path);
        goto failed;
    }
    if (!read_header(store, failure))
        goto failed;
    cyborg_kms_error *error = NULL;
    if (cyborg_kms_index_open(engine, store->header.index_name, &store->index, &error) != CYBORG_KMS_OK) {
        fail_library(failure, error);
        goto failed;
    }
    if (!replay_journal(store, failure))
        goto failed;
    *out = store;
    return true;

failed:
    pagestore_close(store);
    return false;
}

bool pagestore_sync(pagestore *store, pagestore_failure *failure) {
    return fsync(store->file) == 0 || fail_errno(failure, "sync the page file");
}

void pagestore_close(pagestore *store) {
    if (store == NULL)
        return;
    cyborg_kms_index_free(store->index); /* the key is wiped with the last handle */
    if (store->file >= 0)
        close(store->file);
    if (store->journal >= 0)
        close(store->journal);
    free(store->journal_path);
    free(store);
}

cyborg_kms_index *pagestore_index(const pagestore *store) {
    return store->index;
}

/* --- pages --------------------------------------------------------------------------------------------- */

bool pagestore_write(pagestore *store, uint64_t page_number, const uint8_t page[PAGESTORE_PAGE_LEN],
                     pagestore_failure *failure) {
    page_aad aad = aad_of(store, page_number);
    journal_entry entry;
    cyborg_kms_error *error = NULL;
    memcpy(entry.page_number, aad.page_number, sizeof entry.page_number);
    if (cyborg_kms_index_encrypt_detached(store->index, (const uint8_t *)&aad, sizeof aad, page,
                                          PAGESTORE_PAGE_LEN, entry.ciphertext, entry.overhead,
                                          &error) != CYBORG_KMS_OK)
        return fail_library(failure, error);
    return write_journal(store, &entry, failure) && put_in_place(store, page_number, &entry, failure);
}

/* The overhead of a page that was written. */
static bool read_overhead(pagestore *store, uint64_t page_number, uint8_t overhead[CYBORG_KMS_OVERHEAD],
                          pagestore_failure *failure) {
    static const uint8_t never_written[CYBORG_KMS_OVERHEAD]; /* a hole in the file reads as zeros */
    size_t len;
    if (!read_up_to(store->file, overhead, CYBORG_KMS_OVERHEAD, pagestore_overhead_offset(page_number), &len,
                    failure))
        return false;
    if (len == 0 || (len == CYBORG_KMS_OVERHEAD && memcmp(overhead, never_written, len) == 0))
        return fail(failure, CYBORG_KMS_NOT_FOUND, "page %llu was never written",
                    (unsigned long long)page_number);
    if (len < CYBORG_KMS_OVERHEAD)
        return fail_end(failure, page_number);
    return true;
}

bool pagestore_read(pagestore *store, uint64_t page_number, uint8_t page[PAGESTORE_PAGE_LEN],
                    pagestore_failure *failure) {
    uint8_t overhead[CYBORG_KMS_OVERHEAD];
    size_t page_len;
    if (!read_overhead(store, page_number, overhead, failure) ||
        !read_up_to(store->file, page, PAGESTORE_PAGE_LEN, pagestore_page_offset(page_number), &page_len,
                    failure))
        return false;
    if (page_len < PAGESTORE_PAGE_LEN)
        return fail_end(failure, page_number);

    page_aad aad = aad_of(store, page_number);
    cyborg_kms_error *error = NULL;
    if (cyborg_kms_index_decrypt_detached(store->index, (const uint8_t *)&aad, sizeof aad, page,
                                          PAGESTORE_PAGE_LEN, overhead, page, &error) != CYBORG_KMS_OK)
        return fail_library(failure, error);
    return true;
}

bool pagestore_data_key(pagestore *store, uint64_t page_number, uint32_t *out_id,
                        pagestore_failure *failure) {
    uint8_t overhead[CYBORG_KMS_OVERHEAD];
    cyborg_kms_error *error = NULL;
    if (!read_overhead(store, page_number, overhead, failure))
        return false;
    if (cyborg_kms_page_data_key_id(overhead, sizeof overhead, out_id, &error) != CYBORG_KMS_OK)
        return fail_library(failure, error);
    return true;
}

bool pagestore_end(pagestore *store, uint64_t *out_page_number, pagestore_failure *failure) {
    struct stat status;
    if (fstat(store->file, &status) != 0)
        return fail_errno(failure, "look at the page file");
    uint64_t blocks = ((uint64_t)status.st_size + PAGESTORE_PAGE_LEN - 1) / PAGESTORE_PAGE_LEN;
    *out_page_number = blocks / (PAGES_IN_GROUP + 1) * PAGES_IN_GROUP + blocks % (PAGES_IN_GROUP + 1);
    return true;
}
