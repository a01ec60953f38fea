/* A provider of the caller's own: answers at once, later, from another thread, never, wrongly, or not at all.
 */
#define _POSIX_C_SOURCE 200809L

#include "fixture.h"

#include <pthread.h>

/* The "KMS": wrapping is an XOR, so that the tests see what arrives; kept is the AAD of the last wrap. */
typedef enum {
    AT_ONCE,
    OTHER_THREAD,
    NEVER,
    WITHOUT_ANSWER,
    EMPTY,
    SHORT_KEY,
    LONG_KEY,
    OTHER_KEY,
    REFUSE,
    REFUSE_IN_LATIN1,
    NONSENSE_STATUS
} behaviour;

typedef struct {
    _Atomic behaviour wrap, unwrap;
    _Atomic int wraps, unwraps, destroyed;
    uint8_t aad[256];
    size_t aad_len;
    _Atomic(cyborg_kms_reply *) kept; /* of NEVER */
} fake_kms;

typedef struct {
    cyborg_kms_reply *reply;
    uint8_t bytes[64];
    size_t len;
} delayed;

static void *answer_later(void *argument) {
    delayed *answer = argument;
    cyborg_kms_reply_bytes(answer->reply, answer->bytes, answer->len, 0);
    free(answer);
    return NULL;
}

static void answer(fake_kms *kms, behaviour how, const uint8_t *input, size_t len, cyborg_kms_reply *reply) {
    uint8_t output[64] = {0};
    pthread_t thread;
    REQUIRE(len <= sizeof output);
    for (size_t i = 0; i < len; i++)
        output[i] = input[i] ^ 0x5A;
    switch (how) {
    case AT_ONCE:
        cyborg_kms_reply_bytes(reply, output, len, 0);
        break;
    case OTHER_THREAD: {
        delayed *later = malloc(sizeof *later);
        REQUIRE(later != NULL);
        *later = (delayed){.reply = reply, .len = len};
        memcpy(later->bytes, output, len);
        REQUIRE(pthread_create(&thread, NULL, answer_later, later) == 0 && pthread_detach(thread) == 0);
        break;
    }
    case NEVER:
        kms->kept = reply;
        break;
    case WITHOUT_ANSWER:
        cyborg_kms_reply_free(reply);
        break;
    case EMPTY:
        cyborg_kms_reply_bytes(reply, NULL, 0, 0);
        break;
    case SHORT_KEY:
        cyborg_kms_reply_bytes(reply, output, 5, 0);
        break;
    case LONG_KEY:
        cyborg_kms_reply_bytes(reply, output, 33, 0);
        break;
    case OTHER_KEY:
        output[0] ^= 1;
        cyborg_kms_reply_bytes(reply, output, len, 0);
        break;
    case REFUSE:
        cyborg_kms_reply_error(reply, CYBORG_KMS_KEY_DISABLED, "DisabledException", "the key is disabled");
        break;
    case REFUSE_IN_LATIN1:
        cyborg_kms_reply_error(reply, CYBORG_KMS_KEY_DISABLED, "gesperrt \xfc",
                               "der Schl\xfcssel ist gesperrt");
        break;
    case NONSENSE_STATUS:
        cyborg_kms_reply_error(reply, 12345, NULL, NULL);
        break;
    }
}

static void wrap(const char *key_id, const uint8_t *aad, size_t aad_len, const uint8_t *plaintext, size_t len,
                 cyborg_kms_reply *reply, void *user_data) {
    fake_kms *kms = user_data;
    CHECK(strcmp(key_id, "test-key") == 0);
    CHECK(len == KEY_LEN && aad_len <= sizeof kms->aad);
    memcpy(kms->aad, aad, aad_len);
    kms->aad_len = aad_len;
    kms->wraps++;
    answer(kms, kms->wrap, plaintext, len, reply);
}

static void unwrap(const char *key_id, const uint8_t *aad, size_t aad_len, const uint8_t *wrapped, size_t len,
                   cyborg_kms_reply *reply, void *user_data) {
    fake_kms *kms = user_data;
    CHECK(strcmp(key_id, "test-key") == 0);
    CHECK(aad_len == kms->aad_len && memcmp(aad, kms->aad, aad_len) == 0);
    kms->unwraps++;
    answer(kms, kms->unwrap, wrapped, len, reply);
}

static void destroy(void *user_data) {
    fake_kms *kms = user_data;
    kms->destroyed++;
}

static const cyborg_kms_provider_callbacks CALLBACKS = {
    .struct_size = sizeof CALLBACKS, .wrap = wrap, .unwrap = unwrap, .destroy = destroy};

static cyborg_kms_error *error;

/* Patient enough for a slow machine; impatient only where nobody will answer. */
#define PATIENT "    test: {provider: \"external:test\", key_id: test-key}\n"
#define IMPATIENT                                                                                            \
    "    test: {provider: \"external:test\", key_id: test-key, request_timeout: 200ms, deadline: 200ms, "    \
    "max_retries: 0}\n"

static cyborg_kms_engine *open_engine(fake_kms *kms) {
    cyborg_kms_engine *engine = fixture_engine(
        fixture_directory(), NULL, kms->wrap == NEVER || kms->unwrap == NEVER ? IMPATIENT : PATIENT);
    REQUIRE_OK(cyborg_kms_engine_register_provider(engine, "test", &CALLBACKS, kms, &error));
    return engine;
}

static void answer_the_kept(fake_kms *kms) {
    uint8_t bytes[KEY_LEN] = {0};
    cyborg_kms_reply *kept = kms->kept;
    if (kept != NULL)
        cyborg_kms_reply_bytes(kept, bytes, sizeof bytes, 0); /* too late: nobody waits any more */
    kms->kept = NULL;
}

/* --- good answers -------------------------------------------------------------------------------------- */

static void answers(behaviour how, const char *name) {
    static const char label[] = "cyborg_kms kek v1";
    fake_kms kms = {.wrap = how, .unwrap = how};
    cyborg_kms_engine *engine = open_engine(&kms);
    cyborg_kms_index *index = NULL;
    REQUIRE_OK(cyborg_kms_index_create(engine, name, "test", &index, &error));
    CHECK(kms.wraps == 1 && kms.unwraps == 1); /* unwrapped again before anything is stored */
    CHECK(kms.aad_len == sizeof label + strlen(name));
    CHECK(memcmp(kms.aad, label, sizeof label) == 0 &&
          memcmp(kms.aad + sizeof label, name, strlen(name)) == 0);
    CHECK(fixture_page_works(index));
    cyborg_kms_index_free(index);
    CHECK_OK(cyborg_kms_engine_evict(engine, name, &error));
    REQUIRE_OK(cyborg_kms_index_open(engine, name, &index, &error));
    CHECK(kms.unwraps == 2);
    CHECK(fixture_page_works(index));
    cyborg_kms_index_free(index);
    CHECK_OK(cyborg_kms_engine_check(engine, "test", &error));
    CHECK(kms.destroyed == 0);
    cyborg_kms_engine_free(engine);
    CHECK(kms.destroyed == 1);
}

/* --- bad answers --------------------------------------------------------------------------------------- */

static void check_bad(cyborg_kms_status status, cyborg_kms_status expected, const char *what,
                      const char *name) {
    char text[100];
    snprintf(text, sizeof text, "%s, provider: %s", what, name);
    if (status == CYBORG_KMS_KEY_DISABLED && error != NULL)
        CHECK(strcmp(cyborg_kms_error_provider_code(error),
                     strcmp(name, "latin1") == 0 ? "gesperrt \xef\xbf\xbd" : "DisabledException") == 0);
    check_status(status, expected, &error, text, __FILE__, __LINE__);
}

/* The provider alone was bad: with a good one the index opens. */
static void opens_with_a_good_provider(const char *name, const fake_kms *like) {
    fake_kms kms = {.wrap = AT_ONCE, .unwrap = AT_ONCE, .aad_len = like->aad_len};
    memcpy(kms.aad, like->aad, like->aad_len);
    cyborg_kms_engine *engine = open_engine(&kms);
    cyborg_kms_index *index = NULL;
    CHECK_OK(cyborg_kms_index_open(engine, name, &index, &error));
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);
}

static void bad_answers(const char *name, behaviour how, cyborg_kms_status expected) {
    /* at creation: nothing may be stored */
    fake_kms kms = {.wrap = how, .unwrap = AT_ONCE};
    cyborg_kms_engine *engine = open_engine(&kms);
    cyborg_kms_index *index = NULL;
    cyborg_kms_store *store = NULL;
    cyborg_kms_blob *blob = NULL;
    check_bad(cyborg_kms_index_create(engine, name, "test", &index, &error), expected, "create", name);
    CHECK(index == NULL);
    REQUIRE_OK(cyborg_kms_engine_store(engine, &store, &error));
    CHECK_STATUS(NOT_FOUND, cyborg_kms_get_index_kms(store, name, &blob, &error));
    answer_the_kept(&kms);
    cyborg_kms_store_free(store);
    cyborg_kms_engine_free(engine);
    CHECK(kms.destroyed == 1);

    kms = (fake_kms){.wrap = AT_ONCE, .unwrap = AT_ONCE};
    engine = open_engine(&kms);
    REQUIRE_OK(cyborg_kms_index_create(engine, name, "test", &index, &error));
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);

    /* when it is opened */
    kms.unwrap = how;
    engine = open_engine(&kms);
    check_bad(cyborg_kms_index_open(engine, name, &index, &error), expected, "open", name);
    CHECK(index == NULL);
    answer_the_kept(&kms);
    cyborg_kms_engine_free(engine);
    CHECK(kms.destroyed == 2);
    opens_with_a_good_provider(name, &kms);
}

/* --- registering --------------------------------------------------------------------------------------- */

static void registering(void) {
    fake_kms kms = {.wrap = AT_ONCE, .unwrap = AT_ONCE};
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), NULL, PATIENT);
    cyborg_kms_index *index = NULL;
    CHECK_STATUS(CONFIG, cyborg_kms_index_create(engine, "too early", "test", &index, &error));

    cyborg_kms_provider_callbacks broken = CALLBACKS;
    broken.wrap = NULL;
    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_engine_register_provider(engine, "test", &broken, &kms, &error));
    CHECK(kms.destroyed == 1); /* destroyed though it was not taken */
    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_engine_register_provider(engine, NULL, &CALLBACKS, &kms, &error));
    CHECK(kms.destroyed == 2);
    CHECK_STATUS(INVALID_ARGUMENT,
                 cyborg_kms_engine_register_provider(NULL, "test", &CALLBACKS, &kms, &error));
    CHECK(kms.destroyed == 3);
    CHECK_OK(cyborg_kms_engine_register_provider(engine, "test", &CALLBACKS, &kms, &error));
    CHECK_OK(cyborg_kms_index_create(engine, "in time", "test", &index, &error));
    cyborg_kms_engine_free(engine);
    CHECK(fixture_page_works(index)); /* the index keeps what it needs */
    cyborg_kms_index_free(index);
    CHECK(kms.destroyed == 4);
}

int main(void) {
    answers(AT_ONCE, "at once");
    answers(OTHER_THREAD, "from another thread");
    bad_answers("never", NEVER, CYBORG_KMS_TIMEOUT);
    bad_answers("without answer", WITHOUT_ANSWER, CYBORG_KMS_INTERNAL);
    bad_answers("empty", EMPTY, CYBORG_KMS_INTERNAL);
    bad_answers("short key", SHORT_KEY, CYBORG_KMS_CORRUPT);
    bad_answers("long key", LONG_KEY, CYBORG_KMS_CORRUPT);
    bad_answers("other key", OTHER_KEY, CYBORG_KMS_CORRUPT);
    bad_answers("refuse", REFUSE, CYBORG_KMS_KEY_DISABLED);
    bad_answers("latin1", REFUSE_IN_LATIN1, CYBORG_KMS_KEY_DISABLED);
    bad_answers("nonsense", NONSENSE_STATUS, CYBORG_KMS_INTERNAL);
    registering();
    return check_result("provider");
}
