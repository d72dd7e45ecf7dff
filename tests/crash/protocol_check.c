/* What is sent, and what must come of it. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/crash/protocol.h"
#include "tests/crash/protocol_pipeline.h"

/* ---- records: what a key's record holds is a function of its number ---- */

static int64_t amount_of(int key, int64_t number)
{
    return (number * 37 + key * 11) % 101;
}

static int64_t sum_of(int key, int64_t count)
{
    int64_t sum = 0;
    for (int64_t number = 1; number <= count; number++) {
        sum += amount_of(key, number);
    }
    return sum;
}

void protocol_send_key(struct protocol *protocol, int key)
{
    struct err err;
    char name[16], value[64];
    int64_t number = ++protocol->counts[key];
    snprintf(name, sizeof(name), "key%d", key);
    snprintf(value, sizeof(value), "%lld %lld", (long long)number, (long long)amount_of(key, number));
    struct record record = {.key = slice_text(name), .value = slice_text(value), .timestamp = protocol->sent};
    if (memory_transport_append(protocol->transport, "in", -1, &record, &err)) {
        protocol_fail("%s", err.text);
    }
    protocol->sent++;
}

void protocol_send(struct protocol *protocol, int count)
{
    for (int i = 0; i < count; i++) {
        protocol_send_key(protocol, (int)(protocol->sent % PROTOCOL_KEYS));
    }
}

/* ---- checking ---- */

/* Number n of a partition as numbers: "key3" is 3, and the value's numbers follow. */
struct line {
    int key;
    long long numbers[5];
};

static bool read_line(const struct protocol *protocol, const char *topic, int32_t partition, int64_t offset,
                      struct line *line)
{
    struct record record;
    char text[128];
    if (!memory_transport_record(protocol->transport, topic, partition, offset, &record)) {
        return false;
    }
    *line = (struct line){.key = record.key.data[record.key.size - 1] - '0'};
    snprintf(text, sizeof(text), "%.*s", (int)record.value.size, (const char *)record.value.data);
    long long *numbers = line->numbers;
    sscanf(text, "%lld %lld %lld %lld %lld", &numbers[0], &numbers[1], &numbers[2], &numbers[3], &numbers[4]);
    return true;
}

static void expect(const char *topic, int32_t partition, int64_t offset, const char *what, int64_t expected,
                   int64_t found)
{
    if (expected != found) {
        protocol_fail("%s [%d] %lld: %s is %lld and not %lld", topic, (int)partition, (long long)offset, what,
                      (long long)found, (long long)expected);
    }
}

/* "<count> <sum> <number> <amount>": count and number are 1, 2, 3, ... of the key. */
static int64_t check_out(const struct protocol *protocol)
{
    int64_t total = 0, sums[PROTOCOL_KEYS] = {0}, counts[PROTOCOL_KEYS] = {0};
    struct line line;
    for (int32_t p = 0; p < PROTOCOL_PARTITIONS; p++) {
        for (int64_t offset = 0; read_line(protocol, "out", p, offset, &line); offset++, total++) {
            int64_t number = ++counts[line.key];
            sums[line.key] += amount_of(line.key, number);
            expect("out", p, offset, "the key's number", number, line.numbers[2]);
            expect("out", p, offset, "the key's count", number, line.numbers[0]);
            expect("out", p, offset, "the key's sum", sums[line.key], line.numbers[1]);
        }
    }
    return total;
}

/* "<count> <sum> <number> <amount> <key>": the count is 1, 2, 3, ... of the group, the number that of the key. */
static int64_t check_groups(const struct protocol *protocol)
{
    int64_t total = 0, sums[PROTOCOL_GROUPS] = {0}, counts[PROTOCOL_GROUPS] = {0}, numbers[PROTOCOL_KEYS] = {0};
    struct line line;
    for (int32_t p = 0; p < PROTOCOL_PARTITIONS; p++) {
        for (int64_t offset = 0; read_line(protocol, "out-groups", p, offset, &line); offset++, total++) {
            int key = (int)line.numbers[4];
            sums[line.key] += amount_of(key, ++numbers[key]);
            expect("out-groups", p, offset, "the key's number", numbers[key], line.numbers[2]);
            expect("out-groups", p, offset, "the group's count", ++counts[line.key], line.numbers[0]);
            expect("out-groups", p, offset, "the group's sum", sums[line.key], line.numbers[1]);
        }
    }
    return total;
}

/* "<count> <sum>" is 1, 2, 3, ... of the partition. */
static int64_t check_ticks(const struct protocol *protocol, int32_t partition)
{
    int64_t offset = 0;
    struct line line;
    for (; read_line(protocol, "ticks", partition, offset, &line); offset++) {
        expect("ticks", partition, offset, "the count", offset + 1, line.numbers[0]);
    }
    return offset;
}

void protocol_check_outputs(struct protocol *protocol, bool complete)
{
    int64_t out = check_out(protocol), groups = check_groups(protocol);
    for (int32_t p = 0; p < PROTOCOL_PARTITIONS; p++) {
        check_ticks(protocol, p);
    }
    if (out > protocol->sent || groups > out) {
        protocol_fail("%lld results and %lld of groups, of %lld records", (long long)out, (long long)groups,
                      (long long)protocol->sent);
    }
    if (complete && (out < protocol->sent || groups < protocol->sent)) {
        protocol_fail("only %lld results and %lld of groups, of %lld records", (long long)out, (long long)groups,
                      (long long)protocol->sent);
    }
}

/* What a row must be. */
struct row {
    const char *store;
    char key[24];
    int64_t count;
    int64_t sum;
};

/* The last value of a key in a partition of a changelog. */
static void fold(const struct protocol *protocol, const char *topic, int32_t partition, const char *key, int64_t *count,
                 int64_t *sum)
{
    struct record record;
    struct line line;
    *count = *sum = 0;
    for (int64_t o = 0; memory_transport_record(protocol->transport, topic, partition, o, &record); o++) {
        if (slice_equal(record.key, slice_text(key))) {
            read_line(protocol, topic, partition, o, &line);
            *count = line.numbers[0];
            *sum = line.numbers[1];
        }
    }
}

/* Whether the worker has the row; it must be the right one then, and the changelog's last, too. */
static bool check_row(const struct protocol *protocol, struct worker *worker, const struct row *row)
{
    struct err err;
    struct store_entry entry;
    bool found;
    char topic[64];
    int64_t folded_count, folded_sum;
    long long count = 0, sum = 0;
    struct store *store = protocol->stores->find(worker_stores(worker), row->store);
    if (!store) {
        return false;
    }
    snprintf(topic, sizeof(topic), "app-%s-changelog", row->store);
    fold(protocol, topic, worker_partition(worker), row->key, &folded_count, &folded_sum);
    if (protocol->stores->get(store, slice_text(row->key), &found, &entry, &err)) {
        protocol_fail("%s", err.text);
    }
    if (found) {
        sscanf((const char *)entry.value.data, "%lld %lld", &count, &sum);
    }
    if (count != folded_count || sum != folded_sum || (found && (count != row->count || sum != row->sum))) {
        protocol_fail("%s: the store of %s has %lld %lld, its changelog %lld %lld, sent were %lld %lld", row->key,
                      worker_name(worker), count, sum, (long long)folded_count, (long long)folded_sum,
                      (long long)row->count, (long long)row->sum);
    }
    return found;
}

/* Exactly one of the workers has it. */
static void check_everywhere(struct protocol *protocol, const struct row *row)
{
    int found = 0;
    for (int i = 0; i < protocol->member_count; i++) {
        struct stream_thread *thread = protocol->members[i].thread;
        for (int w = 0; w < stream_thread_worker_count(thread); w++) {
            found += check_row(protocol, stream_thread_worker(thread, w), row);
        }
    }
    if (found != (row->count > 0)) {
        protocol_fail("%s is in %d stores, and %lld of it were sent", row->key, found, (long long)row->count);
    }
}

static void check_ticks_kept(struct protocol *protocol)
{
    for (int i = 0; i < protocol->member_count; i++) {
        struct stream_thread *thread = protocol->members[i].thread;
        for (int w = 0; w < stream_thread_worker_count(thread); w++) {
            struct worker *worker = stream_thread_worker(thread, w);
            struct row row = {.store = "numbers", .key = "tick"};
            row.count = row.sum = check_ticks(protocol, worker_partition(worker));
            check_row(protocol, worker, &row);
        }
    }
}

static void check_positions(const struct protocol *protocol, const char *topic)
{
    struct err err;
    for (int32_t p = 0; p < PROTOCOL_PARTITIONS; p++) {
        int64_t low, high;
        int64_t offset = protocol_group_offset(protocol, topic, p);
        protocol->transport->class->watermarks(protocol->transport, topic, p, &low, &high, &err);
        if (offset != high && !(high == 0 && offset == OFFSET_NONE)) {
            protocol_fail("the group is at %lld of %s [%d], which ends at %lld", (long long)offset, topic, (int)p,
                          (long long)high);
        }
    }
}

void protocol_check_state(struct protocol *protocol)
{
    struct row groups[PROTOCOL_GROUPS] = {{.store = "groups"}};
    for (int key = 0; key < PROTOCOL_KEYS; key++) {
        int64_t count = protocol->counts[key], sum = sum_of(key, count);
        struct row row = {.store = "numbers", .count = count, .sum = sum};
        snprintf(row.key, sizeof(row.key), "key%d", key);
        check_everywhere(protocol, &row);
        groups[protocol_pipeline_group(key)].count += count;
        groups[protocol_pipeline_group(key)].sum += sum;
    }
    for (int group = 0; group < PROTOCOL_GROUPS; group++) {
        groups[group].store = "groups";
        snprintf(groups[group].key, sizeof(groups[group].key), "group%d", group);
        check_everywhere(protocol, &groups[group]);
    }
    check_ticks_kept(protocol);
    check_positions(protocol, "in");
    check_positions(protocol, "app-regrouped-repartition");
}
