/* Groups in memory: members, who owns which partition number, committed offsets. Called with the transport's lock held.
 */
#include "base/memory.h"
#include "engine/memory_int.h"

#include <stdlib.h>

struct memory_group *memory_group_find(struct memory_transport *memory, const char *name)
{
    for (size_t i = 0; i < memory->group_count; i++) {
        if (strcmp(memory->groups[i]->name, name) == 0) {
            return memory->groups[i];
        }
    }
    return NULL;
}

struct memory_group *memory_group_need(struct memory_transport *memory, const char *name)
{
    struct memory_group *group = memory_group_find(memory, name);
    if (group == NULL) {
        group = memory_alloc(sizeof *group);
        group->name = memory_copy_text(name);
        memory->groups =
            memory_grow(memory->groups, memory->group_count, &memory->group_capacity, sizeof(struct memory_group *));
        memory->groups[memory->group_count++] = group;
    }
    return group;
}

struct memory_position *memory_group_position(struct memory_group *group, const struct memory_partition *partition)
{
    for (size_t i = 0; i < group->position_count; i++) {
        if (group->positions[i].partition == partition) {
            return &group->positions[i];
        }
    }
    return NULL;
}

static void remove_position(struct memory_group *group, struct memory_position *position)
{
    free(position->metadata);
    *position = group->positions[--group->position_count];
}

void memory_group_set_position(struct memory_group *group, struct memory_partition *partition, int64_t offset,
                               const char *metadata)
{
    struct memory_position *position = memory_group_position(group, partition);
    if (offset == OFFSET_NONE) {
        if (position != NULL) {
            remove_position(group, position);
        }
        return;
    }
    if (position == NULL) {
        group->positions = memory_grow(group->positions, group->position_count, &group->position_capacity,
                                       sizeof(struct memory_position));
        position = &group->positions[group->position_count++];
        *position = (struct memory_position){.partition = partition};
    }
    char *copy = memory_copy_text(metadata);
    free(position->metadata);
    position->metadata = copy;
    position->offset = offset;
}

void memory_group_forget(struct memory_transport *memory, const struct memory_topic *topic)
{
    for (size_t i = 0; i < memory->group_count; i++) {
        struct memory_group *group = memory->groups[i];
        for (size_t j = group->position_count; j > 0; j--) {
            if (group->positions[j - 1].partition->topic == topic) {
                remove_position(group, &group->positions[j - 1]);
            }
        }
    }
}

void memory_group_changed(struct memory_transport *memory, struct memory_group *group)
{
    group->version++;
    pthread_cond_broadcast(&memory->changed);
}

void memory_group_all_changed(struct memory_transport *memory)
{
    for (size_t i = 0; i < memory->group_count; i++) {
        memory_group_changed(memory, memory->groups[i]);
    }
}

void memory_group_join(struct memory_group *group, struct session *session)
{
    group->members =
        memory_grow(group->members, group->member_count, &group->member_capacity, sizeof(struct session *));
    size_t at = group->member_count++;
    while (at > 0 && group->members[at - 1]->config.thread > session->config.thread) {
        group->members[at] = group->members[at - 1];
        at--;
    }
    group->members[at] = session;
    memory_group_changed(session->transport, group);
}

void memory_group_leave(struct memory_group *group, struct session *session)
{
    size_t kept = 0;
    for (size_t i = 0; i < group->member_count; i++) {
        if (group->members[i] != session) {
            group->members[kept++] = group->members[i];
        }
    }
    group->member_count = kept;
    memory_group_changed(session->transport, group);
}

/* From the last one on: leaving moves those behind. */
void memory_group_expel(struct memory_group *group, int thread)
{
    for (size_t i = group->member_count; i-- > 0;) {
        struct session *member = group->members[i];
        if (member->config.thread != thread) {
            continue;
        }
        for (size_t p = 0; p < group->owner_count; p++) {
            memory_group_release(group, member, (int32_t)p);
        }
        member->expelled = true;
        memory_group_leave(group, member);
    }
}

struct session *memory_group_target(const struct memory_group *group, int32_t partition)
{
    return group->member_count == 0 ? NULL
                                    : group->members[((size_t)partition + group->rotation) % group->member_count];
}

struct session *memory_group_owner(const struct memory_group *group, int32_t partition)
{
    return (size_t)partition < group->owner_count ? group->owners[partition] : NULL;
}

void memory_group_own(struct memory_group *group, int32_t partition, struct session *session)
{
    size_t needed = (size_t)partition + 1;
    if (needed > group->owner_count) {
        group->owners = memory_resize(group->owners, sizeof(struct session *) * needed);
        memset(group->owners + group->owner_count, 0, sizeof(struct session *) * (needed - group->owner_count));
        group->owner_count = needed;
    }
    group->owners[partition] = session;
}

void memory_group_release(struct memory_group *group, struct session *session, int32_t partition)
{
    if (memory_group_owner(group, partition) == session) {
        group->owners[partition] = NULL;
    }
}

void memory_group_free(struct memory_transport *memory)
{
    for (size_t i = 0; i < memory->group_count; i++) {
        struct memory_group *group = memory->groups[i];
        while (group->position_count > 0) {
            remove_position(group, &group->positions[0]);
        }
        free(group->positions);
        free(group->members);
        free(group->owners);
        free(group->name);
        free(group);
    }
    free(memory->groups);
}
