/* The Lua script that an imported config becomes, while it is written: texts, notes, secrets. Pure.
 *
 * Ownership: a script borrows its config; connect_script_free releases the rest.
 */
#ifndef TIDEMILL_CLI_CONNECT_SCRIPT_H
#define TIDEMILL_CLI_CONNECT_SCRIPT_H

#include "cli/connect_config.h"

struct connect_script {
    struct connect_config *config;
    struct bytes notes; /* comment lines: what was not translated as it stands */
    struct bytes body;
    bool secrets; /* the body calls secret() */
};

void connect_script_free(struct connect_script *script);

/* "-- KEY = VALUE: text". The value is left out when the key's name says that it is a secret. */
void connect_script_note(struct connect_script *script, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Appends comment lines, wrapped; control characters become blanks, so that nothing gets out of the comment. */
void connect_script_comment(struct bytes *out, const char *indent, const char *text);

void connect_script_quote(struct bytes *out, struct slice text);    /* "text" as Lua reads it */
void connect_script_field(struct bytes *out, struct slice name);    /* .name or ["name"] */
void connect_script_list(struct bytes *out, const char *items);     /* { "a", "b" } of a list with commas */
void connect_script_name(struct bytes *out, const char *text);      /* only what the names of apps and nodes may have */
void connect_script_variable(struct bytes *out, struct slice text); /* as the name of an environment variable */

/* An expression that gives a text: pieces of it are literal, others come from the environment. */
struct connect_text {
    struct connect_script *script;
    const char *otherwise; /* what stands for a variable outside of URLs that is not set; NULL: nothing */
    struct bytes expression;
    struct bytes literal;
};
void connect_script_text(struct connect_text *text, const char *literal, size_t size);
/* A value that may have ${provider:...} in it: a variable called by the connector and the last part, or ${env:NAME}. */
void connect_script_value(struct connect_text *text, struct slice value, bool in_url);
/* A password: the variable CONNECTOR_PASSWORD, or those that the value's providers name. */
void connect_script_password(struct connect_text *text, const char *key, const char *value);
/* Appends the expression and releases the text. */
void connect_script_finish(struct connect_text *text, struct bytes *out);

/* The first of the characters in `stops` outside of ${...}, or the end. */
size_t connect_script_span(const char *text, const char *stops);

#endif
