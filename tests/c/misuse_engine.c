#include "misuse.h"

/* Each function whose first parameters are an engine and an index name. */
#define NAMED(refuse, function, ...)                                                                         \
    refuse(function, "no engine", (NULL, "misuse", ##__VA_ARGS__, m->error_at));                             \
    refuse(function, "no name", (m->engine, NULL, ##__VA_ARGS__, m->error_at));                              \
    refuse(function, "empty name", (m->engine, "", ##__VA_ARGS__, m->error_at));                             \
    refuse(function, "name too long", (m->engine, TOO_LONG, ##__VA_ARGS__, m->error_at));                    \
    refuse(function, "name not UTF-8", (m->engine, NOT_UTF8, ##__VA_ARGS__, m->error_at))
#define INVALID(function, what, arguments) REFUSE(function, what, INVALID_ARGUMENT, arguments)

static void opening(misuse *m) {
    INVALID(engine_open, "no path", (NULL, &m->engine_out, m->error_at));
    INVALID(engine_open, "no output", ("/etc/db.yaml", NULL, m->error_at));
    INVALID(engine_open, "not UTF-8", ("/tmp/" NOT_UTF8, &m->engine_out, m->error_at));
    REFUSE(engine_open, "no such file", CONFIG, ("/no/such/file.yaml", &m->engine_out, m->error_at));
    INVALID(engine_open_yaml, "no text", (NULL, &m->engine_out, m->error_at));
    INVALID(engine_open_yaml, "no output", ("{}", NULL, m->error_at));
    INVALID(engine_open_yaml, "not UTF-8", ("a: " NOT_UTF8, &m->engine_out, m->error_at));
    REFUSE(engine_open_yaml, "not YAML", CONFIG, ("{{{", &m->engine_out, m->error_at));
    REFUSE(engine_open_yaml, "unknown key", CONFIG,
           ("storgae: {url: memory://}", &m->engine_out, m->error_at));
    INVALID(engine_open_yaml_with_store, "no text", (NULL, m->store, &m->engine_out, m->error_at));
    INVALID(engine_open_yaml_with_store, "no store", ("{}", NULL, &m->engine_out, m->error_at));
    INVALID(engine_open_yaml_with_store, "no output", ("{}", m->store, NULL, m->error_at));
    REFUSE(engine_open_yaml_with_store, "two stores", CONFIG,
           ("storage: {url: \"memory://\"}", m->store, &m->engine_out, m->error_at));
    INVALID(engine_reload, "no engine", (NULL, "{}", m->error_at));
    INVALID(engine_reload, "not UTF-8", (m->engine, NOT_UTF8, m->error_at));
    REFUSE(engine_reload, "not YAML", CONFIG, (m->engine, "{{{", m->error_at));
    EXPECT(engine_retain, cyborg_kms_engine *, (NULL), it == NULL);
    SURVIVE(engine_free, (NULL));
    cyborg_kms_scope_options scope = {.struct_size = sizeof scope};
    INVALID(engine_scope, "no engine", (NULL, &scope, &m->engine_out, m->error_at));
    INVALID(engine_scope, "no output", (m->engine, &scope, NULL, m->error_at));
    scope.struct_size = 1;
    INVALID(engine_scope, "no size", (m->engine, &scope, &m->engine_out, m->error_at));
    SURVIVE(engine_cancel, (NULL));
}

static void using(misuse *m) {
    cyborg_kms_stats stats = {.struct_size = 1};
    INVALID(engine_store, "no engine", (NULL, &m->store_out, m->error_at));
    INVALID(engine_store, "no output", (m->engine, NULL, m->error_at));
    INVALID(engine_check, "no engine", (NULL, "local", m->error_at));
    INVALID(engine_check, "not UTF-8", (m->engine, NOT_UTF8, m->error_at));
    REFUSE(engine_check, "unknown slot", CONFIG, (m->engine, "nobody", m->error_at));
    INVALID(engine_evict, "no engine", (NULL, "misuse", m->error_at));
    INVALID(engine_evict, "not UTF-8", (m->engine, NOT_UTF8, m->error_at));
    INVALID(engine_stats, "no engine", (NULL, &stats, m->error_at));
    INVALID(engine_stats, "no output", (m->engine, NULL, m->error_at));
    INVALID(engine_stats, "no size", (m->engine, &stats, m->error_at));
    INVALID(engine_metrics, "no engine", (NULL, &m->buffer_out, m->error_at));
    INVALID(engine_metrics, "no output", (m->engine, NULL, m->error_at));
}

static void no_wrap(const char *key_id, const uint8_t *aad, size_t aad_len, const uint8_t *bytes, size_t len,
                    cyborg_kms_reply *reply, void *user_data) {
    (void)key_id, (void)aad, (void)aad_len, (void)bytes, (void)len, (void)user_data;
    cyborg_kms_reply_free(reply);
}

static void providers(misuse *m) {
    cyborg_kms_provider_callbacks good = {.struct_size = sizeof good, .wrap = no_wrap, .unwrap = no_wrap};
    cyborg_kms_provider_callbacks half = {.struct_size = sizeof half, .wrap = no_wrap};
    cyborg_kms_provider_callbacks sizeless = good;
    sizeless.struct_size = 0;
    INVALID(engine_register_provider, "no engine", (NULL, "p", &good, NULL, m->error_at));
    INVALID(engine_register_provider, "no name", (m->engine, NULL, &good, NULL, m->error_at));
    INVALID(engine_register_provider, "empty name", (m->engine, "", &good, NULL, m->error_at));
    INVALID(engine_register_provider, "not UTF-8", (m->engine, NOT_UTF8, &good, NULL, m->error_at));
    INVALID(engine_register_provider, "no callbacks", (m->engine, "p", NULL, NULL, m->error_at));
    INVALID(engine_register_provider, "no unwrap", (m->engine, "p", &half, NULL, m->error_at));
    INVALID(engine_register_provider, "no size", (m->engine, "p", &sizeless, NULL, m->error_at));
}

static void lifecycle(misuse *m) {
    NAMED(INVALID, index_rotate, CYBORG_KMS_ROTATE_KEK, NULL);
    INVALID(index_rotate, "no such rotation", (m->engine, "misuse", 99, NULL, m->error_at));
    INVALID(index_rotate, "slot not UTF-8", (m->engine, "misuse", 0, NOT_UTF8, m->error_at));
    REFUSE(index_rotate, "no such slot", CONFIG, (m->engine, "misuse", 0, "nobody", m->error_at));
    NAMED(INVALID, index_rotate_with_key, CYBORG_KMS_ROTATE_KEK, NULL, m->out, 32, NULL, 0);
    INVALID(index_rotate_with_key, "no old key",
            (m->engine, "misuse", 1, NULL, NULL, 32, NULL, 0, m->error_at));
    INVALID(index_rotate_with_key, "no new key",
            (m->engine, "misuse", 1, NULL, NULL, 0, NULL, 32, m->error_at));
    INVALID(index_rotate_with_key, "an empty key",
            (m->engine, "misuse", 1, NULL, NULL, 0, m->out, 0, m->error_at));
    INVALID(index_rotate_with_key, "a short key",
            (m->engine, "misuse", 1, NULL, NULL, 0, m->out, 31, m->error_at));
    INVALID(index_rotate_with_key, "a key that a KMS has",
            (m->engine, "misuse", 1, NULL, m->out, 32, NULL, 0, m->error_at));
    INVALID(index_rotate_with_key, "no such rotation",
            (m->engine, "misuse", 3, NULL, NULL, 0, NULL, 0, m->error_at));
    NAMED(INVALID, index_retire_data_key, 1);
    INVALID(index_retire_data_key, "the current one", (m->engine, "misuse", 1, m->error_at));
    INVALID(index_retire_data_key, "the derivation key", (m->engine, "misuse", 0, m->error_at));
    NAMED(INVALID, index_retire_kek, 1);
    INVALID(index_retire_kek, "the one in use", (m->engine, "misuse", 1, m->error_at));
    REFUSE(index_retire_kek, "no such version", NOT_FOUND, (m->engine, "misuse", 2, m->error_at));
    NAMED(INVALID, index_disable);
    NAMED(INVALID, index_enable);
    NAMED(INVALID, index_schedule_deletion, 24);
    INVALID(index_schedule_deletion, "too soon", (m->engine, "misuse", 23, m->error_at));
    INVALID(index_schedule_deletion, "too late", (m->engine, "misuse", 8761, m->error_at));
    NAMED(INVALID, index_cancel_deletion);
    REFUSE(index_cancel_deletion, "nothing to cancel", CONFLICT, (m->engine, "misuse", m->error_at));
    NAMED(INVALID, index_delete, &m->buffer_out);
    REFUSE(index_delete, "no such index", NOT_FOUND, (m->engine, "nobody", &m->buffer_out, m->error_at));
    REFUSE(index_delete, "no such index, no receipt", NOT_FOUND, (m->engine, "nobody", NULL, m->error_at));
    NAMED(INVALID, index_describe, &m->buffer_out);
    INVALID(index_describe, "no output", (m->engine, "misuse", NULL, m->error_at));
    REFUSE(index_describe, "no such index", NOT_FOUND, (m->engine, "nobody", &m->buffer_out, m->error_at));
}

static void running_an_engine(misuse *m) {
    cyborg_kms_sync_options options = {.struct_size = 1};
    INVALID(engine_sync, "no engine", (NULL, NULL, NULL, NULL, &m->buffer_out, m->error_at));
    INVALID(engine_sync, "no engine, no report", (NULL, NULL, NULL, NULL, NULL, m->error_at));
    INVALID(engine_sync, "no size", (m->engine, &options, NULL, NULL, &m->buffer_out, m->error_at));
    options.struct_size = sizeof options;
    options.concurrency = 257;
    INVALID(engine_sync, "too many threads", (m->engine, &options, NULL, NULL, &m->buffer_out, m->error_at));
    options.concurrency = 0;
    options.requests_per_second = 1000001;
    INVALID(engine_sync, "too fast", (m->engine, &options, NULL, NULL, &m->buffer_out, m->error_at));
    INVALID(engine_set_audit_callback, "no engine", (NULL, NULL, NULL, m->error_at));
    INVALID(audit_verify, "no path", (NULL, NULL, 0, NULL, &m->buffer_out, m->error_at));
    INVALID(audit_verify, "not UTF-8", (NOT_UTF8, NULL, 0, NULL, &m->buffer_out, m->error_at));
    INVALID(audit_verify, "no key", ("/tmp/audit", NULL, 32, NULL, &m->buffer_out, m->error_at));
    INVALID(audit_verify, "short key", ("/tmp/audit", m->out, 31, NULL, &m->buffer_out, m->error_at));
    INVALID(audit_verify, "no head", ("/tmp/audit", NULL, 0, "{}", &m->buffer_out, m->error_at));
    INVALID(audit_verify, "head not UTF-8", ("/tmp/audit", NULL, 0, NOT_UTF8, &m->buffer_out, m->error_at));
    REFUSE(audit_verify, "no log", NOT_FOUND,
           ("/tmp/no such audit log", NULL, 0, NULL, &m->buffer_out, m->error_at));
    INVALID(audit_head, "no path", (NULL, &m->buffer_out, m->error_at));
    INVALID(audit_head, "no output", ("/tmp/audit", NULL, m->error_at));
    INVALID(audit_head, "not UTF-8", (NOT_UTF8, &m->buffer_out, m->error_at));
    REFUSE(audit_head, "no log", NOT_FOUND, ("/tmp/no such audit log", &m->buffer_out, m->error_at));
}

/* The callback owns what it is given, and gets a status that is not OK. */
static void expect_refused(cyborg_kms_status status, cyborg_kms_index *index, cyborg_kms_error *error,
                           void *user_data) {
    CHECK((status == CYBORG_KMS_INVALID_ARGUMENT || status == CYBORG_KMS_UNSUPPORTED) && index == NULL);
    CHECK(error != NULL && cyborg_kms_error_status(error) == status);
    cyborg_kms_error_free(error);
    ++*(_Atomic int *)user_data;
}

static void asynchronous(misuse *m) {
    static _Atomic int calls; /* static: should a callback come late, it finds its counter */
    SURVIVE(index_open_async, (m->engine, "misuse", NULL, NULL, NULL));
    SURVIVE(index_open_async, (NULL, "misuse", NULL, expect_refused, (void *)&calls));
    SURVIVE(index_open_async, (m->engine, NULL, NULL, expect_refused, (void *)&calls));
    SURVIVE(index_open_async, (m->engine, NOT_UTF8, NULL, expect_refused, (void *)&calls));
}

void misuse_engine(misuse *m) {
    opening(m);
    using(m);
    providers(m);
    lifecycle(m);
    running_an_engine(m);
    asynchronous(m);
}
