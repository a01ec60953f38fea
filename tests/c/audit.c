/* The audit log: what an engine writes, to a file and a callback; its head; and verifying it when someone has
 * meddled with it. */
#define _POSIX_C_SOURCE 200809L

#include "fixture.h"

#include <pthread.h>
#include <sys/stat.h>

#define KEY "the key of the C test's audit log"
static const uint8_t *const key = (const uint8_t *)KEY; /* its first 32 bytes */

static char log_path[256];

static void write_file(const char *path, const void *bytes, size_t len, mode_t mode) {
    FILE *file = fopen(path, "wb");
    REQUIRE(file != NULL && fwrite(bytes, 1, len, file) == len && fclose(file) == 0 &&
            chmod(path, mode) == 0);
}

/* The file as a text; to be freed. */
static char *read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    REQUIRE(file != NULL && fseek(file, 0, SEEK_END) == 0);
    size_t len = (size_t)ftell(file);
    rewind(file);
    char *text = calloc(len + 1, 1);
    REQUIRE(text != NULL && fread(text, 1, len, file) == len);
    fclose(file);
    return text;
}

/* A buffer as a text; the buffer is freed, the text is to be. */
static char *text_of(cyborg_kms_buffer *buffer) {
    size_t len = cyborg_kms_buffer_len(buffer);
    char *text = calloc(len + 1, 1);
    REQUIRE(text != NULL && buffer != NULL);
    memcpy(text, cyborg_kms_buffer_data(buffer), len);
    cyborg_kms_buffer_free(buffer);
    return text;
}

static cyborg_kms_engine *audited_engine(void) {
    char key_path[256], more[1024];
    snprintf(log_path, sizeof log_path, "%s/log/audit.log", fixture_directory());
    snprintf(key_path, sizeof key_path, "%s/audit.key", fixture_directory());
    write_file(key_path, KEY, 32, 0600);
    snprintf(more, sizeof more, "audit: {path: %s, key_file: %s, principal: the C test}\n", log_path,
             key_path);
    return fixture_engine(fixture_directory(), NULL, more);
}

/* --- the callback -------------------------------------------------------------------------------------- */

typedef struct {
    _Atomic int calls;
    char last[4096];
} listener;

static void hear(const char *event_json, void *user_data) {
    listener *to = user_data;
    to->calls++;
    snprintf(to->last, sizeof to->last, "%s", event_json);
}

static void a_callback_hears_what_the_file_gets(cyborg_kms_engine *engine) {
    cyborg_kms_error *error = NULL;
    listener *one = calloc(1, sizeof *one);
    REQUIRE(one != NULL);
    CHECK_OK(cyborg_kms_engine_set_audit_callback(engine, hear, one, &error));
    cyborg_kms_index_free(fixture_index(engine, "heard"));
    CHECK(one->calls == 2);
    CHECK(strstr(one->last, "\"operation\":\"create\",\"phase\":\"outcome\",\"index\":\"heard\"") != NULL);
    CHECK(strstr(one->last, "\"principal\":\"the C test\"") != NULL);
    char *lines = read_file(log_path);
    size_t len = strlen(one->last);
    CHECK(strlen(lines) > len && strncmp(lines + strlen(lines) - 1 - len, one->last, len) == 0);
    free(lines);
    CHECK_OK(cyborg_kms_engine_set_audit_callback(engine, NULL, NULL, &error));
    free(one); /* nobody is in it any more */
    cyborg_kms_index_free(fixture_index(engine, "not heard"));
}

static void a_callback_alone(void) {
    cyborg_kms_engine *engine = NULL;
    cyborg_kms_index *index = NULL;
    cyborg_kms_error *error = NULL;
    uint8_t kek[KEY_LEN] = {1};
    static listener to;
    REQUIRE_OK(cyborg_kms_engine_open_yaml("{}", &engine, &error));
    CHECK_OK(cyborg_kms_engine_set_audit_callback(engine, hear, &to, &error));
    REQUIRE_OK(cyborg_kms_index_create_with_key(engine, "a", "", kek, sizeof kek, &index, &error));
    CHECK(to.calls == 2 && strstr(to.last, "\"outcome\":\"OK\"") != NULL &&
          strstr(to.last, "\"prev\"") == NULL);
    cyborg_kms_index_free(index);
    kek[0] = 2;
    CHECK_STATUS(AUTHENTICATION_FAILED,
                 cyborg_kms_index_open_with_key(engine, "a", kek, sizeof kek, &index, &error));
    CHECK(to.calls == 3 && strstr(to.last, "\"outcome\":\"AUTHENTICATION_FAILED\"") != NULL);
    cyborg_kms_engine_free(engine);
}

/* --- threads ------------------------------------------------------------------------------------------- */

static void *create_some(void *engine) {
    static _Atomic int next;
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "thread %d", next++);
        cyborg_kms_index_free(fixture_index(engine, name));
    }
    return NULL;
}

static void many_threads(cyborg_kms_engine *engine) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        REQUIRE(pthread_create(&threads[i], NULL, create_some, engine) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

/* --- verifying ----------------------------------------------------------------------------------------- */

static char *head(void) {
    cyborg_kms_buffer *json = NULL;
    cyborg_kms_error *error = NULL;
    REQUIRE_OK(cyborg_kms_audit_head(log_path, &json, &error));
    return text_of(json);
}

/* `fault`: what must be in the report. */
static void expect_fault(const char *head_json, const char *fault) {
    cyborg_kms_buffer *json = NULL;
    cyborg_kms_error *error = NULL;
    CHECK_STATUS(CORRUPT, cyborg_kms_audit_verify(log_path, key, 32, head_json, &json, &error));
    char *report = text_of(json);
    check_true(strstr(report, fault) != NULL, report, __FILE__, __LINE__);
    free(report);
    /* the report need not be asked for */
    CHECK_STATUS(CORRUPT, cyborg_kms_audit_verify(log_path, key, 32, head_json, NULL, &error));
}

static void expect_right(const uint8_t *with_key, const char *head_json) {
    cyborg_kms_buffer *json = NULL;
    cyborg_kms_error *error = NULL;
    CHECK_OK(
        cyborg_kms_audit_verify(log_path, with_key, with_key == NULL ? 0 : 32, head_json, &json, &error));
    char *report = text_of(json);
    CHECK(strstr(report, "\"fault\":null") != NULL);
    CHECK((strstr(report, "\"macs_checked\":true") != NULL) == (with_key != NULL));
    CHECK((strstr(report, "\"head_checked\":true") != NULL) == (head_json != NULL));
    free(report);
}

static void verifying(void) {
    char *kept = head(), *whole = read_file(log_path);
    expect_right(key, kept);
    expect_right(NULL, NULL);

    char *changed = strdup(whole);
    memcpy(strstr(changed, "not heard"), "now heard", 9);
    write_file(log_path, changed, strlen(changed), 0600);
    expect_fault(NULL, "\"kind\":\"mac\"");
    free(changed);

    const char *second = strchr(whole, '\n') + 1;
    write_file(log_path, second, strlen(second), 0600);
    expect_fault(NULL, "\"kind\":\"removed\"");

    write_file(log_path, whole, (size_t)(second - whole), 0600);
    expect_right(key, NULL);
    expect_fault(kept, "\"kind\":\"cut\"");

    write_file(log_path, whole, (size_t)(second - whole) + 10, 0600);
    expect_fault(NULL, "\"kind\":\"torn\"");

    write_file(log_path, whole, strlen(whole), 0600);
    expect_right(key, kept);
    free(whole);
    free(kept);
}

static void refusals(void) {
    cyborg_kms_buffer *json = (cyborg_kms_buffer *)key;
    cyborg_kms_error *error = NULL;
    CHECK_STATUS(NOT_FOUND, cyborg_kms_audit_verify("/tmp/no audit log", NULL, 0, NULL, &json, &error));
    CHECK(json == NULL);
    CHECK_STATUS(NOT_FOUND, cyborg_kms_audit_head("/tmp/no audit log", &json, &error));
    CHECK_STATUS(STORAGE, cyborg_kms_audit_head("/no/such/folder/audit.log", &json, &error));
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_audit_verify(log_path, key, 0, NULL, &json, &error));
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_audit_verify(log_path, key, 31, NULL, &json, &error));
    CHECK_STATUS(INVALID_ARGUMENT, cyborg_kms_audit_verify(log_path, key, 32, "{}", &json, &error));
}

int main(void) {
    cyborg_kms_engine *engine = audited_engine();
    a_callback_hears_what_the_file_gets(engine);
    many_threads(engine);
    cyborg_kms_engine_free(engine);
    verifying();
    refusals();
    a_callback_alone();
    return check_result("audit");
}
