/* A small page store: fixed pages of 4 KiB in one file, each encrypted under the key of one index.
 *
 * A store belongs to one thread at a time; the engine that it is opened with may serve many.
 */
#ifndef PAGESTORE_H
#define PAGESTORE_H

#include <cyborg_kms.h>
#include <stdint.h>

#define PAGESTORE_PAGE_LEN 4096

typedef struct pagestore pagestore;

/* Why a call failed: of the library as it said it, of the operating system as STORAGE. */
typedef struct {
    cyborg_kms_status status;
    char message[512];
} pagestore_failure;

/* Makes the file (it must not exist) and the index whose key encrypts its pages, guarded by the slot kms_name
 * of the engine's configuration. */
bool pagestore_create(cyborg_kms_engine *engine, const char *path, const char *index_name,
                      const char *kms_name, pagestore **out, pagestore_failure *failure);

/* Opens a file that pagestore_create made. */
bool pagestore_open(cyborg_kms_engine *engine, const char *path, pagestore **out, pagestore_failure *failure);

/* Encrypts a page and writes it: first to the journal beside the file, then to its place. Killed or without
 * power at any point, the page is the old or the new one once the store was opened again. On disk for sure
 * when it returns. */
bool pagestore_write(pagestore *store, uint64_t page_number, const uint8_t page[PAGESTORE_PAGE_LEN],
                     pagestore_failure *failure);

/* Reads and decrypts a page. AUTHENTICATION_FAILED: it was altered or belongs to another place; NOT_FOUND: it
 * was never written. After a failure `page` holds nothing of use. */
bool pagestore_read(pagestore *store, uint64_t page_number, uint8_t page[PAGESTORE_PAGE_LEN],
                    pagestore_failure *failure);

/* The data key that sealed a page, from its overhead alone. NOT_FOUND: it was never written. */
bool pagestore_data_key(pagestore *store, uint64_t page_number, uint32_t *out_id, pagestore_failure *failure);

/* All pages have lower numbers. */
bool pagestore_end(pagestore *store, uint64_t *out_page_number, pagestore_failure *failure);

/* The index whose key encrypts the pages, as long as the store is open. */
cyborg_kms_index *pagestore_index(const pagestore *store);

/* Returns when everything written is on disk. */
bool pagestore_sync(pagestore *store, pagestore_failure *failure);

/* Closes without syncing. NULL is fine. */
void pagestore_close(pagestore *store);

/* Where a page's ciphertext starts in the file, and its 48 bytes of overhead. */
uint64_t pagestore_page_offset(uint64_t page_number);
uint64_t pagestore_overhead_offset(uint64_t page_number);

#endif
