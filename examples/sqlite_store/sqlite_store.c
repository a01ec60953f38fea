#include "sqlite_store.h"

#include <stdint.h>
#include <string.h>

/* The record's revision is a random number, not a sequence: a sequence, AUTOINCREMENT too, is rolled back
 * with the host's transaction and would then hand out the same number for another content. Of 2^63 numbers
 * none comes twice. 0 and the top half, where CYBORG_KMS_REVISION_ANY lies, are not handed out. */
static uint64_t new_revision(void) {
    sqlite3_int64 revision = 0;
    while (revision == 0) {
        sqlite3_randomness(sizeof revision, &revision);
        revision &= INT64_MAX;
    }
    return (uint64_t)revision;
}

static const char TABLE[] = "CREATE TABLE IF NOT EXISTS cyborg_kms_record ("
                            "  name TEXT PRIMARY KEY COLLATE BINARY,"
                            "  revision INTEGER NOT NULL,"
                            "  record BLOB NOT NULL"
                            ") WITHOUT ROWID";

/* Answers with SQLite's own message. The code tells the library, and who reads the error, which one it was.
 */
static void reply_sqlite_error(sqlite3 *database, cyborg_kms_reply *reply) {
    cyborg_kms_reply_error(reply, CYBORG_KMS_STORAGE, sqlite3_errstr(sqlite3_extended_errcode(database)),
                           sqlite3_errmsg(database));
}

static sqlite3_stmt *prepare(sqlite3 *database, const char *sql, const char *name) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC) == SQLITE_OK)
        return statement;
    sqlite3_finalize(statement);
    return NULL;
}

/* --- the four callbacks: each answers its reply exactly once ------------------------------------------- */

static void get(const char *index_name, cyborg_kms_reply *reply, void *user_data) {
    sqlite3 *database = user_data;
    sqlite3_stmt *statement =
        prepare(database, "SELECT revision, record FROM cyborg_kms_record WHERE name = ?1", index_name);
    int step = statement == NULL ? SQLITE_ERROR : sqlite3_step(statement);
    if (step == SQLITE_ROW)
        cyborg_kms_reply_bytes(reply, sqlite3_column_blob(statement, 1),
                               (size_t)sqlite3_column_bytes(statement, 1),
                               (uint64_t)sqlite3_column_int64(statement, 0));
    else if (step == SQLITE_DONE)
        cyborg_kms_reply_error(reply, CYBORG_KMS_NOT_FOUND, NULL, "no such row in cyborg_kms_record");
    else
        reply_sqlite_error(database, reply);
    sqlite3_finalize(statement);
}

/* One statement for each expectation, so that the comparison and the write are one. */
static const char *put_statement(uint64_t expected_revision) {
    if (expected_revision == CYBORG_KMS_REVISION_ABSENT)
        return "INSERT INTO cyborg_kms_record (name, revision, record) VALUES (?1, ?2, ?3) ON CONFLICT DO "
               "NOTHING";
    if (expected_revision == CYBORG_KMS_REVISION_ANY)
        return "INSERT INTO cyborg_kms_record (name, revision, record) VALUES (?1, ?2, ?3) "
               "ON CONFLICT (name) DO UPDATE SET revision = ?2, record = ?3";
    return "UPDATE cyborg_kms_record SET revision = ?2, record = ?3 WHERE name = ?1 AND revision = ?4";
}

static void put(const char *index_name, const uint8_t *data, size_t len, uint64_t expected_revision,
                cyborg_kms_reply *reply, void *user_data) {
    sqlite3 *database = user_data;
    uint64_t revision = new_revision();
    sqlite3_stmt *statement = prepare(database, put_statement(expected_revision), index_name);
    bool compares = statement != NULL && sqlite3_bind_parameter_count(statement) == 4;
    if (statement == NULL || sqlite3_bind_int64(statement, 2, (sqlite3_int64)revision) != SQLITE_OK ||
        sqlite3_bind_blob(statement, 3, data, (int)len, SQLITE_STATIC) != SQLITE_OK ||
        (compares && sqlite3_bind_int64(statement, 4, (sqlite3_int64)expected_revision) != SQLITE_OK) ||
        sqlite3_step(statement) != SQLITE_DONE)
        reply_sqlite_error(database, reply);
    else if (sqlite3_changes(database) == 1)
        cyborg_kms_reply_bytes(reply, NULL, 0, revision);
    else if (expected_revision == CYBORG_KMS_REVISION_ABSENT)
        cyborg_kms_reply_error(reply, CYBORG_KMS_ALREADY_EXISTS, NULL, "cyborg_kms_record has such a row");
    else
        cyborg_kms_reply_error(reply, CYBORG_KMS_CONFLICT, NULL, "the row was changed since it was read");
    sqlite3_finalize(statement);
}

/* Whether a row is there. Negative: SQLite failed. */
static int row_exists(sqlite3 *database, const char *index_name) {
    sqlite3_stmt *statement =
        prepare(database, "SELECT 1 FROM cyborg_kms_record WHERE name = ?1", index_name);
    int step = statement == NULL ? SQLITE_ERROR : sqlite3_step(statement);
    sqlite3_finalize(statement);
    return step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : -1;
}

static void remove_record(const char *index_name, uint64_t expected_revision, cyborg_kms_reply *reply,
                          void *user_data) {
    sqlite3 *database = user_data;
    bool compares = expected_revision != CYBORG_KMS_REVISION_ANY;
    sqlite3_stmt *statement =
        prepare(database,
                compares ? "DELETE FROM cyborg_kms_record WHERE name = ?1 AND revision = ?2"
                         : "DELETE FROM cyborg_kms_record WHERE name = ?1",
                index_name);
    int exists = 0;
    bool failed =
        statement == NULL ||
        (compares && sqlite3_bind_int64(statement, 2, (sqlite3_int64)expected_revision) != SQLITE_OK) ||
        sqlite3_step(statement) != SQLITE_DONE;
    if (!failed && sqlite3_changes(database) == 0)
        exists = row_exists(database, index_name);
    if (failed || exists < 0)
        reply_sqlite_error(database, reply);
    else if (exists > 0)
        cyborg_kms_reply_error(reply, CYBORG_KMS_CONFLICT, NULL, "the row was changed since it was read");
    else
        cyborg_kms_reply_bytes(reply, NULL, 0, 0);
    sqlite3_finalize(statement);
}

static void list(const char *start_after, cyborg_kms_name_callback name, void *name_data,
                 cyborg_kms_reply *reply, void *user_data) {
    sqlite3 *database = user_data;
    /* No index has an empty name, so "" is in front of all. */
    sqlite3_stmt *statement =
        prepare(database, "SELECT name FROM cyborg_kms_record WHERE name > ?1 ORDER BY name",
                start_after == NULL ? "" : start_after);
    int step = statement == NULL ? SQLITE_ERROR : sqlite3_step(statement);
    while (step == SQLITE_ROW && name((const char *)sqlite3_column_text(statement, 0), name_data))
        step = sqlite3_step(statement);
    if (step == SQLITE_ROW || step == SQLITE_DONE)
        cyborg_kms_reply_bytes(reply, NULL, 0, 0);
    else
        reply_sqlite_error(database, reply);
    sqlite3_finalize(statement);
}

/* --- open ---------------------------------------------------------------------------------------------- */

cyborg_kms_status sqlite_store_open(sqlite3 *database, cyborg_kms_store **out, cyborg_kms_error **error) {
    /* A failure to make the table comes out at the first use, which answers with SQLite's message. */
    sqlite3_exec(database, TABLE, NULL, NULL, NULL);
    const cyborg_kms_store_callbacks callbacks = {
        .struct_size = sizeof callbacks,
        .flags = CYBORG_KMS_STORE_CALLER_THREAD, /* the transaction belongs to the thread that calls */
        .get = get,
        .put = put,
        .remove = remove_record,
        .list = list,
        .destroy = NULL, /* the connection is the host's */
    };
    return cyborg_kms_store_open_callbacks(&callbacks, database, out, error);
}
