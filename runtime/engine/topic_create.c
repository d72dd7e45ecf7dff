/* Checking the topics that are there, and creating those that are missing. */
#include "base/log.h"
#include "engine/topic_plan_int.h"

#include <stdio.h>

#define CHANGELOG_DELETE_RETENTION_MS ((int64_t)7 * 24 * 60 * 60 * 1000)
#define WAIT_ROUNDS 10 /* between two looks for a topic that is waited for */
#define WAIT_ROUND_MS 100

/* Brokers as the settings name them, for commands in messages; NULL: not there. */
static const char *find_brokers(const struct app_settings *settings)
{
    static const char name[] = "bootstrap.servers=";
    for (size_t i = 0; i < settings->kafka.count; i++) {
        if (strncmp(settings->kafka.items[i], name, sizeof name - 1) == 0) {
            return settings->kafka.items[i] + sizeof name - 1;
        }
    }
    return NULL;
}

bool topic_create_allowed(const struct plan_entry *entry, const struct plan_request *request)
{
    return entry->topic.internal || request->create || request->settings->create_topics;
}

static int look_all(struct topic_plan *plan, const struct plan_request *request, const char **missing, struct err *err)
{
    *missing = NULL;
    for (size_t i = 0; i < plan->entry_count; i++) {
        struct plan_entry *entry = &plan->entries[i];
        struct transport *transport = request->transport;
        memset(&entry->info, 0, sizeof entry->info);
        if (transport->class->describe_topic(transport, entry->topic.name, &entry->info, err) != 0) {
            return err_wrap(err, "looking up the topic \"%s\"", entry->topic.name);
        }
        entry->topic.exists = entry->info.exists;
        if (!entry->info.exists && !topic_create_allowed(entry, request) && *missing == NULL) {
            *missing = entry->topic.name;
        }
    }
    return 0;
}

static int wait_for_topic(const struct plan_request *request, const char *topic, struct err *err)
{
    for (int i = 0; i < WAIT_ROUNDS; i++) {
        if (request->stopped != NULL && request->stopped()) {
            return err_set(err, ERR_RETRY, ERR_TOPIC, "Waiting for the topic \"%s\" was ended before it existed.",
                           topic);
        }
        clock_sleep_ms(WAIT_ROUND_MS);
    }
    return 0;
}

int topic_create_look(struct topic_plan *plan, const struct plan_request *request, struct err *err)
{
    const char *missing;
    if (look_all(plan, request, &missing, err) != 0) {
        return -1;
    }
    while (missing != NULL && request->settings->wait_for_topics && !request->dry_run) {
        log_event(LOG_INFO, "waiting for a topic that does not exist yet", log_text("topic", missing));
        if (wait_for_topic(request, missing, err) != 0 || look_all(plan, request, &missing, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static const char *place_of_use(const struct graph *graph, const char *topic)
{
    for (int i = 0; i < graph_topic_count(graph); i++) {
        const struct graph_topic *use = graph_topic(graph, i);
        if (strcmp(use->name, topic) == 0 && use->node->place != NULL) {
            return use->node->place;
        }
    }
    return "the settings";
}

/* Names every missing topic with its command, as far as the message has room. */
static int report_missing(const struct topic_plan *plan, const struct plan_request *request, size_t first,
                          struct err *err)
{
    struct bytes commands = {0};
    const struct planned_topic *topic = &plan->entries[first].topic;
    const char *brokers = find_brokers(request->settings);
    for (size_t i = first; i < plan->entry_count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        if (!entry->topic.exists && !topic_create_allowed(entry, request)) {
            bytes_append_format(&commands, "%s`tidemill topics create %s --partitions %d --brokers %s`",
                                commands.size > 0 ? ", " : "", entry->topic.name, (int)entry->topic.partitions,
                                brokers != NULL ? brokers : "HOST:PORT");
        }
    }
    err_set(err, ERR_FATAL, ERR_TOPIC,
            "The topic \"%s\" (%s at %s) does not exist. Create it with %s, or set create_topics = true, or "
            "wait_for_topics = true.",
            topic->name, topic->role == TOPIC_OUTPUT ? "written" : "read", place_of_use(request->graph, topic->name),
            bytes_text(&commands));
    bytes_free(&commands);
    return -1;
}

static int report_shape(const struct planned_topic *topic, const char *app, const char *has, const char *needs,
                        struct err *err)
{
    return err_set(
        err, ERR_FATAL, ERR_TOPIC,
        "The internal topic \"%s\" has %s and needs %s. If the app's inputs or its script were changed on "
        "purpose, start it anew with `tidemill reset --app %s --execute`; otherwise give the topic back what "
        "it needs.",
        topic->name, has, needs, app);
}

static int check_count(const struct plan_entry *entry, const char *app, struct err *err)
{
    if (entry->info.partitions == entry->topic.partitions) {
        return 0;
    }
    char has[64];
    char needs[64];
    snprintf(has, sizeof has, "%d partitions", (int)entry->info.partitions);
    snprintf(needs, sizeof needs, "%d", (int)entry->topic.partitions);
    return report_shape(&entry->topic, app, has, needs, err);
}

static bool keeps_latest(const struct planned_topic *topic)
{
    return topic->changelog || topic->role == TOPIC_POSITIONS;
}

static int check_policy(const struct plan_entry *entry, const char *app, struct err *err)
{
    const struct topic_info *info = &entry->info;
    if (!info->config_known) {
        return 0;
    }
    if (keeps_latest(&entry->topic)) {
        if (info->compacted && !info->deleted_by_age) {
            return 0;
        }
        return report_shape(&entry->topic, app,
                            info->compacted ? "cleanup.policy=compact,delete" : "cleanup.policy=delete",
                            "cleanup.policy=compact", err);
    }
    if (entry->topic.role != TOPIC_REPARTITION) {
        return 0;
    }
    if (info->compacted) {
        return report_shape(&entry->topic, app, "cleanup.policy=compact", "cleanup.policy=delete", err);
    }
    if (info->deleted_by_age && info->retention_ms >= 0) {
        char has[64];
        snprintf(has, sizeof has, "retention.ms=%lld", (long long)info->retention_ms);
        return report_shape(&entry->topic, app, has, "retention.ms=-1 (records not yet processed must not go)", err);
    }
    return 0;
}

int topic_plan_fits(const struct topic_plan *plan, int index, const char *app, struct err *err)
{
    const struct plan_entry *entry = &plan->entries[index];
    bool shaped =
        entry->topic.changelog || entry->topic.role == TOPIC_REPARTITION || entry->topic.role == TOPIC_POSITIONS;
    bool checked = entry->topic.exists && shaped;
    return checked && (check_count(entry, app, err) != 0 || check_policy(entry, app, err) != 0) ? -1 : 0;
}

int topic_create_check(const struct topic_plan *plan, const struct plan_request *request, struct err *err)
{
    for (size_t i = 0; i < plan->entry_count; i++) {
        const struct plan_entry *entry = &plan->entries[i];
        if (!entry->topic.exists && !topic_create_allowed(entry, request)) {
            return report_missing(plan, request, i, err);
        }
        if (!request->dry_run && topic_plan_fits(plan, (int)i, graph_app(request->graph), err) != 0) {
            return -1;
        }
    }
    return 0;
}

static struct topic_spec spec_of(const struct planned_topic *topic)
{
    struct topic_spec spec = {.name = topic->name, .partitions = topic->partitions};
    if (keeps_latest(topic)) {
        spec.compacted = true;
        spec.retention_ms = -1;
        spec.delete_retention_ms = CHANGELOG_DELETE_RETENTION_MS;
    } else if (topic->role == TOPIC_REPARTITION) {
        spec.retention_ms = -1;
    }
    return spec;
}

int topic_create_missing(struct topic_plan *plan, const struct plan_request *request, struct err *err)
{
    struct transport *transport = request->transport;
    for (size_t i = 0; i < plan->entry_count; i++) {
        struct planned_topic *topic = &plan->entries[i].topic;
        struct topic_spec spec = spec_of(topic);
        if (topic->exists) {
            continue;
        }
        if (transport->class->create_topic(transport, &spec, err) != 0) {
            return err_wrap(err, "creating the topic \"%s\" with %d partitions", topic->name, (int)topic->partitions);
        }
        log_event(LOG_INFO, "topic created", log_text("topic", topic->name),
                  log_number("partitions", topic->partitions));
        topic->exists = true;
    }
    return 0;
}
