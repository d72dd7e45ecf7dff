#include "kafka/kafka_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#define LOG_KINDS 64        /* kinds of lines that are told apart */
#define LOG_PERIOD_MS 10000 /* a kind of line is logged once per period */
#define LOG_HIDE_MIN 4      /* shorter secrets would hide half of every line */
#define LOG_LINE_SIZE 768

/* One kind: the same client and facility. */
struct log_kind {
    char name[64];
    bool logged; /* last_ms counts */
    int64_t last_ms;
    int64_t left_out;
};

struct kafka_log {
    pthread_mutex_t lock;
    struct clock clock;
    struct option_list secrets;
    struct log_kind kinds[LOG_KINDS];
    size_t count;
};

struct kafka_log *kafka_log_new(const struct clock *clock)
{
    struct kafka_log *log = memory_alloc(sizeof *log);
    pthread_mutex_init(&log->lock, NULL);
    log->clock = *clock;
    return log;
}

void kafka_log_free(struct kafka_log *log)
{
    for (size_t i = 0; i < log->secrets.count; i++) {
        free(log->secrets.items[i]);
    }
    free(log->secrets.items);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

void kafka_log_hide(struct kafka_log *log, const char *secret)
{
    if (strlen(secret) >= LOG_HIDE_MIN) {
        pthread_mutex_lock(&log->lock);
        option_list_add(&log->secrets, secret);
        pthread_mutex_unlock(&log->lock);
    }
}

/* Overwrites each place where the secret stands in the text. */
static void hide(char *text, const char *secret)
{
    size_t length = strlen(secret);
    for (char *at = strstr(text, secret); at != NULL; at = strstr(at + length, secret)) {
        memset(at, '*', length);
    }
}

static struct log_kind *kind_of(struct kafka_log *log, const char *name)
{
    for (size_t i = 0; i < log->count; i++) {
        if (strcmp(log->kinds[i].name, name) == 0) {
            return &log->kinds[i];
        }
    }
    if (log->count == LOG_KINDS) {
        return &log->kinds[LOG_KINDS - 1]; /* the rest shares one limit */
    }
    struct log_kind *kind = &log->kinds[log->count++];
    snprintf(kind->name, sizeof kind->name, "%s", name);
    return kind;
}

/* Whether a line of that kind may be logged now; `left_out` gets how many were not since the last one. */
static bool admit(struct kafka_log *log, const char *name, int64_t *left_out)
{
    int64_t now = clock_monotonic_ns(&log->clock) / 1000000;
    struct log_kind *kind = kind_of(log, name);
    if (kind->logged && now - kind->last_ms < LOG_PERIOD_MS) {
        kind->left_out++;
        return false;
    }
    *left_out = kind->left_out;
    kind->left_out = 0;
    kind->logged = true;
    kind->last_ms = now;
    return true;
}

static enum log_level level_of(int syslog_level, const char *facility)
{
    if (strcmp(facility, "CONFWARN") == 0) {
        return LOG_DEBUG; /* one list of properties serves consumers and producers */
    }
    if (syslog_level <= 2) {
        return LOG_ERROR;
    }
    return syslog_level <= 4 ? LOG_WARN : syslog_level <= 6 ? LOG_INFO : LOG_DEBUG;
}

void kafka_log_line(struct kafka_log *log, int level, const char *client, const char *facility, const char *text)
{
    enum log_level ours = level_of(level, facility);
    if (!log_enabled(ours)) {
        return;
    }
    char name[64];
    char line[LOG_LINE_SIZE];
    int64_t left_out = 0;
    snprintf(name, sizeof name, "%s/%.24s", facility, client);
    snprintf(line, sizeof line, "%s", text);
    pthread_mutex_lock(&log->lock);
    bool admitted = ours == LOG_DEBUG || admit(log, name, &left_out);
    for (size_t i = 0; admitted && i < log->secrets.count; i++) {
        hide(line, log->secrets.items[i]);
    }
    pthread_mutex_unlock(&log->lock);
    if (admitted) {
        log_event(ours, "Kafka client.", log_text("client", client), log_text("event", facility),
                  log_text("text", line), log_number("left_out", left_out));
    }
}
