/* Every export with what it must not be given. Each row is one call: which, what is wrong, the status, the
 * arguments.
 *
 *   REFUSE(store_open, "no URL", INVALID_ARGUMENT, (NULL, &m->store_out, m->error_at));
 *
 * Before the call the outputs are filled with rubbish. After it, those that the row names must be NULL or 0,
 * the status must be right, and the error must carry it with a message. Each row runs twice, without an error
 * pointer the second time. At the end every export must have had a row.
 */
#ifndef MISUSE_H
#define MISUSE_H

#include "fixture.h"

typedef struct {
    /* good values, for the arguments that a row does not get wrong */
    cyborg_kms_store *store;
    cyborg_kms_engine *engine;
    cyborg_kms_index *index;
    cyborg_kms_blob *blob;
    uint8_t sealed[OVERHEAD + 16];
    /* outputs */
    cyborg_kms_store *store_out;
    cyborg_kms_engine *engine_out;
    cyborg_kms_index *index_out;
    cyborg_kms_blob *blob_out;
    cyborg_kms_buffer *buffer_out;
    size_t len_out;
    uint32_t id_out;
    uint8_t out[256];
    /* &error, or NULL in the second run */
    cyborg_kms_error *error, **error_at;
} misuse;

#define NOT_UTF8 "\xC3\x28"
#define RUBBISH ((uintptr_t)0x5A5A5A5A)

/* Longer than any name may be. */
extern const char TOO_LONG[300];

void misuse_prepare(misuse *m, const char *function);
void misuse_judge(misuse *m, cyborg_kms_status status, cyborg_kms_status expected, const char *what,
                  const char *arguments, const char *file, int line);

#define REFUSE(function, what, status, arguments)                                                            \
    do {                                                                                                     \
        misuse_prepare(m, "cyborg_kms_" #function);                                                          \
        cyborg_kms_status got_ = cyborg_kms_##function arguments;                                            \
        misuse_judge(m, got_, CYBORG_KMS_##status, #function ": " what, #arguments, __FILE__, __LINE__);     \
    } while (0)

/* For what can't fail: `condition` about the value `it` that it gives. */
#define EXPECT(function, type, arguments, condition)                                                         \
    do {                                                                                                     \
        misuse_prepare(m, "cyborg_kms_" #function);                                                          \
        type it = cyborg_kms_##function arguments;                                                           \
        check_true((condition), #function #arguments ": " #condition, __FILE__, __LINE__);                   \
    } while (0)

/* For what gives nothing: it returns. */
#define SURVIVE(function, arguments)                                                                         \
    do {                                                                                                     \
        misuse_prepare(m, "cyborg_kms_" #function);                                                          \
        cyborg_kms_##function arguments;                                                                     \
    } while (0)

void misuse_values(misuse *m); /* misuse_values.c: errors, buffers, records, stores, callbacks */
void misuse_engine(misuse *m); /* misuse_engine.c: engines, what is done to a stored index */
void misuse_index(misuse *m);  /* misuse_index.c: open indexes, pages, keys */

#endif
