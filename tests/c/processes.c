/* Many threads at once, a child after fork(), and the log callback. */
#define _POSIX_C_SOURCE 200809L

#include "fixture.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS 200
#define AAD ((const uint8_t *)"page 1"), 6

/* --- threads ------------------------------------------------------------------------------------------- */

typedef struct {
    cyborg_kms_engine *engine;
    cyborg_kms_index *index;
} shared_handles;

static void *work(void *argument) {
    shared_handles *all = argument;
    cyborg_kms_error *error = NULL;
    for (int i = 0; i < ROUNDS; i++) {
        cyborg_kms_index *opened = NULL, *retained = cyborg_kms_index_retain(all->index);
        fixture_page_works(retained);
        cyborg_kms_index_free(retained);
        if (CHECK_OK(cyborg_kms_index_open(all->engine, "threads", &opened, &error)))
            fixture_page_works(opened);
        cyborg_kms_index_free(opened);
        if (i % 50 == 0)
            CHECK_OK(cyborg_kms_engine_evict(all->engine, "threads", &error));
    }
    cyborg_kms_engine_free(all->engine); /* each thread has a reference of its own */
    return NULL;
}

static void threads(void) {
    shared_handles all = {.engine = fixture_engine(fixture_directory(), NULL, "")};
    pthread_t workers[THREADS];
    all.index = fixture_index(all.engine, "threads");
    for (int i = 0; i < THREADS; i++) {
        cyborg_kms_engine_retain(all.engine);
        REQUIRE(pthread_create(&workers[i], NULL, work, &all) == 0);
    }
    cyborg_kms_engine_free(all.engine);
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i], NULL);
    CHECK(fixture_page_works(all.index));
    cyborg_kms_index_free(all.index);
}

/* Of all who create one index at once exactly one does. */
typedef struct {
    cyborg_kms_engine *engine;
    _Atomic int created;
} race;

static void *create_raced(void *argument) {
    race *all = argument;
    cyborg_kms_index *index = NULL;
    cyborg_kms_error *error = NULL;
    cyborg_kms_status status = cyborg_kms_index_create(all->engine, "raced", "local", &index, &error);
    if (status == CYBORG_KMS_OK)
        all->created++;
    else
        CHECK_STATUS(ALREADY_EXISTS, status);
    cyborg_kms_index_free(index);
    return NULL;
}

static void racing_creators(void) {
    race all = {.engine = fixture_engine(fixture_directory(), NULL, "")};
    pthread_t workers[THREADS];
    for (int i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&workers[i], NULL, create_raced, &all) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i], NULL);
    CHECK(all.created == 1);
    cyborg_kms_engine_free(all.engine);
}

/* --- fork ---------------------------------------------------------------------------------------------- */

#define SEALED_AFTER_FORK 64

typedef uint8_t nonce[24];

static void seal_nonces(cyborg_kms_index *index, nonce nonces[SEALED_AFTER_FORK]) {
    cyborg_kms_error *error = NULL;
    uint8_t sealed[OVERHEAD];
    size_t len;
    for (int i = 0; i < SEALED_AFTER_FORK; i++) {
        CHECK_OK(cyborg_kms_index_encrypt(index, AAD, NULL, 0, sealed, sizeof sealed, &len, &error));
        memcpy(nonces[i], sealed + 8, sizeof(nonce));
    }
}

/* What the child may do: seal and open pages, open indexes (known and unknown), create, free. */
static int child_of_fork(cyborg_kms_engine *engine, cyborg_kms_index *index, int to_parent) {
    nonce nonces[SEALED_AFTER_FORK];
    cyborg_kms_index *opened = NULL;
    cyborg_kms_error *error = NULL;
    check_failures = 0;
    seal_nonces(index, nonces);
    CHECK(write(to_parent, nonces, sizeof nonces) == sizeof nonces);
    CHECK(fixture_page_works(index));
    if (CHECK_OK(cyborg_kms_index_open(engine, "forked", &opened, &error)))
        CHECK(fixture_page_works(opened));
    cyborg_kms_index_free(opened);
    if (CHECK_OK(cyborg_kms_index_open(engine, "cold", &opened, &error)))
        CHECK(fixture_page_works(opened));
    cyborg_kms_index_free(opened);
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);
    return check_failures > 0;
}

static int compare_nonces(const void *a, const void *b) {
    return memcmp(a, b, sizeof(nonce));
}

static void fork_once(cyborg_kms_engine *engine, cyborg_kms_index *index) {
    nonce nonces[2 * SEALED_AFTER_FORK];
    int ends[2];
    seal_nonces(index, nonces); /* so that a nonce prefix is in use when the process is copied */
    REQUIRE(pipe(ends) == 0);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0)
        _exit(child_of_fork(engine, index, ends[1]));
    close(ends[1]);
    seal_nonces(index, nonces);
    size_t got = 0;
    ssize_t count;
    while ((count = read(ends[0], (uint8_t *)(nonces + SEALED_AFTER_FORK) + got, sizeof nonces / 2 - got)) >
           0)
        got += (size_t)count;
    close(ends[0]);
    CHECK(got == sizeof nonces / 2);
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);

    qsort(nonces, 2 * SEALED_AFTER_FORK, sizeof(nonce), compare_nonces);
    int repeated = 0;
    for (int i = 1; i < 2 * SEALED_AFTER_FORK; i++)
        repeated += compare_nonces(nonces[i - 1], nonces[i]) == 0;
    CHECK(repeated == 0);
}

static void forks(void) {
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), NULL, "");
    cyborg_kms_error *error = NULL;
    cyborg_kms_index_free(fixture_index(engine, "cold"));
    CHECK_OK(cyborg_kms_engine_evict(engine, NULL, &error));
    cyborg_kms_index *index = fixture_index(engine, "forked");
    for (int i = 0; i < 10; i++)
        fork_once(engine, index);
    cyborg_kms_index_free(index);
    cyborg_kms_engine_free(engine);
}

/* --- the log ------------------------------------------------------------------------------------------- */

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int lines;
    bool blocks, inside, released, finished; /* one call is held until the test lets it go */
    bool ended_after_callback;               /* what the thread that took the callback away saw */
} log_state;

static void on_log(cyborg_kms_log_level level, const char *target, const char *message,
                   const char *fields_json, void *user_data) {
    log_state *log = user_data;
    CHECK(level >= CYBORG_KMS_LOG_ERROR && level <= CYBORG_KMS_LOG_TRACE);
    CHECK(target != NULL && message != NULL && message[0] != 0);
    CHECK(fields_json != NULL && fields_json[0] == '{' && fields_json[strlen(fields_json) - 1] == '}');
    pthread_mutex_lock(&log->lock);
    log->lines++;
    if (log->blocks) {
        log->inside = true;
        pthread_cond_broadcast(&log->changed);
        while (!log->released)
            pthread_cond_wait(&log->changed, &log->lock);
        log->finished = true;
    }
    pthread_mutex_unlock(&log->lock);
}

/* Makes the library log: a slot that works and one that nobody serves. */
static void *cause_lines(void *argument) {
    (void)argument;
    cyborg_kms_engine *engine = fixture_engine(fixture_directory(), NULL,
                                               "    unserved: {provider: \"external:nobody\", key_id: a}\n");
    cyborg_kms_error *error = NULL;
    cyborg_kms_index *index = NULL;
    CHECK_OK(cyborg_kms_engine_check(engine, "local", &error));
    CHECK_STATUS(CONFIG, cyborg_kms_index_create(engine, "unserved", "unserved", &index, &error));
    cyborg_kms_engine_free(engine);
    return NULL;
}

static void *take_the_callback_away(void *argument) {
    log_state *log = argument;
    cyborg_kms_set_log_callback(CYBORG_KMS_LOG_OFF, NULL, NULL);
    pthread_mutex_lock(&log->lock);
    log->ended_after_callback = log->finished;
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

static void logging(void) {
    log_state log = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t worker, remover;
    cyborg_kms_set_log_callback(CYBORG_KMS_LOG_TRACE, on_log, &log);
    cause_lines(NULL);
    REQUIRE(log.lines > 0);

    /* whoever takes the callback away may free what it uses: no thread is in it any more */
    log.blocks = true;
    REQUIRE(pthread_create(&worker, NULL, cause_lines, NULL) == 0);
    pthread_mutex_lock(&log.lock);
    while (!log.inside)
        pthread_cond_wait(&log.changed, &log.lock);
    pthread_mutex_unlock(&log.lock);
    REQUIRE(pthread_create(&remover, NULL, take_the_callback_away, &log) == 0);
    pthread_mutex_lock(&log.lock);
    log.released = true;
    pthread_cond_broadcast(&log.changed);
    pthread_mutex_unlock(&log.lock);
    pthread_join(remover, NULL);
    pthread_join(worker, NULL);
    CHECK(log.ended_after_callback);

    int lines = log.lines;
    cause_lines(NULL);
    CHECK(log.lines == lines);
}

int main(void) {
    threads();
    racing_creators();
    forks();
    logging();
    return check_result("processes");
}
