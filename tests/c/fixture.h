/* A directory that goes away with the process, and engines in it. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "check.h"

#define KEY_LEN CYBORG_KMS_KEY_LEN
#define OVERHEAD CYBORG_KMS_OVERHEAD

/* The directory of this process, made at the first call and removed at its end (not by forked children). */
const char *fixture_directory(void);

/* An engine with the disk store DIRECTORY/store, or the one that is given, and the slot "local" with the key
 * file DIRECTORY/local.key, made where it is missing. `more` is further slots in YAML (or ""). */
cyborg_kms_engine *fixture_engine(const char *directory, cyborg_kms_store *store, const char *more);

/* The YAML of fixture_engine, for who opens the engine himself; to be freed. */
char *fixture_yaml(const char *directory, bool with_storage, const char *more);

/* A new index on slot "local". */
cyborg_kms_index *fixture_index(cyborg_kms_engine *engine, const char *name);

/* Bytes that differ from one `seed` to the next. */
void fixture_fill(uint8_t *bytes, size_t len, unsigned seed);

/* Seals and opens a page of 100 bytes: whether the index is alive. */
bool fixture_page_works(cyborg_kms_index *index);

#endif
