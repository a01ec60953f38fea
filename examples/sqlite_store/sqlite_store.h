/* A store for envelope records in a table of the caller's SQLite database, in the caller's transactions. */
#ifndef SQLITE_STORE_H
#define SQLITE_STORE_H

#include <cyborg_kms.h>
#include <sqlite3.h>

/* Makes the table `cyborg_kms_record` where it is missing and opens a store on it. Every read and write goes
 * through `database`, in whatever transaction it is then in. The connection must outlive the store, and all
 * engines and indexes that use it; one thread at a time may use them. */
cyborg_kms_status sqlite_store_open(sqlite3 *database, cyborg_kms_store **out, cyborg_kms_error **error);

#endif
