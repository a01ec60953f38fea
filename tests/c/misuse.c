#include "misuse.h"

#define MOST_EXPORTS 256

const char TOO_LONG[300] =
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
    "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";

static const char *covered[MOST_EXPORTS];
static size_t covered_count;

static bool is_covered(const char *function) {
    for (size_t i = 0; i < covered_count; i++)
        if (strcmp(covered[i], function) == 0)
            return true;
    return false;
}

void misuse_prepare(misuse *m, const char *function) {
    if (!is_covered(function)) {
        REQUIRE(covered_count < MOST_EXPORTS);
        covered[covered_count++] = function;
    }
    m->store_out = (cyborg_kms_store *)RUBBISH;
    m->engine_out = (cyborg_kms_engine *)RUBBISH;
    m->index_out = (cyborg_kms_index *)RUBBISH;
    m->blob_out = (cyborg_kms_blob *)RUBBISH;
    m->buffer_out = (cyborg_kms_buffer *)RUBBISH;
    m->len_out = RUBBISH;
    m->id_out = RUBBISH;
}

/* The outputs that the call was given, as its text shows, are NULL or 0; a buffer that was too small says its
 * size. */
static bool outputs_are_empty(const misuse *m, cyborg_kms_status status, const char *arguments) {
    bool sized = status == CYBORG_KMS_BUFFER_TOO_SMALL;
    return (strstr(arguments, "&m->store_out") == NULL || m->store_out == NULL) &&
           (strstr(arguments, "&m->engine_out") == NULL || m->engine_out == NULL) &&
           (strstr(arguments, "&m->index_out") == NULL || m->index_out == NULL) &&
           (strstr(arguments, "&m->blob_out") == NULL || m->blob_out == NULL) &&
           (strstr(arguments, "&m->buffer_out") == NULL || m->buffer_out == NULL) &&
           (strstr(arguments, "&m->len_out") == NULL || (m->len_out > 0) == sized) &&
           (strstr(arguments, "&m->id_out") == NULL || m->id_out == 0);
}

void misuse_judge(misuse *m, cyborg_kms_status status, cyborg_kms_status expected, const char *what,
                  const char *arguments, const char *file, int line) {
    if (m->error_at != NULL)
        check_status(status, expected, &m->error, what, file, line);
    else
        check_true(status == expected, what, file, line);
    if (!outputs_are_empty(m, status, arguments))
        check_true(false, what, file, line),
            fprintf(stderr, "  an output was left as it was: %s\n", arguments);
}

/* --- every export had a row ---------------------------------------------------------------------------- */

static void check_coverage(const char *exports) {
    FILE *file = fopen(exports, "r");
    char name[128];
    size_t count = 0;
    REQUIRE(file != NULL);
    while (fscanf(file, "%127s", name) == 1) {
        count++;
        if (!is_covered(name))
            check_true(false, name, "no misuse row for an export", 0);
    }
    fclose(file);
    CHECK(count > 90);
}

/* --- the whole ----------------------------------------------------------------------------------------- */

static void run_all(misuse *m) {
    misuse_values(m);
    misuse_engine(m);
    misuse_index(m);
}

int main(int argc, char **argv) {
    misuse all = {.error = NULL}, *m = &all;
    cyborg_kms_error *error = NULL;
    REQUIRE(argc == 2); /* tests/c/exports.txt */
    REQUIRE(strlen(TOO_LONG) > 220);
    m->engine = fixture_engine(fixture_directory(), NULL, "");
    m->index = fixture_index(m->engine, "misuse");
    m->blob = cyborg_kms_blob_new();
    REQUIRE_OK(cyborg_kms_store_open("memory://", &m->store, &error));
    size_t len;
    REQUIRE_OK(cyborg_kms_index_encrypt(m->index, NULL, 0, (const uint8_t *)"0123456789abcdef", 16, m->sealed,
                                        sizeof m->sealed, &len, &error));
    m->error_at = &m->error;
    run_all(m);
    m->error_at = NULL;
    run_all(m);
    check_coverage(argv[1]);

    CHECK(fixture_page_works(m->index)); /* after all that everything still works */
    cyborg_kms_index_free(m->index);
    cyborg_kms_engine_free(m->engine);
    cyborg_kms_store_free(m->store);
    cyborg_kms_blob_free(m->blob);
    return check_result("misuse");
}
