/* A store of the caller's own, for the tests: records in a list, one lock, answers at once or from another
 * thread. */
#ifndef MEMORY_STORE_H
#define MEMORY_STORE_H

#include "check.h"

#include <pthread.h>

typedef struct memory_record {
    char name[256];
    uint8_t *bytes;
    size_t len;
    uint64_t revision;
    struct memory_record *next; /* in the order of names */
} memory_record;

typedef struct {
    pthread_mutex_t lock;
    memory_record *first;
    uint64_t last_revision;
    bool on_another_thread;            /* answers get and put there */
    bool fails, forgets;               /* answers STORAGE; frees the reply without an answer */
    _Atomic int gets, puts, destroyed; /* calls */
    pthread_t caller;                  /* with caller_only: who may call */
    bool caller_only;
} memory_store;

/* The store must outlive its handle; memory_store_clear frees the records. */
cyborg_kms_store *memory_store_open(memory_store *store, uint32_t flags);
void memory_store_clear(memory_store *store);

/* The callbacks, for who opens the store himself. */
cyborg_kms_store_callbacks memory_store_callbacks(uint32_t flags);

#endif
