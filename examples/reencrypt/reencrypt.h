/* The end of a data key, over the page store: new pages get another, old ones are sealed anew, then it is
 * retired.
 *
 * Nothing but the record and the pages says how far it got, so it can be stopped at any point and started
 * again.
 */
#ifndef REENCRYPT_H
#define REENCRYPT_H

#include "pagestore.h"

#include <pthread.h>

/* The store with the latch that the database's threads and this one take for each page. */
typedef struct {
    pagestore *pages;
    pthread_mutex_t latch;
} shared_store;

/* Gives new pages another data key, if `key` is still the one. */
bool reencrypt_supersede(cyborg_kms_engine *engine, shared_store *store, uint32_t key,
                         pagestore_failure *failure);

/* Seals each page of `key` anew, at most so many a second (0: as fast as it goes). */
bool reencrypt_pages(shared_store *store, uint32_t key, unsigned pages_per_second, uint64_t *resealed,
                     pagestore_failure *failure);

/* Reads every page and counts. */
bool reencrypt_count(shared_store *store, uint32_t key, uint64_t *of_key, uint64_t *of_others,
                     pagestore_failure *failure);

/* Whether no process seals with `key` any more: the pages that are found after that are the last. */
bool reencrypt_is_quiet(cyborg_kms_engine *engine, shared_store *store, uint32_t key, char quiet_at[32],
                        bool *is_quiet, pagestore_failure *failure);

/* Forgets the key: what it sealed can never be read again. */
bool reencrypt_retire(cyborg_kms_engine *engine, shared_store *store, uint32_t key,
                      pagestore_failure *failure);

#endif
