#include "connectors/postgres/postgres_options.h"

#include "connectors/postgres/postgres_connection.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>

int postgres_options_validate(const void *given, struct err *err)
{
    const struct postgres_source_options *options = given;
    if (options->tables.count == 0) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "A PostgreSQL source needs `tables`, a list such as { \"public.orders\" }.");
    }
    return postgres_connection_check_url(options->url, err);
}

/* Slots have names of small letters, digits and underscores. */
int postgres_options_names(const struct connector_context *context, char slot[POSTGRES_OPTIONS_NAME],
                           char publication[POSTGRES_OPTIONS_NAME], struct err *err)
{
    const struct postgres_source_options *options = context->options;
    int length = options->slot ? snprintf(slot, POSTGRES_OPTIONS_NAME, "%s", options->slot)
                               : snprintf(slot, POSTGRES_OPTIONS_NAME, "tidemill_%s_%s", context->app, context->name);
    if (length > POSTGRES_OPTIONS_NAME - 3) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "The replication slot's name would have %d characters, and at most %d are allowed; set `slot`.",
                       length, POSTGRES_OPTIONS_NAME - 3);
    }
    for (char *at = slot; !options->slot && *at; at++) {
        *at = isalnum((unsigned char)*at) ? (char)tolower((unsigned char)*at) : '_';
    }
    snprintf(publication, POSTGRES_OPTIONS_NAME, "%s", options->publication ? options->publication : slot);
    return 0;
}

#define FIELD(field) offsetof(struct postgres_source_options, field)

static const char *const snapshots[] = {"initial", "never", NULL};

static const struct option option_list[] = {
    {.name = "url",
     .type = OPTION_TEXT,
     .offset = FIELD(url),
     .text =
         "The database: postgresql://USER:PASSWORD@HOST:PORT/DATABASE; the user needs the attribute REPLICATION and "
         "SELECT on the tables."},
    {.name = "tables",
     .type = OPTION_LIST,
     .offset = FIELD(tables),
     .text = "The tables whose changes are read, as \"schema.table\"."},
    {.name = "slot",
     .type = OPTION_TEXT,
     .offset = FIELD(slot),
     .text = "The replication slot, at most 61 small letters, digits and underscores; made when it is missing, by "
             "default tidemill_APPLICATION_SOURCE. A snapshot that goes on after a restart makes a second one with _2 "
             "behind its name, and removes the first."},
    {.name = "publication",
     .type = OPTION_TEXT,
     .offset = FIELD(publication),
     .text = "The publication, made for the tables when it is missing; by default named as the slot."},
    {.name = "snapshot",
     .type = OPTION_CHOICE,
     .offset = FIELD(snapshot),
     .default_text = "initial",
     .choices = snapshots,
     .text = "initial: the rows that are there come first, with op \"r\"; never: only changes from now on."},
    {.name = "tombstones",
     .type = OPTION_FLAG,
     .offset = FIELD(tombstones),
     .default_text = "true",
     .text =
         "Whether a delete is followed by a record with the same key and no value, for compacted topics and tables."},
};

const struct option_table postgres_options_source = {"postgres source", option_list,
                                                     sizeof(option_list) / sizeof(option_list[0])};
