/* The same work as C++'s, so many times, as a C program does it. */
#ifndef C_API_H
#define C_API_H

#include <cyborg_kms.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { PAGE_LEN = 4096 };

/* C++ works on the same index and bytes: what differs is the call alone. */
extern cyborg_kms_index *sealing;
extern uint8_t page[PAGE_LEN], sealed[PAGE_LEN + CYBORG_KMS_OVERHEAD];

/* Opens the engine, with a new index. */
void c_open(const char *yaml);
void c_seal(uint64_t calls);
void c_unseal(uint64_t calls);
void c_open_cached(uint64_t calls);

#ifdef __cplusplus
}
#endif

#endif
