#include "cli/connect_config.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/memory.h"

/* ---- the JSON ---- */

static int bad_json(struct slice json, const struct json_problem *problem, struct err *err)
{
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < problem->at && i < json.size; i++) {
        column = json.data[i] == '\n' ? 1 : column + 1;
        line += json.data[i] == '\n';
    }
    return err_set(err, ERR_FATAL, ERR_CONFIG, "Line %zu, column %zu is no JSON: %s.", line, column, problem->reason);
}

/* A copy of the decoded text; NULL: it has a zero byte in it. */
static char *decode(struct slice quoted)
{
    struct bytes text = {0};
    json_decode_string(quoted, &text);
    bool whole = memchr(bytes_slice(&text).data, '\0', text.size) == NULL;
    char *copy = whole ? memory_copy_text(bytes_text(&text)) : NULL;
    bytes_free(&text);
    return copy;
}

/* With the quotes that json_next_member leaves out. */
static struct slice quoted_name(struct slice name)
{
    return slice_of(name.data - 1, name.size + 2);
}

static char *text_of(struct slice value)
{
    struct slice trimmed = json_trim(value);
    switch (json_type(trimmed)) {
    case JSON_STRING:
        return decode(trimmed);
    case JSON_NUMBER:
    case JSON_TRUE:
    case JSON_FALSE:
        return memory_format("%.*s", (int)trimmed.size, (const char *)trimmed.data);
    case JSON_NULL:
        return memory_copy_text("");
    default:
        return NULL;
    }
}

/* Of duplicates the last one wins, as in JSON. */
static void set(struct connect_config *config, char *key, char *value)
{
    for (size_t i = 0; i < config->count; i++) {
        if (strcmp(config->list[i].key, key) == 0) {
            free(config->list[i].value);
            free(key);
            config->list[i].value = value;
            return;
        }
    }
    config->list = memory_grow(config->list, config->count, &config->capacity, sizeof *config->list);
    config->list[config->count++] = (struct connect_setting){key, value, false};
}

static int add(struct connect_config *config, struct slice name, struct slice value, struct err *err)
{
    char *key = decode(quoted_name(name));
    char *text = text_of(value);
    if (key != NULL && text != NULL) {
        set(config, key, text);
        return 0;
    }
    err_set(err, ERR_FATAL, ERR_CONFIG,
            "The setting \"%.100s\" must be one text, number or boolean without zero bytes.", key != NULL ? key : "?");
    free(key);
    free(text);
    return -1;
}

static int add_all(struct connect_config *config, struct slice object, struct err *err)
{
    struct json_walk walk = json_walk(object);
    struct slice name;
    struct slice value;
    while (json_next_member(&walk, &name, &value)) {
        if (add(config, name, value, err) != 0) {
            return -1;
        }
    }
    return 0;
}

/* `tasks` and `type` are what Connect adds when it is asked for a connector. */
static bool is_added_by_connect(struct slice name)
{
    return json_string_equal(name, slice_text("tasks")) || json_string_equal(name, slice_text("type")) ||
           json_string_equal(name, slice_text("config")) || json_string_equal(name, slice_text("name"));
}

static int add_wrapped(struct connect_config *config, struct slice object, struct slice settings, struct err *err)
{
    struct json_walk walk = json_walk(object);
    struct slice name;
    struct slice value;
    while (json_next_member(&walk, &name, &value)) {
        if (!is_added_by_connect(name) && add(config, name, value, err) != 0) {
            return -1;
        }
    }
    if (json_member(object, slice_text("name"), &value)) {
        config->name = text_of(value);
    }
    return add_all(config, settings, err);
}

int connect_config_parse(struct slice json, struct connect_config *config, struct err *err)
{
    struct json_problem problem;
    struct slice settings;
    *config = (struct connect_config){0};
    if (!json_check(json, &problem)) {
        return bad_json(json, &problem, err);
    }
    if (json_type(json) != JSON_OBJECT) {
        return err_set(err, ERR_FATAL, ERR_CONFIG,
                       "A connector's config is a JSON object: its settings, or {\"name\": ..., \"config\": {...}}.");
    }
    bool wrapped = json_member(json, slice_text("config"), &settings) && json_type(settings) == JSON_OBJECT;
    if ((wrapped ? add_wrapped(config, json, settings, err) : add_all(config, json, err)) != 0) {
        return -1;
    }
    const char *name = connect_config_take(config, "name");
    if (config->name == NULL || config->name[0] == '\0') {
        free(config->name);
        config->name = memory_copy_text(name != NULL ? name : "imported");
    }
    return 0;
}

void connect_config_free(struct connect_config *config)
{
    for (size_t i = 0; i < config->count; i++) {
        free(config->list[i].key);
        free(config->list[i].value);
    }
    free(config->list);
    free(config->name);
    *config = (struct connect_config){0};
}

/* ---- looking ---- */

static struct connect_setting *find(const struct connect_config *config, const char *key)
{
    for (size_t i = 0; i < config->count; i++) {
        if (strcmp(config->list[i].key, key) == 0) {
            return &config->list[i];
        }
    }
    return NULL;
}

const char *connect_config_look(const struct connect_config *config, const char *key)
{
    const struct connect_setting *setting = find(config, key);
    return setting != NULL && setting->value[0] != '\0' ? setting->value : NULL;
}

const char *connect_config_take(struct connect_config *config, const char *key)
{
    struct connect_setting *setting = find(config, key);
    if (setting != NULL) {
        setting->taken = true;
    }
    return connect_config_look(config, key);
}

const char *connect_config_either(struct connect_config *config, const char *key, const char *other)
{
    const char *first = connect_config_take(config, key);
    const char *second = connect_config_take(config, other);
    return first != NULL ? first : second;
}

bool connect_config_is(struct connect_config *config, const char *key, const char *value)
{
    const char *found = connect_config_take(config, key);
    return found != NULL && strcmp(found, value) == 0;
}

static bool is_white(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

bool connect_config_item(const char **at, struct slice *item)
{
    while (*at != NULL && **at != '\0') {
        const char *start = *at;
        size_t size = strcspn(start, ",");
        *at = start[size] == ',' ? start + size + 1 : start + size;
        while (size > 0 && is_white(start[size - 1])) {
            size--;
        }
        while (size > 0 && is_white(*start)) {
            start++;
            size--;
        }
        if (size > 0) {
            *item = slice_of(start, size);
            return true;
        }
    }
    return false;
}
