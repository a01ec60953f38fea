/* Disabled, to be deleted, deleted, described: through the C API. */
#include "fixture.h"

/* The JSON as text; to be freed. */
static char *text_of(cyborg_kms_buffer *buffer) {
    REQUIRE(buffer != NULL);
    size_t len = cyborg_kms_buffer_len(buffer);
    char *text = calloc(1, len + 1);
    REQUIRE(text != NULL);
    memcpy(text, cyborg_kms_buffer_data(buffer), len);
    CHECK(strlen(text) == len && len > 2 && text[0] == '{' && text[len - 1] == '}');
    cyborg_kms_buffer_free(buffer);
    return text;
}

static void check_described(cyborg_kms_engine *engine, const char *words) {
    cyborg_kms_buffer *json = NULL;
    cyborg_kms_error *error = NULL;
    REQUIRE_OK(cyborg_kms_index_describe(engine, "a", &json, &error));
    char *text = text_of(json);
    if (!CHECK(strstr(text, words) != NULL))
        fprintf(stderr, "%s is missing in %s\n", words, text);
    free(text);
}

int main(void) {
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), NULL, "");
    cyborg_kms_index *index = fixture_index(engine, "a"), *other = NULL;
    cyborg_kms_error *error = NULL;
    cyborg_kms_buffer *receipt = NULL;
    check_described(engine, "\"state\":\"enabled\"");

    CHECK_OK(cyborg_kms_index_disable(engine, "a", &error));
    check_described(engine, "\"state\":\"disabled\"");
    CHECK_STATUS(KEY_DISABLED, cyborg_kms_index_refresh(index, &error));
    CHECK_STATUS(KEY_DISABLED, cyborg_kms_index_open(engine, "a", &other, &error));
    CHECK_STATUS(KEY_DISABLED, cyborg_kms_index_rotate(engine, "a", CYBORG_KMS_ROTATE_KEK, NULL, &error));
    CHECK_OK(cyborg_kms_index_enable(engine, "a", &error));
    CHECK(fixture_page_works(index));

    CHECK_OK(cyborg_kms_index_schedule_deletion(engine, "a", 24, &error));
    check_described(engine, "\"state\":\"pending_deletion\"");
    CHECK_STATUS(CONFLICT, cyborg_kms_index_schedule_deletion(engine, "a", 24, &error));
    CHECK_STATUS(KEY_DISABLED, cyborg_kms_index_enable(engine, "a", &error));
    CHECK_OK(cyborg_kms_index_cancel_deletion(engine, "a", &error));
    CHECK_STATUS(KEY_DISABLED, cyborg_kms_index_refresh(index, &error));
    CHECK_OK(cyborg_kms_index_enable(engine, "a", &error));
    CHECK(fixture_page_works(index));

    CHECK_OK(cyborg_kms_index_delete(engine, "a", &receipt, &error));
    char *text = text_of(receipt);
    CHECK(strstr(text, "\"index\":\"a\"") != NULL && strstr(text, "\"record_sha256\":\"") != NULL);
    free(text);
    CHECK_STATUS(NOT_FOUND, cyborg_kms_index_refresh(index, &error));
    CHECK_STATUS(NOT_FOUND, cyborg_kms_index_delete(engine, "a", NULL, &error));
    cyborg_kms_index_free(fixture_index(engine, "a"));
    CHECK_OK(cyborg_kms_index_delete(engine, "a", NULL, &error));
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);
    return check_result("states");
}
