/* What the page store needs of the operating system: whole reads and writes, and directories that are on
 * disk. Failures are told as the page store tells them.
 */
#ifndef FILES_H
#define FILES_H

#include "pagestore.h"

#include <stddef.h>

/* Each returns false, so that a function can return what it returns. */
bool fail(pagestore_failure *failure, cyborg_kms_status status, const char *format, ...);
bool fail_errno(pagestore_failure *failure, const char *what);
bool fail_library(pagestore_failure *failure, cyborg_kms_error *error); /* takes the error over */

bool write_all(int file, const void *data, size_t len, uint64_t offset, pagestore_failure *failure);

/* Reads up to len bytes: fewer only where the file ends. */
bool read_up_to(int file, void *data, size_t len, uint64_t offset, size_t *got, pagestore_failure *failure);

/* A new file is there for sure only when its directory is on disk, too. */
bool sync_directory(const char *path, pagestore_failure *failure);

#endif
