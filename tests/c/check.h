/* What every test program checks with. A failed check prints where and what, is counted, and goes on. */
#ifndef CHECK_H
#define CHECK_H

#include <cyborg_kms.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Threads and forked children check, too; a child hands its count on by its exit status. */
extern _Atomic int check_failures, check_count;

static inline bool check_true(bool holds, const char *text, const char *file, int line) {
    check_count++;
    if (!holds) {
        check_failures++;
        fprintf(stderr, "%s:%d: not so: %s\n", file, line, text);
    }
    return holds;
}

/* Compares a status, and frees the error that came with it: a failure must bring one with the same status and
 * a message of one line, a success none. */
static inline bool check_status(cyborg_kms_status status, cyborg_kms_status expected,
                                cyborg_kms_error **error, const char *text, const char *file, int line) {
    const char *message = *error == NULL ? "" : cyborg_kms_error_message(*error);
    bool holds = status == expected;
    if (status == CYBORG_KMS_OK)
        holds = holds && *error == NULL;
    else
        holds = holds && *error != NULL && cyborg_kms_error_status(*error) == status &&
                strlen(message) > 10 && strchr(message, '\n') == NULL;
    check_count++;
    if (!holds) {
        check_failures++;
        fprintf(stderr, "%s:%d: %s: expected %s, got %s: %s\n", file, line, text,
                cyborg_kms_status_name(expected), cyborg_kms_status_name(status), message);
    }
    cyborg_kms_error_free(*error);
    *error = NULL;
    return holds;
}

#define CHECK(condition) check_true((condition), #condition, __FILE__, __LINE__)

/* The call must take `&error`, a local variable that starts as NULL. */
#define CHECK_STATUS(name, call) check_status((call), CYBORG_KMS_##name, &error, #call, __FILE__, __LINE__)
#define CHECK_OK(call) CHECK_STATUS(OK, call)

/* For what the rest of the test can't do without. */
#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!CHECK(condition))                                                                               \
            exit(1);                                                                                         \
    } while (0)
#define REQUIRE_OK(call)                                                                                     \
    do {                                                                                                     \
        if (!CHECK_OK(call))                                                                                 \
            exit(1);                                                                                         \
    } while (0)

/* The last line of each program. */
int check_result(const char *program);

#endif
