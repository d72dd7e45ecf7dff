#include "engine/app.h"

#include "engine/op.h"

#include <stddef.h>

#define FIELD(name) offsetof(struct app_settings, name)

#define KB ((int64_t)1024)
#define MB (1024 * KB)
#define GB (1024 * MB)
#define SECOND ((int64_t)1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

/* In the order of the enums. */
static const char *const guarantees[] = {"exactly_once", "at_least_once", NULL};
static const char *const members[] = {"static", "dynamic", NULL};
static const char *const resets[] = {"earliest", "latest", "error", NULL};
static const char *const policies[] = {"fail", "skip", "dead_letter", NULL};

_Static_assert(GUARANTEE_EXACTLY_ONCE == 0 && GUARANTEE_AT_LEAST_ONCE == 1, "order of guarantees[]");
_Static_assert(MEMBER_STATIC == 0 && MEMBER_DYNAMIC == 1, "order of members[]");
_Static_assert(RESET_EARLIEST == 0 && RESET_LATEST == 1 && RESET_ERROR == 2, "order of resets[]");
_Static_assert(POLICY_FAIL == 0 && POLICY_SKIP == 1 && POLICY_DEAD_LETTER == 2, "order of policies[]");

/* clang-format off */
static const struct option options[] = {
    {.name = "id", .type = OPTION_TEXT, .offset = FIELD(id), .argument = "NAME",
     .text = "Application id: consumer group, prefix of internal topics and of transactional ids."},
    {.name = "threads", .type = OPTION_INTEGER, .offset = FIELD(threads), .default_text = "0", .low = 0, .high = 1024,
     .text = "Number of stream threads; 0: one per core."},
    {.name = "guarantee", .type = OPTION_CHOICE, .offset = FIELD(guarantee), .default_text = "exactly_once",
     .choices = guarantees,
     .text = "Whether outputs, state and positions are committed together (exactly_once), or outputs may come again after a failure."},
    {.name = "commit_ms", .type = OPTION_DURATION, .offset = FIELD(commit_ms), .default_text = "100ms", .low = 1,
     .high = HOUR, .text = "Longest time between two commits while records come in."},
    {.name = "commit_min_ms", .type = OPTION_DURATION, .offset = FIELD(commit_min_ms), .default_text = "3ms", .low = 0,
     .high = HOUR, .text = "Shortest time between two commits; once the inputs are drained a commit waits no longer than this."},
    {.name = "commit_records", .type = OPTION_INTEGER, .offset = FIELD(commit_records), .default_text = "200000",
     .low = 1, .high = 1000000000, .text = "A commit comes at the latest after so many records."},
    {.name = "commit_bytes", .type = OPTION_SIZE, .offset = FIELD(commit_bytes), .default_text = "64MB", .low = KB,
     .high = 16 * GB, .text = "A commit comes at the latest after so many bytes of output."},
    {.name = "on_error", .type = OPTION_CHOICE, .offset = FIELD(on_error), .default_text = "fail",
     .choices = policies,
     .text = "What to do with a record that can't be processed: stop, drop it, or write it to the dead letter topic; nodes may differ."},
    {.name = "dead_letter", .type = OPTION_TEXT, .offset = FIELD(dead_letter), .argument = "TOPIC",
     .text = "Topic of records that can't be processed; the default is the app's id followed by -dead-letter."},
    {.name = "reset", .type = OPTION_CHOICE, .offset = FIELD(reset), .default_text = "earliest", .choices = resets,
     .text = "Where reading starts without a committed offset: at the earliest record, at the latest, or not at all (error)."},
    {.name = "max_idle", .type = OPTION_DURATION, .offset = FIELD(max_idle_ms), .default_text = "0", .low = 0,
     .high = HOUR,
     .text = "How long a record waits for another input of its worker that has nothing to read; 0 waits only for records known to exist."},
    {.name = "member", .type = OPTION_CHOICE, .offset = FIELD(member), .default_text = "static", .choices = members,
     .text = "Whether a restarted process takes its partitions over at once (static), or joins its group as a new member (dynamic)."},
    {.name = "state_dir", .type = OPTION_TEXT, .offset = FIELD(state_dir), .argument = "DIR",
     .text = "Directory of the state stores; the default is state in the data directory."},
    {.name = "state_cache", .type = OPTION_SIZE, .offset = FIELD(state_cache), .default_text = "64MB", .low = 0,
     .high = 1024 * GB, .text = "Memory of the process for clean entries of its stores; 0: no limit."},
    {.name = "create_topics", .type = OPTION_FLAG, .offset = FIELD(create_topics),
     .text = "Creates missing input and output topics on Kafka; on the embedded log this is always so."},
    {.name = "wait_for_topics", .type = OPTION_FLAG, .offset = FIELD(wait_for_topics),
     .text = "Waits at start until missing topics exist, instead of failing."},
    {.name = "partitions", .type = OPTION_INTEGER, .offset = FIELD(partitions), .default_text = "4", .low = 1,
     .high = 100000, .text = "Partitions of topics that are created where no input says otherwise."},
    {.name = "lua_memory", .type = OPTION_SIZE, .offset = FIELD(lua_memory), .default_text = "256MB", .low = MB,
     .high = 1024 * GB, .text = "Largest memory of one worker's Lua state."},
    {.name = "callback_ms", .type = OPTION_DURATION, .offset = FIELD(callback_ms), .default_text = "10s", .low = 10,
     .high = HOUR, .text = "Longest run of one callback of the script."},
    {.name = "drain_ms", .type = OPTION_DURATION, .offset = FIELD(drain_ms), .default_text = "10s", .low = 0,
     .high = HOUR, .text = "Longest time that SIGTERM leaves for the last commit."},
    {.name = "max_poll_interval_ms", .type = OPTION_DURATION, .offset = FIELD(max_poll_interval_ms),
     .default_text = "5m", .low = SECOND, .high = 24 * HOUR,
     .text = "A thread that does not poll for so long loses its partitions, and its process ends."},
    {.name = "transaction_timeout_ms", .type = OPTION_DURATION, .offset = FIELD(transaction_timeout_ms),
     .default_text = "10s", .low = SECOND, .high = 15 * MINUTE,
     .text = "How long the broker keeps a transaction open that nobody ends; checked against the broker's maximum at start."},
    {.name = "max_record_bytes", .type = OPTION_SIZE, .offset = FIELD(max_record_bytes), .default_text = "16MB",
     .low = KB, .high = GB, .text = "Largest value that is written."},
    {.name = "kafka", .type = OPTION_LIST, .offset = FIELD(kafka), .argument = "PROPERTY=VALUE",
     .text = "Properties for librdkafka; consumer. and producer. in front of a name aim at one side."},
};
/* clang-format on */

const struct option_table app_options = {"app", options, sizeof options / sizeof options[0]};
