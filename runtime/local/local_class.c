#include "local/local_group.h"
#include "local/local_int.h"
#include "local/local_reader.h"
#include "local/local_session.h"
#include "local/local_topic.h"

const struct transport_class local_class = {
    .name = "local",
    .close = local_close,
    .describe_topic = local_topic_describe,
    .create_topic = local_topic_create,
    .delete_topic = local_topic_delete,
    .add_partitions = local_topic_add_partitions,
    .list_topics = local_topic_list,
    .watermarks = local_topic_watermarks,
    .offset_for_time = local_topic_offset_for_time,
    .delete_records = local_topic_delete_records,
    .group_positions = local_group_positions,
    .set_group_positions = local_group_set_positions,
    .session_open = local_session_open,
    .session_close = local_session_close,
    .poll = local_session_poll,
    .wake = local_session_wake,
    .fetch = local_session_fetch,
    .known_end = local_session_known_end,
    .position = local_session_position,
    .seek = local_session_seek,
    .pause = local_session_pause,
    .output = local_session_output,
    .produce = local_session_produce,
    .commit = local_session_commit,
    .abort = local_session_abort,
    .recover = local_session_recover,
    .committed = local_session_committed,
    .acknowledged = local_session_acknowledged,
    .reader_open = local_reader_open,
    .reader_close = local_reader_close,
    .read = local_reader_read,
    .reader_position = local_reader_position,
};
