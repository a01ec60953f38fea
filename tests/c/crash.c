/* crash DIRECTORY create|open: one step on the index "crash", killed by tests/crash.py at each of its system
 * calls. Prints the status; an index that opens must work. */
#include "fixture.h"

int main(int argc, char **argv) {
    REQUIRE(argc == 3);
    bool create = strcmp(argv[2], "create") == 0;
    cyborg_kms_engine *engine = fixture_engine(argv[1], NULL, "");
    cyborg_kms_index *index = NULL;
    cyborg_kms_error *error = NULL;
    cyborg_kms_status status = create ? cyborg_kms_index_create(engine, "crash", "local", &index, &error)
                                      : cyborg_kms_index_open(engine, "crash", &index, &error);
    bool works = status != CYBORG_KMS_OK || fixture_page_works(index);
    printf("%s %s\n", cyborg_kms_status_name(status), error == NULL ? "" : cyborg_kms_error_message(error));
    cyborg_kms_error_free(error);
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);
    return works ? 0 : 1;
}
