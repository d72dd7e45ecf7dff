/* Every SQL statement of the store's two files. Statements with %s are for database names of stores, which rows.c
 * quotes. */
#ifndef TIDEMILL_STORE_STORE_SQL_H
#define TIDEMILL_STORE_STORE_SQL_H

#define SQL_FORMAT_VERSION 1

/* Both files. */
#define SQL_NEW_FILE "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL"
#define SQL_SETTINGS                                                                                                   \
    "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;"    \
    "PRAGMA journal_size_limit = 67108864; PRAGMA synchronous = "
#define SQL_GET_APPLICATION "PRAGMA application_id"
#define SQL_GET_FORMAT "PRAGMA user_version"
#define SQL_GET_PAGE_SIZE "PRAGMA page_size"
#define SQL_IS_SOUND "SELECT quick_check = 'ok' FROM pragma_quick_check(1)"
#define SQL_SET_HEADER "PRAGMA application_id = %u; PRAGMA user_version = %d"
#define SQL_COUNT_OBJECTS "SELECT count(*) FROM sqlite_schema"
#define SQL_MAKE_IDENTITY "CREATE TABLE identity (app TEXT NOT NULL, worker TEXT NOT NULL, pair INTEGER NOT NULL)"
#define SQL_ADD_IDENTITY "INSERT INTO identity VALUES (?1, ?2, ?3)"
#define SQL_GET_IDENTITY "SELECT app, worker, pair FROM identity"
#define SQL_SYNC_ALL "PRAGMA synchronous = FULL"
#define SQL_BEGIN "BEGIN IMMEDIATE"
#define SQL_COMMIT "COMMIT"
#define SQL_ROLLBACK "ROLLBACK"

/* deltas.db. A commit is one row, or several when it is huge; the last one carries the meta. */
#define SQL_DELTAS_SCHEMA "CREATE TABLE delta (seq INTEGER PRIMARY KEY, meta BLOB, body BLOB NOT NULL)"
#define SQL_ADD_DELTA "INSERT INTO delta VALUES (?1, ?2, ?3)"
#define SQL_READ_DELTAS "SELECT seq, meta, body FROM delta WHERE seq > ?1 AND seq <= ?2 ORDER BY seq"
#define SQL_LAST_DELTA "SELECT max(seq) FROM delta"
#define SQL_DELETE_DELTAS "DELETE FROM delta WHERE seq IN (SELECT seq FROM delta WHERE seq <= ?1 ORDER BY seq LIMIT ?2)"

/* What `kind` in the list of stores says besides the kind. */
#define SQL_KIND_MASK 15
#define SQL_KIND_BY_KEY 16
#define SQL_KIND_HEADERS 32

/* rows.db. `merged` is the last delta in it, `meta` that delta's. `timeless` has the keys of window and session stores
 * that are too short to begin with a time; they are loaded at opening and never expire. */
#define SQL_ROWS_SCHEMA                                                                                                \
    "CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), merged INTEGER NOT NULL, meta BLOB);"                  \
    "INSERT INTO state VALUES (1, 0, NULL);"                                                                           \
    "CREATE TABLE store (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, kind INTEGER NOT NULL,"      \
    " hash INTEGER NOT NULL, since INTEGER NOT NULL, expired INTEGER NOT NULL);"                                       \
    "CREATE TABLE timeless (store INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,"                           \
    " timestamp INTEGER NOT NULL, PRIMARY KEY (store, key)) WITHOUT ROWID"
#define SQL_GET_STATE "SELECT merged, meta FROM state WHERE id = 1"
#define SQL_SET_STATE "UPDATE state SET merged = ?1, meta = ?2 WHERE id = 1"
#define SQL_LIST_STORES "SELECT id, name, kind, hash, since, expired FROM store ORDER BY id"
#define SQL_ADD_STORE "INSERT INTO store (name, kind, hash, since, expired) VALUES (?1, ?2, ?3, ?4, 0)"
#define SQL_SET_EXPIRED "UPDATE store SET expired = ?2 WHERE id = ?1"
#define SQL_DELETE_STORE "DELETE FROM store WHERE id = ?1"
#define SQL_DELETE_TIMELESS_ROWS "DELETE FROM timeless WHERE store = ?1"
#define SQL_GET_TIMELESS_ROWS "SELECT key, value, timestamp FROM timeless WHERE store = ?1 ORDER BY key"
#define SQL_PUT_TIMELESS_ROW "INSERT OR REPLACE INTO timeless VALUES (?1, ?2, ?3, ?4)"
#define SQL_DELETE_TIMELESS_ROW "DELETE FROM timeless WHERE store = ?1 AND key = ?2"
#define SQL_MAKE_ROWS                                                                                                  \
    "CREATE TABLE %s (key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL, timestamp INTEGER NOT NULL) WITHOUT ROWID"
#define SQL_DROP_ROWS "DROP TABLE %s"
#define SQL_ANY_ROW "SELECT 1 FROM %s LIMIT 1"
#define SQL_LAST_KEY "SELECT key FROM %s ORDER BY key DESC LIMIT 1"
#define SQL_GET_ROW "SELECT value, timestamp FROM %s WHERE key = ?1"
#define SQL_PUT_ROW "INSERT OR REPLACE INTO %s VALUES (?1, ?2, ?3)"
#define SQL_DELETE_ROW "DELETE FROM %s WHERE key = ?1"
#define SQL_EXPIRE_ROWS "DELETE FROM %s WHERE key < ?1"
#define SQL_RANGE_UP "SELECT key, value, timestamp FROM %s WHERE key >= ?1 ORDER BY key"
#define SQL_RANGE_UP_TO "SELECT key, value, timestamp FROM %s WHERE key >= ?1 AND key < ?2 ORDER BY key"
#define SQL_RANGE_DOWN "SELECT key, value, timestamp FROM %s WHERE key >= ?1 ORDER BY key DESC"
#define SQL_RANGE_DOWN_TO "SELECT key, value, timestamp FROM %s WHERE key >= ?1 AND key < ?2 ORDER BY key DESC"

/* Reading by somebody else (state_reader.c): what is not merged lies in a temporary table over the rows. */
#define SQL_READER_SETTINGS "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0"
#define SQL_READER_BEGIN "BEGIN"
#define SQL_QUICK_CHECK "PRAGMA quick_check(1)"
#define SQL_READER_SCHEMA                                                                                              \
    "CREATE TABLE temp.unmerged (store INTEGER NOT NULL, key BLOB NOT NULL, value BLOB, timestamp INTEGER NOT NULL,"   \
    " PRIMARY KEY (store, key)) WITHOUT ROWID"
#define SQL_READER_PUT "INSERT OR REPLACE INTO temp.unmerged VALUES (?1, ?2, ?3, ?4)"
#define SQL_READER_SCAN                                                                                                \
    "SELECT key, value, timestamp FROM temp.unmerged WHERE store = ?1 AND value IS NOT NULL AND key >= ?2"             \
    " UNION ALL SELECT key, value, timestamp FROM %s AS merged WHERE key >= ?2"                                        \
    " AND NOT EXISTS (SELECT 1 FROM temp.unmerged WHERE store = ?1 AND key = merged.key)"                              \
    " UNION ALL SELECT key, value, timestamp FROM timeless AS merged WHERE store = ?1 AND key >= ?2"                   \
    " AND NOT EXISTS (SELECT 1 FROM temp.unmerged WHERE store = ?1 AND key = merged.key)"                              \
    " ORDER BY 1"

/* Copying both files (state_copy.c). How many deltas are missing behind the one that rows.db has last. */
#define SQL_COPIED_PAIR "SELECT pair FROM identity"
#define SQL_COPIED_MERGED "SELECT merged FROM state WHERE id = 1"
#define SQL_MISSING_DELTAS "SELECT coalesce(max(seq) - %lld - count(*), 0) FROM delta WHERE seq > %lld"

#endif
