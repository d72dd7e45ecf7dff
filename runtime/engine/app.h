/* The settings of an app: one option table for the script's tm.app, the command line and the reference page.
 *
 * Ownership: texts belong to the struct and are released by option_free(&app_options, &settings).
 */
#ifndef TIDEMILL_ENGINE_APP_H
#define TIDEMILL_ENGINE_APP_H

#include "base/option.h"
#include "engine/transport.h"

enum app_guarantee { GUARANTEE_EXACTLY_ONCE, GUARANTEE_AT_LEAST_ONCE };
enum app_member { MEMBER_STATIC, MEMBER_DYNAMIC };

struct app_settings {
    char *id;
    int64_t threads;        /* 0: number of cores */
    int64_t commit_ms;      /* default 100 */
    int64_t commit_min_ms;  /* default 3 */
    int64_t commit_records; /* at the latest after so many records; default 200000 */
    int64_t commit_bytes;   /* or so many bytes of output; default 64MB */
    int guarantee;          /* enum app_guarantee */
    int member;             /* enum app_member */
    int reset;              /* enum reset_policy; default earliest */
    int on_error;           /* enum op_policy */
    char *dead_letter;      /* default "<app>-dead-letter" */
    char *state_dir;
    int64_t state_cache;            /* bytes; default 64MB per process */
    int64_t held_bytes;             /* of one table with emit = "commit"; default 16MB */
    int64_t state_cleanup_delay_ms; /* default 10 min; 0: never */
    int64_t state_quarantine;       /* default 3 of each worker; 0: all */
    int64_t repartition_purge_ms;   /* default 30 s; 0: never */
    int64_t max_idle_ms;            /* default 0 */
    int64_t max_time_jump_ms;       /* of stream time by one record; default 0: no limit */
    bool create_topics;
    bool wait_for_topics;
    int64_t partitions;             /* of topics it creates on the embedded log, default 4 */
    int64_t lua_memory;             /* bytes per worker, default 256MB */
    int64_t callback_ms;            /* longest run of one callback, default 10s */
    int64_t drain_ms;               /* longest drain after SIGTERM, default 10s */
    int64_t max_poll_interval_ms;   /* default 5 min */
    int64_t transaction_timeout_ms; /* default 10 s */
    int64_t max_record_bytes;       /* of a value that is written, default 16MB */
    struct option_list kafka;       /* "property=value" each, from `kafka = {...}` and --set kafka.property=value */
};

extern const struct option_table app_options;

#endif
