/* Topic ids in the metadata of committed offsets: how a worker notices that an input was deleted and made again. */
#include <inttypes.h>
#include <stdio.h>

#include "base/bytes.h"
#include "engine/worker_int.h"

/* Behind the generations of the changelogs the metadata has "|@<topic>=<id>" of each input, both shortened to 8
 * hexadecimal digits. Versions that don't know of it skip whatever follows a "|". Kafka keeps 4096 bytes, all kinds
 * together: a worker that reads more topics leaves the rest out. */
#define IDS_KEPT 50
#define MARK_FORMAT "|@%08" PRIx32 "=%08" PRIx32
#define MARK_SIZE 19
#define MARK_NAME_SIZE 11 /* up to the id */

/* Where the metadata (may be NULL) has the id of the same topic as the mark; NULL: nowhere. */
static const char *find_mark(const char *metadata, const char *mark)
{
    char name[MARK_NAME_SIZE + 1];
    snprintf(name, sizeof(name), "%.*s", MARK_NAME_SIZE, mark);
    return metadata ? strstr(metadata, name) : NULL;
}

void worker_topic_id_note(struct worker_input *input, const char *id, const char *metadata)
{
    bool known = id && id[0] != '\0';
    snprintf(input->id_mark, sizeof(input->id_mark), MARK_FORMAT, bytes_crc32c(slice_text(input->topic)),
             known ? bytes_crc32c(slice_text(id)) : 0);
    const char *found = known ? NULL : find_mark(metadata, input->id_mark);
    if (found) {
        snprintf(input->id_mark, sizeof(input->id_mark), "%.*s", MARK_SIZE, found);
    } else if (!known) {
        input->id_mark[0] = '\0';
    }
}

void worker_topic_id_append(const struct worker *worker, struct bytes *metadata)
{
    for (size_t i = 0; i < worker->input_count && i < IDS_KEPT; i++) {
        bytes_append_text(metadata, worker->inputs[i].id_mark);
    }
}

bool worker_topic_id_changed(const struct worker_input *input, const char *metadata)
{
    const char *found = input->id_mark[0] != '\0' ? find_mark(metadata, input->id_mark) : NULL;
    return found && strncmp(found, input->id_mark, MARK_SIZE) != 0;
}

const char *worker_recreated_input(const struct worker *worker)
{
    for (size_t i = 0; i < worker->input_count; i++) {
        const struct worker_input *input = &worker->inputs[i];
        const struct store_position *found = store_meta_input(&worker->found, input->topic, input->partition);
        if (found && worker_topic_id_changed(input, found->metadata)) {
            return input->topic;
        }
    }
    return NULL;
}
