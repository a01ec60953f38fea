/* A database that keeps its catalog in SQLite: a table of collections, and beside it the envelope records of
 * their keys. Both change in one transaction, so that there is never a collection without its key, nor a key
 * without its collection. */
#include "sqlite_store.h"

#include <stdio.h>
#include <string.h>

static const char CONFIG[] = "kms:\n"
                             "  registry:\n"
                             "    prod: {provider: local, key_id: \"%s\", create: true}\n";

static bool report(const char *what, cyborg_kms_error *error) {
    fprintf(stderr, "%s: %s: %s\n", what, cyborg_kms_status_name(cyborg_kms_error_status(error)),
            cyborg_kms_error_message(error));
    cyborg_kms_error_free(error);
    return false;
}

static bool run(sqlite3 *database, const char *sql) {
    if (sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK)
        return true;
    fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(database));
    return false;
}

static int count(sqlite3 *database, const char *table, const char *name) {
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE name = ?1", table);
    sqlite3_stmt *statement = NULL;
    int rows = -1;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        rows = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return rows;
}

static bool insert_collection(sqlite3 *database, const char *name) {
    sqlite3_stmt *statement = NULL;
    bool inserted = sqlite3_prepare_v2(database, "INSERT INTO collection (name) VALUES (?1)", -1, &statement,
                                       NULL) == SQLITE_OK &&
                    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC) == SQLITE_OK &&
                    sqlite3_step(statement) == SQLITE_DONE;
    if (!inserted)
        fprintf(stderr, "insert collection %s: %s\n", name, sqlite3_errmsg(database));
    sqlite3_finalize(statement);
    return inserted;
}

/* Creates a collection with its key in one transaction, and ends that with `end`: "COMMIT" or "ROLLBACK". */
static bool create_collection(sqlite3 *database, cyborg_kms_engine *engine, const char *name,
                              const char *end) {
    cyborg_kms_index *index = NULL;
    cyborg_kms_error *error = NULL;
    if (!run(database, "BEGIN IMMEDIATE"))
        return false;
    bool created = insert_collection(database, name);
    if (created && cyborg_kms_index_create(engine, name, "prod", &index, &error) != CYBORG_KMS_OK)
        created = report("create the index", error);
    cyborg_kms_index_free(index);
    bool ended = run(database, created ? end : "ROLLBACK");
    if (!created || !ended || strcmp(end, "COMMIT") != 0) {
        /* The record is gone, but the engine may still hold its key: let it forget the index. */
        error = NULL;
        if (cyborg_kms_engine_evict(engine, name, &error) != CYBORG_KMS_OK)
            report("forget the index", error);
    }
    return created && ended;
}

/* What the two tables hold for `name` must both be `expected` rows, and the index must open accordingly. */
static bool check(sqlite3 *database, cyborg_kms_engine *engine, const char *name, int expected) {
    cyborg_kms_index *index = NULL;
    cyborg_kms_error *error = NULL;
    cyborg_kms_status status = cyborg_kms_index_open(engine, name, &index, &error);
    int collections = count(database, "collection", name),
        records = count(database, "cyborg_kms_record", name);
    printf("  \"%s\": %d row in collection, %d in cyborg_kms_record; index_open says %s.\n", name,
           collections, records, cyborg_kms_status_name(status));
    cyborg_kms_error_free(error);
    cyborg_kms_index_free(index);
    return collections == expected && records == expected &&
           status == (expected == 1 ? CYBORG_KMS_OK : CYBORG_KMS_NOT_FOUND);
}

static bool demonstrate(sqlite3 *database, cyborg_kms_engine *engine) {
    printf("BEGIN, a row of our own, index_create, COMMIT:\n");
    if (!create_collection(database, engine, "kept", "COMMIT") || !check(database, engine, "kept", 1))
        return false;
    printf("BEGIN, a row of our own, index_create, ROLLBACK:\n");
    if (!create_collection(database, engine, "dropped", "ROLLBACK") || !check(database, engine, "dropped", 0))
        return false;
    printf("And the same name once more, with COMMIT:\n");
    return create_collection(database, engine, "dropped", "COMMIT") && check(database, engine, "dropped", 1);
}

static cyborg_kms_engine *open_engine(sqlite3 *database, const char *key_file) {
    char config[sizeof CONFIG + 1024];
    cyborg_kms_store *store = NULL;
    cyborg_kms_engine *engine = NULL;
    cyborg_kms_error *error = NULL;
    if (snprintf(config, sizeof config, CONFIG, key_file) >= (int)sizeof config)
        fprintf(stderr, "the path of the key file is too long\n");
    else if (sqlite_store_open(database, &store, &error) != CYBORG_KMS_OK)
        report("open the store", error);
    else if (cyborg_kms_engine_open_yaml_with_store(config, store, &engine, &error) != CYBORG_KMS_OK)
        report("open the engine", error);
    cyborg_kms_store_free(store); /* the engine keeps what it needs */
    return engine;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s DATABASE KEY_FILE\n", argv[0]);
        return 2;
    }
    sqlite3 *database = NULL;
    if (sqlite3_open(argv[1], &database) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", argv[1], sqlite3_errmsg(database));
        sqlite3_close(database);
        return 1;
    }
    bool good = run(database, "CREATE TABLE IF NOT EXISTS collection (name TEXT PRIMARY KEY)");
    cyborg_kms_engine *engine = good ? open_engine(database, argv[2]) : NULL;
    good = engine != NULL && demonstrate(database, engine);
    cyborg_kms_engine_free(engine); /* before the connection that its store uses */
    sqlite3_close(database);
    printf(good ? "Done: the key's record and the host's row came and went together.\n"
                : "FAILED: see above.\n");
    return good ? 0 : 1;
}
