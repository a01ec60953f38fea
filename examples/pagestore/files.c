#define _POSIX_C_SOURCE 200809L

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool fail(pagestore_failure *failure, cyborg_kms_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    failure->status = status;
    vsnprintf(failure->message, sizeof failure->message, format, arguments);
    va_end(arguments);
    return false;
}

bool fail_errno(pagestore_failure *failure, const char *what) {
    return fail(failure, CYBORG_KMS_STORAGE, "%s: %s", what, strerror(errno));
}

bool fail_library(pagestore_failure *failure, cyborg_kms_error *error) {
    fail(failure, cyborg_kms_error_status(error), "%s", cyborg_kms_error_message(error));
    cyborg_kms_error_free(error);
    return false;
}

bool write_all(int file, const void *data, size_t len, uint64_t offset, pagestore_failure *failure) {
    const uint8_t *bytes = data;
    while (len > 0) {
        ssize_t written = pwrite(file, bytes, len, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fail_errno(failure, "write to the page file");
        bytes += written;
        offset += (uint64_t)written;
        len -= (size_t)written;
    }
    return true;
}

bool read_up_to(int file, void *data, size_t len, uint64_t offset, size_t *got, pagestore_failure *failure) {
    uint8_t *bytes = data;
    *got = 0;
    while (*got < len) {
        ssize_t count = pread(file, bytes + *got, len - *got, (off_t)(offset + *got));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return fail_errno(failure, "read from the page file");
        if (count == 0)
            return true;
        *got += (size_t)count;
    }
    return true;
}

bool sync_directory(const char *path, pagestore_failure *failure) {
    char *copy = strdup(path); /* dirname writes to what it is given */
    if (copy == NULL)
        return fail_errno(failure, "sync the directory");
    int directory = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(copy);
    if (directory < 0)
        return fail_errno(failure, "open the directory to sync it");
    bool synced = fsync(directory) == 0;
    if (!synced)
        fail_errno(failure, "sync the directory");
    close(directory);
    return synced;
}
