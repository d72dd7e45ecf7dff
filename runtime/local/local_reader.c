#include "local/local_reader.h"

#include "base/memory.h"
#include "local/local_cursor.h"
#include "local/local_wait.h"

#include <stdlib.h>

struct reader {
    struct local *local;
    struct local_db db;
    struct local_wait wait;
    struct local_cursor *cursors;
    size_t count;
    size_t next; /* whose turn it is, so that one busy partition does not hide the others */
};

static int open_cursor(struct reader *reader, const struct position *position, struct local_cursor *cursor,
                       struct err *err)
{
    if (local_topic_partition(&reader->db, position->topic, position->partition, &cursor->partition_id, NULL, err) !=
        0) {
        return -1;
    }
    cursor->topic = local_name(reader->local, position->topic);
    cursor->partition = position->partition;
    cursor->limit = reader->local->read_ahead;
    if (position->offset < 0 && position->offset != OFFSET_BEGINNING && position->offset != OFFSET_END) {
        return err_set(err, ERR_FATAL, ERR_USAGE,
                       "Topic %s partition %d can't be read from offset %lld. Give an offset from 0 on.",
                       position->topic, (int)position->partition, (long long)position->offset);
    }
    return local_cursor_open(cursor, &reader->db, position->offset, err);
}

int local_reader_open(struct transport *transport, const struct reader_config *config, struct reader **reader,
                      struct err *err)
{
    struct reader *made = memory_alloc(sizeof *made);
    made->local = local_of(transport);
    made->cursors = memory_alloc(config->count * sizeof *made->cursors);
    made->count = config->count;
    int result = local_db_open(&made->db, made->local->directory, LOCAL_DB_READ, err);
    for (size_t i = 0; i < config->count && result == 0; i++) {
        result = open_cursor(made, &config->positions[i], &made->cursors[i], err);
    }
    if (result != 0) {
        local_reader_close(made);
        return -1;
    }
    *reader = made;
    return 0;
}

void local_reader_close(struct reader *reader)
{
    for (size_t i = 0; i < reader->count; i++) {
        local_cursor_free(&reader->cursors[i]);
    }
    local_db_close(&reader->db);
    free(reader->cursors);
    free(reader);
}

static int refresh(struct reader *reader, struct err *err)
{
    int changed = local_wait_changed(reader->local, &reader->wait, &reader->db, err);
    for (size_t i = 0; i < reader->count && changed == 1; i++) {
        int found = local_cursor_refresh(&reader->cursors[i], &reader->db, err);
        if (found <= 0) {
            return found < 0 ? -1 : local_topic_missing(reader->cursors[i].topic, err);
        }
    }
    return changed < 0 ? -1 : 0;
}

/* Records of the first partition that has some. */
static int take(struct reader *reader, struct record *records, size_t max, size_t *count, struct err *err)
{
    for (size_t i = 0; i < reader->count && *count == 0; i++) {
        struct local_cursor *cursor = &reader->cursors[reader->next];
        reader->next = (reader->next + 1) % reader->count;
        if (local_cursor_take(cursor, &reader->db, records, max, count, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int local_reader_read(struct reader *reader, int timeout_ms, struct record *records, size_t max, size_t *count,
                      struct err *err)
{
    int64_t deadline = local_wait_deadline(timeout_ms);
    *count = 0;
    do {
        /* While there is more to hand out nobody needs to ask for news. */
        if (take(reader, records, max, count, err) != 0) {
            return -1;
        }
        if (*count == 0 && (refresh(reader, err) != 0 || take(reader, records, max, count, err) != 0)) {
            return -1;
        }
    } while (*count == 0 && timeout_ms != 0 && local_wait_sleep(reader->local, &reader->wait, deadline));
    return 0;
}

int64_t local_reader_position(struct reader *reader, size_t index)
{
    return reader->cursors[index].position;
}
