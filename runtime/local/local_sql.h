/* Every statement of the embedded log, and its schema. Included by local_db only.
 *
 * batches.id is partition id << LOCAL_OFFSET_BITS | base offset: the batches of a partition lie together in order of
 * offsets, and one range of the primary key reads them. The blob stands last, so that the other columns are read
 * without its overflow pages. Ids of topics and partitions are never used again (AUTOINCREMENT).
 */
#ifndef TIDEMILL_LOCAL_LOCAL_SQL_H
#define TIDEMILL_LOCAL_LOCAL_SQL_H

#define LOCAL_OFFSET_BITS 43
#define LOCAL_OFFSET_LIMIT ((int64_t)1 << LOCAL_OFFSET_BITS) /* offsets are smaller */
#define LOCAL_PARTITION_LIMIT ((int64_t)1 << (63 - LOCAL_OFFSET_BITS))

#define LOCAL_SQL_SCHEMA                                                                                               \
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"                                  \
    "INSERT INTO meta VALUES('topics_version', 1), ('recoveries', 0);"                                                 \
    "CREATE TABLE topics(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, uuid TEXT NOT NULL,"         \
    " partitions INTEGER NOT NULL, compacted INTEGER NOT NULL, retention_ms INTEGER NOT NULL,"                         \
    " retention_bytes INTEGER NOT NULL, delete_retention_ms INTEGER NOT NULL, created_ms INTEGER NOT NULL);"           \
    "CREATE TABLE partitions(id INTEGER PRIMARY KEY AUTOINCREMENT, topic_id INTEGER NOT NULL,"                         \
    " number INTEGER NOT NULL, low INTEGER NOT NULL DEFAULT 0, high INTEGER NOT NULL DEFAULT 0,"                       \
    " bytes INTEGER NOT NULL DEFAULT 0, cleaned INTEGER NOT NULL DEFAULT 0,"                                           \
    " cleaned_bytes INTEGER NOT NULL DEFAULT 0, UNIQUE(topic_id, number));"                                            \
    "CREATE TABLE batches(id INTEGER PRIMARY KEY, last INTEGER NOT NULL, appended_ms INTEGER NOT NULL,"                \
    " max_timestamp INTEGER NOT NULL, data BLOB NOT NULL);"                                                            \
    "CREATE TABLE positions(app TEXT NOT NULL, partition_id INTEGER NOT NULL, position INTEGER NOT NULL,"              \
    " metadata TEXT, PRIMARY KEY(app, partition_id)) WITHOUT ROWID;"

#define LOCAL_SQL_STATEMENTS(X)                                                                                        \
    X(BEGIN_READ, "BEGIN")                                                                                             \
    X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                                                                  \
    X(COMMIT, "COMMIT")                                                                                                \
    X(ROLLBACK, "ROLLBACK")                                                                                            \
    X(SAVEPOINT, "SAVEPOINT request")                                                                                  \
    X(RELEASE, "RELEASE request")                                                                                      \
    X(ROLLBACK_TO, "ROLLBACK TO request")                                                                              \
    X(DATA_VERSION, "PRAGMA data_version")                                                                             \
    X(TOPICS_VERSION, "SELECT value FROM meta WHERE name = 'topics_version'")                                          \
    X(TOPICS_CHANGED, "UPDATE meta SET value = value + 1 WHERE name = 'topics_version'")                               \
    X(RECOVERED, "UPDATE meta SET value = value + 1 WHERE name = 'recoveries'")                                        \
    X(TOPIC_FIND, "SELECT id, partitions, uuid, compacted, retention_ms, retention_bytes, delete_retention_ms"         \
                  " FROM topics WHERE name = ?1")                                                                      \
    X(TOPIC_LIST, "SELECT id, partitions, name, uuid FROM topics ORDER BY name")                                       \
    X(TOPIC_INSERT, "INSERT INTO topics(name, uuid, partitions, compacted, retention_ms, retention_bytes,"             \
                    " delete_retention_ms, created_ms)"                                                                \
                    " VALUES(?1, lower(hex(randomblob(16))), 0, ?2, ?3, ?4, ?5, ?6)")                                  \
    X(TOPIC_PARTITIONS, "UPDATE topics SET partitions = ?2 WHERE id = ?1")                                             \
    X(TOPIC_DELETE, "DELETE FROM topics WHERE id = ?1")                                                                \
    X(PARTITION_INSERT, "INSERT INTO partitions(topic_id, number) VALUES(?1, ?2)")                                     \
    X(PARTITION_FIND, "SELECT p.id, p.low, p.high FROM topics t JOIN partitions p ON p.topic_id = t.id"                \
                      " WHERE t.name = ?1 AND p.number = ?2")                                                          \
    X(PARTITION_LIST, "SELECT id, number FROM partitions WHERE topic_id = ?1 ORDER BY number")                         \
    X(PARTITION_DELETE, "DELETE FROM partitions WHERE topic_id = ?1")                                                  \
    X(PARTITION_MARKS, "SELECT low, high FROM partitions WHERE id = ?1")                                               \
    X(PARTITION_APPENDED, "UPDATE partitions SET high = ?2, bytes = bytes + ?3 WHERE id = ?1")                         \
    X(PARTITION_TRIMMED, "UPDATE partitions SET low = max(low, ?2), bytes = bytes - ?3 WHERE id = ?1")                 \
    X(PARTITION_SHRUNK, "UPDATE partitions SET bytes = bytes - ?2 WHERE id = ?1")                                      \
    X(PARTITION_CLEANED, "UPDATE partitions SET cleaned = ?2, cleaned_bytes = bytes WHERE id = ?1")                    \
    X(PARTITION_EXPIRING, "SELECT p.id, p.bytes, t.retention_ms, t.retention_bytes"                                    \
                          " FROM topics t JOIN partitions p ON p.topic_id = t.id"                                      \
                          " WHERE (t.retention_ms >= 0 OR t.retention_bytes >= 0) AND p.high > p.low")                 \
    X(PARTITION_COMPACTED, "SELECT p.id, p.low, p.high, p.cleaned, p.bytes, p.cleaned_bytes, t.delete_retention_ms,"   \
                           " (SELECT min(position) FROM positions WHERE partition_id = p.id)"                          \
                           " FROM topics t JOIN partitions p ON p.topic_id = t.id WHERE t.compacted")                  \
    X(PARTITION_ALL, "SELECT p.id, p.low, p.high, p.number, t.name"                                                    \
                     " FROM topics t JOIN partitions p ON p.topic_id = t.id ORDER BY p.id")                            \
    X(BATCH_INSERT, "INSERT INTO batches(id, last, appended_ms, max_timestamp, data) VALUES(?1, ?2, ?3, ?4, ?5)")      \
    X(BATCH_RANGE, "SELECT id, last, data, appended_ms FROM batches"                                                   \
                   " WHERE id >= coalesce((SELECT id FROM batches WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC"         \
                   " LIMIT 1), ?2) AND id < ?3 AND last >= ?4 ORDER BY id")                                            \
    X(BATCH_OLDEST, "SELECT last, appended_ms, length(data) FROM batches WHERE id >= ?1 AND id < ?2 ORDER BY id")      \
    X(BATCH_NEWEST, "SELECT appended_ms FROM batches WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT 1")             \
    X(PAGE_SIZE, "PRAGMA page_size")                                                                                   \
    X(BATCH_LAST, "SELECT id FROM batches ORDER BY id DESC LIMIT 1")                                                   \
    X(BATCH_AT_TIME, "SELECT id, last, data FROM batches WHERE id >= ?1 AND id < ?2 AND last >= ?3"                    \
                     " AND max_timestamp >= ?4 ORDER BY id")                                                           \
    X(BATCH_BYTES, "SELECT coalesce(sum(length(data)), 0) FROM batches WHERE id >= ?1 AND id < ?2 AND last < ?3")      \
    X(BATCH_DELETE, "DELETE FROM batches WHERE id >= ?1 AND id < ?2 AND last < ?3")                                    \
    X(POSITION_PUT, "INSERT OR REPLACE INTO positions(app, partition_id, position, metadata) VALUES(?1, ?2, ?3, ?4)")  \
    X(POSITION_GET, "SELECT position, metadata FROM positions WHERE app = ?1 AND partition_id = ?2")                   \
    X(POSITION_DELETE, "DELETE FROM positions WHERE app = ?1 AND partition_id = ?2")                                   \
    X(POSITION_DROP, "DELETE FROM positions WHERE partition_id IN (SELECT id FROM partitions WHERE topic_id = ?1)")    \
    X(POSITION_LIST, "SELECT p.number, s.position, t.name, s.metadata FROM positions s"                                \
                     " JOIN partitions p ON p.id = s.partition_id JOIN topics t ON t.id = p.topic_id"                  \
                     " WHERE s.app = ?1 ORDER BY t.name, p.number")

enum local_sql {
#define X(name, text) SQL_##name,
    LOCAL_SQL_STATEMENTS(X)
#undef X
        LOCAL_SQL_COUNT
};

#endif
