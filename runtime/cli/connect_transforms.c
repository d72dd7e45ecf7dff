#include "cli/connect_transforms.h"

#include <stdlib.h>

#include "base/memory.h"

/* {name} is the parameter as a text of Lua, {name*} a list, {name.} a field; {name|other}: with a default. */
static const struct transform {
    const char *type;
    const char *value; /* on values, and for those without $Key and $Value */
    const char *key;
} transforms[] = {
    {"Cast",
     "for each of {spec*}: :map_values(function(_, v) if v then v.FIELD = math.tointeger(v.FIELD) end return v end), "
     "or tonumber, tostring",
     ":select_key(function(k) return tostring(k) end), for {spec}"},
    {"DropHeaders",
     ":process { name = \"drop-headers\", process = function(k, v, rec, ctx) for _, name in ipairs {headers*} do "
     "rec.headers:remove(name) end ctx:forward(k, v) end }",
     NULL},
    {"ExtractField", ":map_values(function(_, v) return v and v{field.} end)",
     ":select_key(function(k) return k and k{field.} end), with key = tm.json at the stream"},
    {"Filter",
     ":filter_not(function(k, v, rec) return {predicate} end), with the predicate's test in the place of its "
     "name: rec.topic:find \"...\", rec.headers:get \"...\" ~= nil, v == nil",
     NULL},
    {"Flatten",
     ":map_values(function(_, v) return v and { a_b = v.a.b, a_c = v.a.c } end), with each field written out "
     "(delimiter {delimiter})",
     "write each field out in :select_key"},
    {"HeaderFrom",
     ":process { name = \"header-from\", process = function(k, v, rec, ctx) rec.headers:set(\"NAME\", v.FIELD) "
     "ctx:forward(k, v) end }, for the fields {fields*} and headers {headers*}",
     "the same with k in the place of v"},
    {"HoistField", ":map_values(function(_, v) return { [{field}] = v } end)",
     ":select_key(function(k) return { [{field}] = k } end), with key = tm.json where it is written"},
    {"InsertField",
     ":map_values(function(_, v, rec) if v then v[{static.field|?}] = {static.value|?} v[{topic.field|?}] = rec.topic "
     "v[{timestamp.field|?}] = rec.timestamp end return v end), without the fields named \"?\"; partition and offset "
     "are rec.partition and rec.offset",
     "the same in :select_key"},
    {"InsertHeader",
     ":process { name = \"insert-header\", process = function(k, v, rec, ctx) rec.headers:set({header}, "
     "{value.literal}) ctx:forward(k, v) end }",
     NULL},
    {"MaskField",
     ":map_values(function(_, v) if v then for _, name in ipairs {fields*} do v[name] = {replacement|} end end return "
     "v "
     "end)",
     "the same in :select_key"},
    {"RegexRouter",
     "topics are named where they are written, :to(\"NAME\"), and tables by the option `table`: replace {regex} by "
     "{replacement} there",
     NULL},
    {"ReplaceField",
     ":map_values(function(_, v) if v then for _, name in ipairs {exclude*} do v[name] = nil end end return v end); "
     "fields to keep: {include*}, to rename: {renames*}",
     "the same in :select_key"},
    {"SetSchemaMetadata", "nothing is needed: values have no schema", "nothing is needed: keys have no schema"},
    {"TimestampConverter",
     ":map_values(function(_, v) if v then v{field.} = os.date(\"!%Y-%m-%dT%H:%M:%SZ\", v{field.} // 1000) end return "
     "v "
     "end); target type {target.type}, and our connectors write times as ISO 8601 anyhow",
     "the same in :select_key"},
    {"TimestampRouter",
     ":to(function(_, _, rec) return rec.topic .. os.date(\"-%Y%m%d\", rec.timestamp // 1000) end), by the format "
     "{topic.format}",
     NULL},
    {"ValueToKey",
     ":select_key(function(_, v) return tostring(v{fields.}) end); for several fields a table with each of {fields*}, "
     "and key = tm.json where it is written",
     NULL},
    {"ByLogicalTableRouter", ":to(function(_, _, rec) return \"NAME\" end): a function may name the topic", NULL},
    {"EventRouter",
     ":unwrap():filter(function(_, v) return v ~= nil end):map(function(_, v) return v.aggregateid, v.payload end), "
     "and :to(function(...) return \"outbox.event.\" .. v.aggregatetype end) before the payload is taken out",
     NULL},
};
#define TRANSFORM_COUNT (sizeof transforms / sizeof transforms[0])

/* ---- templates ---- */

struct template
{
    struct connect_script *script;
    const char *name; /* of the transform in `transforms` */
    struct bytes out;
};

static const char *parameter(const struct template *template, const char *name, size_t size, const char *otherwise)
{
    char *key = memory_format("transforms.%s.%.*s", template->name, (int)size, name);
    const char *value = connect_config_take(template->script->config, key);
    free(key);
    return value != NULL ? value : otherwise;
}

/* `hole` is what stands between the braces. */
static void fill_hole(struct template *template, struct slice hole)
{
    const char *text = (const char *)hole.data;
    const char *bar = memchr(text, '|', hole.size);
    size_t size = bar != NULL ? (size_t)(bar - text) : hole.size;
    char last = size > 0 ? text[size - 1] : '\0';
    char *otherwise = bar != NULL ? memory_format("%.*s", (int)(hole.size - size - 1), bar + 1) : memory_copy_text("?");
    size_t name_size = last == '*' || last == '.' ? size - 1 : size;
    const char *value = parameter(template, text, name_size, last == '*' ? "" : otherwise);
    if (last == '*') {
        connect_script_list(&template->out, value);
    } else if (last == '.') {
        connect_script_field(&template->out, slice_text(value));
    } else {
        connect_script_quote(&template->out, slice_text(value));
    }
    free(otherwise);
}

static bool is_hole(const char *text, size_t size)
{
    for (size_t i = 1; i + 1 < size; i++) {
        if (strchr("abcdefghijklmnopqrstuvwxyz.*|?", text[i]) == NULL) {
            return false;
        }
    }
    return size > 2 && text[1] >= 'a' && text[1] <= 'z';
}

static void fill(struct template *template, const char *text)
{
    while (*text != '\0') {
        const char *end = *text == '{' ? strchr(text, '}') : NULL;
        if (end != NULL && is_hole(text, (size_t)(end - text) + 1)) {
            fill_hole(template, slice_of(text + 1, (size_t)(end - text) - 1));
            text = end + 1;
        } else {
            bytes_append_byte(&template->out, (unsigned char)*text++);
        }
    }
}

/* ---- one transform ---- */

static const char *last_part(const char *class)
{
    const char *dot = strrchr(class, '.');
    return dot != NULL ? dot + 1 : class;
}

static const struct transform *find(const char *class, bool *key)
{
    const char *type = last_part(class);
    size_t size = strcspn(type, "$");
    *key = strcmp(type + size, "$Key") == 0;
    for (size_t i = 0; i < TRANSFORM_COUNT; i++) {
        if (strlen(transforms[i].type) == size && strncmp(type, transforms[i].type, size) == 0) {
            return &transforms[i];
        }
    }
    return NULL;
}

/* Lists all of its settings, so that nothing gets lost. */
static void append_rest(struct template *template)
{
    struct connect_config *config = template->script->config;
    char *prefix = memory_format("transforms.%s.", template->name);
    const char *between = " Its settings:";
    for (size_t i = 0; i < config->count; i++) {
        struct connect_setting *setting = &config->list[i];
        bool own = strncmp(setting->key, prefix, strlen(prefix)) == 0;
        if (own && strcmp(setting->key + strlen(prefix), "type") != 0) {
            bytes_append_format(&template->out, "%s %s = %s", between, setting->key + strlen(prefix), setting->value);
            setting->taken = true;
            between = ",";
        }
    }
    bytes_append_text(&template->out, between[0] == ',' ? "." : "");
    free(prefix);
}

static void append_predicate(struct template *template)
{
    struct connect_config *config = template->script->config;
    const char *name = parameter(template, "predicate", 9, NULL);
    const char *negate = parameter(template, "negate", 6, "false");
    if (name == NULL) {
        return;
    }
    bytes_append_format(&template->out, " Only where the predicate %s does%s hold:", name,
                        strcmp(negate, "true") == 0 ? " not" : "");
    char *prefix = memory_format("predicates.%s.", name);
    for (size_t i = 0; i < config->count; i++) {
        if (strncmp(config->list[i].key, prefix, strlen(prefix)) == 0) {
            bytes_append_format(&template->out, " %s = %s", config->list[i].key + strlen(prefix),
                                config->list[i].value);
            config->list[i].taken = true;
        }
    }
    bytes_append_byte(&template->out, '.');
    free(prefix);
}

static void show(struct template *template, const char *class, const char *indent)
{
    bool key;
    const struct transform *transform = find(class, &key);
    const char *text = transform == NULL ? NULL : key && transform->key != NULL ? transform->key : transform->value;
    bytes_append_format(&template->out, "TODO transform %s (%s): ", template->name, last_part(class));
    if (text != NULL) {
        fill(template, text);
        bytes_append_byte(&template->out, '.');
    } else {
        bytes_append_text(&template->out, "it is not known here; say in Lua what it does.");
    }
    append_predicate(template);
    append_rest(template);
    connect_script_comment(&template->script->body, indent, bytes_text(&template->out));
}

static void unwrap(struct template *template, const char *indent)
{
    bytes_append_format(&template->script->body, "%s:unwrap()\n", indent);
    bytes_append_format(&template->out, "transform %s is :unwrap(): the row after the change, nil for a delete.",
                        template->name);
    append_predicate(template);
    append_rest(template);
    connect_script_comment(&template->script->body, indent, bytes_text(&template->out));
}

static void write_one(struct connect_script *script, struct slice name, const char *indent)
{
    char *copy = memory_format("%.*s", (int)name.size, (const char *)name.data);
    struct template template = {.script = script, .name = copy};
    const char *class = parameter(&template, "type", 4, "?");
    if (strcmp(last_part(class), "ExtractNewRecordState") == 0) {
        unwrap(&template, indent);
    } else {
        show(&template, class, indent);
    }
    bytes_free(&template.out);
    free(copy);
}

void connect_transforms_write(struct connect_script *script, const char *indent)
{
    const char *list = connect_config_take(script->config, "transforms");
    struct slice name;
    connect_config_take(script->config, "predicates"); /* shown with the transforms that ask them */
    while (connect_config_item(&list, &name)) {
        write_one(script, name, indent);
    }
}
