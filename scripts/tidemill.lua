-- The building blocks of a pipeline: what `require "tidemill"` gives. Runs once in every Lua state.
--
-- Everything here runs while the script builds its topology. Objects that the user holds (app, streams, tables, grouped
-- streams) are empty proxies; what they stand for is in `data`, out of the user's reach.
local core = ...

local tm = {}
local data = setmetatable({}, { __mode = "k" })
local the_app -- data of the one app of a script

-- ---- messages ----

local function quote(text)
  return '"' .. tostring(text) .. '"'
end

-- What a value is, in words: "a function", "a stream".
local function what(value)
  local known = data[value]
  if known then return known.class.article end
  local kind = type(value)
  if kind == "nil" then return "nothing" end
  if kind == "string" then return "the string " .. quote(value) end
  if kind == "number" or kind == "boolean" then return "the " .. kind .. " " .. tostring(value) end
  return "a " .. kind
end

local function building(method)
  if core.phase() ~= "building" then
    core.fail(method .. " builds the topology and can't be called inside a callback or after building; "
      .. "call it at the top level of the script")
  end
end

local function later(name)
  core.fail(name .. " is not available in this version")
end

local function suggest(name, names)
  local nearest = type(name) == "string" and core.nearest(name, names)
  return nearest and ("; did you mean " .. quote(nearest) .. "?") or ""
end

local function names_of(map)
  local names = {}
  for name in pairs(map) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- ---- checking arguments ----

local function need_function(method, value, argument)
  if type(value) ~= "function" then
    core.fail(method .. " needs a function" .. (argument and (" as " .. argument) or "") .. ", got " .. what(value))
  end
  return value
end

-- Names of stores, nodes and topics become topic names, so they obey Kafka's rule for these.
local function need_name(method, role, value)
  if type(value) ~= "string" then
    core.fail(method .. " needs a " .. role .. " as a string, got " .. what(value))
  end
  if #value == 0 or #value > 249 or value:find("[^%w%._%-]") or value == "." or value == ".." then
    core.fail(method .. ": the " .. role .. " " .. quote(value)
      .. " is not usable: letters, digits, '.', '_' and '-' make a name of at most 249 characters")
  end
  return value
end

local LATER_OPTIONS = {
  emit = true, grace = true, retention = true, idle_after = true, within = true, before = true, after = true,
  foreign_key = true, on_late = true, sub = true,
}

-- The option table of a method: a table with known names only, or nil.
local function options_of(method, options, allowed)
  if options == nil then return {} end
  if type(options) ~= "table" or data[options] then
    core.fail(method .. " takes its options as a table, got " .. what(options))
  end
  local known = {}
  for _, name in ipairs(allowed) do known[name] = true end
  for name in pairs(options) do
    if not known[name] then
      if LATER_OPTIONS[name] then later("the option " .. quote(name) .. " of " .. method) end
      core.fail(method .. " has no option " .. quote(name) .. suggest(name, allowed))
    end
  end
  return options
end

local function codec_option(options, field, inherited)
  if options[field] == nil then return inherited end
  return core.codec(options[field])
end

local POLICIES = { fail = true, skip = true, dead_letter = true }

local function policy_of(method, on_error)
  if on_error == nil or type(on_error) == "function" or POLICIES[on_error] then return on_error end
  core.fail(method .. ': on_error is "fail", "skip", "dead_letter" or a function, got ' .. what(on_error)
    .. suggest(on_error, { "fail", "skip", "dead_letter" }))
end

-- ---- objects ----

local function class(article, methods, not_yet, hints)
  local meta = { __name = article, __metatable = article }
  local self = { article = article, meta = meta }
  meta.__index = function(_, name)
    local method = methods[name]
    if method then return method end
    if not_yet[name] then later(tostring(name)) end
    if hints and hints[name] then core.fail(hints[name]) end
    core.fail(article .. " has no method " .. quote(name) .. suggest(name, names_of(methods)))
  end
  meta.__newindex = function(_, name)
    core.fail(article .. " can't be changed: there is no field " .. quote(name))
  end
  meta.__tostring = function() return article end
  return self
end

local function object(of, fields)
  local proxy = setmetatable({}, of.meta)
  fields.class = of
  data[proxy] = fields
  return proxy
end

local app_methods, stream_methods, table_methods, grouped_methods = {}, {}, {}, {}

local TO_STREAM_FIRST = {}
for _, name in ipairs { "map", "flat_map", "flat_map_values", "select_key", "peek", "foreach", "branch", "merge",
  "repartition", "through", "process", "sink", "group_by_key", "to_table" } do
  TO_STREAM_FIRST[name] = "a table has no method " .. quote(name) .. "; write :to_stream():" .. name .. "(...)"
end

local app_class = class("the app", app_methods, { global_table = true, source = true })
local stream_class = class("a stream", stream_methods, { process = true, sink = true, outer_join = true }, {
  count = "count needs a grouped stream; write :group_by_key():count { store = ... }",
  reduce = "reduce needs a grouped stream; write :group_by_key():reduce { store = ..., add = ... }",
  aggregate = "aggregate needs a grouped stream; "
    .. "write :group_by_key():aggregate { store = ..., init = ..., add = ... }",
  windowed_by = "windowed_by needs a grouped stream; write :group_by_key():windowed_by(...)",
  to_stream = "this is a stream already: leave :to_stream() out",
  suppress = "suppress is a method of tables",
})
local table_class = class("a table", table_methods,
  { group_by = true, suppress = true, join = true, left_join = true, outer_join = true }, TO_STREAM_FIRST)
local grouped_class = class("a grouped stream", grouped_methods, { windowed_by = true }, {
  to = "a grouped stream can only be counted, reduced or aggregated; write the stream itself out with to",
})

local function self_of(method, self, of)
  building(method)
  local fields = data[self]
  if not fields or fields.class ~= of then
    core.fail(method .. " is called with a colon on " .. of.article .. ", got " .. what(self))
  end
  return fields
end

-- ---- nodes ----

local function declare_dead_letter(id, policy)
  policy = policy or the_app.on_error
  if the_app.dead_letter_declared or not (policy == "dead_letter" or type(policy) == "function") then return end
  the_app.dead_letter_declared = true
  core.topic(id, the_app.dead_letter, "output")
end

local function node(kind, options, parents, fields)
  fields.on_error = policy_of(kind, options.on_error) or the_app.on_error_function
  if options.name ~= nil then need_name(kind, "name", options.name) end
  local id = core.node(kind, options.name, parents, fields)
  declare_dead_letter(id, fields.on_error)
  return id
end

local function new_stream(from, fields)
  return object(stream_class, {
    id = fields.id,
    key = fields.key or from.key,
    value = fields.value or from.value,
    count = fields.count,       -- values are counts: int64 inside, written out as JSON unless told otherwise
    changed = fields.changed,   -- the key is not the one the topic was partitioned by
    sources = fields.sources or from.sources,
  })
end

-- The codec of values that a user's function makes from this stream's.
local function computed_value(from)
  return from.count and core.codecs.json or from.value
end

local function declare_internal(name, method)
  local before = the_app.internal[name]
  if before then
    core.fail(method .. ": the internal topic " .. quote(name) .. " is made twice, by " .. before
      .. " too; give { name = ... }")
  end
  the_app.internal[name] = method
end

-- Through a topic of the runtime: what comes behind has its records by key in one partition.
local function repartition(method, from, base, options, keep_null_keys)
  local topic = core.internal_name(base, "repartition")
  declare_internal(topic, method)
  local key, value = codec_option(options, "key", from.key), codec_option(options, "value", from.value)
  local sink = node("repartition", { name = base .. "-repartition-sink", on_error = options.on_error }, { from.id },
    { role = "sink", topic = topic, key_codec = key, value_codec = value, drop_null_keys = not keep_null_keys })
  core.topic(sink, topic, "repartition", { partitions = options.partitions })
  local source = node("source", { name = base .. "-repartition-source", on_error = options.on_error }, {},
    { role = "source", key_codec = key, value_codec = value, internal = true })
  core.topic(source, topic, "repartition", { partitions = options.partitions })
  return { id = source, key = key, value = value, sources = { source },
    count = from.count and options.value == nil, changed = false }
end

local STORE_OPTIONS = { "store", "changelog", "ttl" }

-- Declares the store of a node from the method's options.
local function store_of(method, id, options)
  if options.changelog ~= nil and type(options.changelog) ~= "boolean" then
    core.fail(method .. ": changelog is true or false, got " .. what(options.changelog))
  end
  core.store(id, { name = options.store, kind = "key_value", changelog = options.changelog ~= false,
    ttl_ms = options.ttl ~= nil and core.duration(options.ttl) or nil })
end

local function need_store(method, options)
  if options.store == nil then
    core.fail(method .. " keeps state and needs a name for it: " .. method .. " { store = \"...\" }")
  end
  return need_name(method, "store", options.store)
end

local function with(common, ...)
  local all = { "name", "on_error" }
  for _, name in ipairs(common) do all[#all + 1] = name end
  for _, name in ipairs { ... } do all[#all + 1] = name end
  return all
end

-- ---- the app and its sources ----

function tm.app(settings)
  building("tm.app")
  if the_app then core.fail("tm.app is called twice; a script is one app") end
  if type(settings) == "string" then settings = { id = settings } end
  if type(settings) ~= "table" or data[settings] then
    core.fail("tm.app needs an application id or a table with settings, got " .. what(settings))
  end
  if settings.id ~= nil then need_name("tm.app", "id", settings.id) end
  local given = {}
  for name, value in pairs(settings) do given[name] = value end
  local on_error = policy_of("tm.app", given.on_error)
  if type(on_error) == "function" then given.on_error = nil end
  local in_force = core.app(given)
  local by_function = type(on_error) == "function" and on_error or nil
  the_app = {
    on_error = by_function or in_force.on_error,
    on_error_function = by_function,
    dead_letter = in_force.dead_letter,
    internal = {}, -- internal topic -> the method that made it
  }
  return object(app_class, the_app)
end

local RESETS = { earliest = true, latest = true, error = true }
local SOURCE_OPTIONS = { "key", "value", "timestamp", "reset" }

local function check_source(method, options)
  local timestamp = options.timestamp
  if timestamp ~= nil and timestamp ~= "record" and type(timestamp) ~= "function" then
    core.fail(method .. ': timestamp is a function or "record", got ' .. what(timestamp))
  end
  if options.reset ~= nil and not RESETS[options.reset] then
    core.fail(method .. ': reset is "earliest", "latest" or "error", got ' .. what(options.reset)
      .. suggest(options.reset, names_of(RESETS)))
  end
end

local function topics_of(topic)
  if topic == nil then need_name("app:stream", "topic", topic) end
  if type(topic) ~= "table" or data[topic] then topic = { topic } end
  if #topic == 0 then core.fail("app:stream needs at least one topic, got an empty list") end
  local list = {}
  for i, name in ipairs(topic) do
    if type(name) == "string" and name:sub(1, 1) == "^" then
      list[i] = { name = name, pattern = true }
    else
      list[i] = { name = need_name("app:stream", "topic", name) }
    end
    for j = 1, i - 1 do
      if list[j].name == name then core.fail("app:stream: the topic " .. quote(name) .. " is in the list twice") end
    end
  end
  return list
end

local function add_source(method, kind, list, options, fields)
  check_source(method, options)
  local key = codec_option(options, "key", core.codecs.string)
  local value = codec_option(options, "value", core.codecs.json)
  fields.role, fields.key_codec, fields.value_codec = "source", key, value
  if type(options.timestamp) == "function" then fields.timestamp = options.timestamp end
  local id = node(kind, options, {}, fields)
  for _, topic in ipairs(list) do
    core.topic(id, topic.name, "input", { pattern = topic.pattern, reset = options.reset })
  end
  return { id = id, key = key, value = value, sources = { id } }
end

function app_methods.stream(self, topic, options)
  self_of("app:stream", self, app_class)
  options = options_of("app:stream", options, with(SOURCE_OPTIONS))
  local source = add_source("app:stream", "source", topics_of(topic), options, {})
  return new_stream(source, { id = source.id, changed = false })
end

function app_methods.table(self, topic, options)
  self_of("app:table", self, app_class)
  options = options_of("app:table", options, with(SOURCE_OPTIONS, "store", "changelog", "ttl"))
  need_name("app:table", "topic", topic)
  local store = need_store("app:table", options)
  local source = add_source("app:table", "table_source", { { name = topic } }, options, { store = store })
  store_of("app:table", source.id, options)
  return object(table_class, { id = source.id, key = source.key, value = source.value, sources = source.sources,
    store = store, nearest = store })
end

-- ---- stateless operators of streams ----

-- A method with one function and at most a changed key.
local function per_record(kind, changes)
  return function(self, fn, options)
    local from = self_of(kind, self, stream_class)
    need_function(kind, fn)
    options = options_of(kind, options, with({}, table.unpack(changes)))
    local key, value = from.key, from.value
    local makes_value = false
    for _, part in ipairs(changes) do
      if part == "key" then key = codec_option(options, "key", key) end
      if part == "value" then
        value, makes_value = codec_option(options, "value", computed_value(from)), true
      end
    end
    local id = node(kind, options, { from.id }, { fn = fn, key_codec = key, value_codec = value })
    return new_stream(from, { id = id, key = key, value = value, count = from.count and not makes_value,
      changed = from.changed or changes[1] == "key" })
  end
end

for _, kind in ipairs { "filter", "filter_not", "peek" } do
  stream_methods[kind] = per_record(kind, {})
end
stream_methods.map_values = per_record("map_values", { "value" })
stream_methods.flat_map_values = per_record("flat_map_values", { "value" })
stream_methods.map = per_record("map", { "key", "value" })
stream_methods.flat_map = per_record("flat_map", { "key", "value" })
stream_methods.select_key = per_record("select_key", { "key" })

function stream_methods.foreach(self, fn, options)
  local from = self_of("foreach", self, stream_class)
  need_function("foreach", fn)
  options = options_of("foreach", options, with {})
  node("foreach", options, { from.id }, { fn = fn })
end

function stream_methods.branch(self, ...)
  local from = self_of("branch", self, stream_class)
  local predicates, options = table.pack(...), nil
  if type(predicates[predicates.n]) == "table" and not data[predicates[predicates.n]] then
    options = predicates[predicates.n]
    predicates.n = predicates.n - 1
  end
  options = options_of("branch", options, with {})
  if predicates.n == 0 then core.fail("branch needs at least one function") end
  local list = {}
  for i = 1, predicates.n do
    list[i] = need_function("branch", predicates[i], "argument " .. i)
  end
  local id = node("branch", options, { from.id }, { predicates = list })
  local ways = {}
  for i = 1, #list do
    local name = options.name and (options.name .. "-" .. i)
    local way = node("branch_way", { name = name, on_error = options.on_error }, { id }, { index = i - 1 })
    ways[i] = new_stream(from, { id = way, count = from.count, changed = from.changed })
  end
  return table.unpack(ways)
end

local function join_lists(one, other)
  local all, seen = {}, {}
  for _, list in ipairs { one, other } do
    for _, id in ipairs(list) do
      if not seen[id] then
        seen[id] = true
        all[#all + 1] = id
      end
    end
  end
  return all
end

function stream_methods.merge(self, other, options)
  local from = self_of("merge", self, stream_class)
  local second = data[other]
  if not second or second.class ~= stream_class then
    core.fail("merge needs another stream, got " .. what(other)
      .. (second and second.class == table_class and "; write :to_stream() behind it" or ""))
  end
  options = options_of("merge", options, with {})
  if from.key ~= second.key then core.fail("merge: the two streams have different key codecs") end
  local id = node("merge", options, { from.id, second.id }, {})
  local count = from.count and second.count
  return new_stream(from, { id = id, count = count, value = count and from.value or computed_value(from),
    changed = from.changed or second.changed, sources = join_lists(from.sources, second.sources) })
end

function stream_methods.repartition(self, options)
  local from = self_of("repartition", self, stream_class)
  options = options_of("repartition", options, with({ "partitions", "key", "value" }))
  if options.name == nil then
    core.fail('repartition needs a name for its topic: repartition { name = "..." }')
  end
  need_name("repartition", "name", options.name)
  local partitions = options.partitions
  if partitions ~= nil and (math.type(partitions) ~= "integer" or partitions < 1) then
    core.fail("repartition: partitions is a number from 1, got " .. what(partitions))
  end
  local source = repartition("repartition", from, options.name, options)
  return new_stream(source, source)
end

-- ---- output ----

local function add_sink(method, from, topic, options)
  local fields = {
    role = "sink",
    key_codec = codec_option(options, "key", from.key),
    value_codec = codec_option(options, "value", computed_value(from)),
  }
  if type(topic) == "function" then
    fields.choose = topic
  else
    fields.topic = need_name(method, "topic", topic)
  end
  local id = node("to", options, { from.id }, fields)
  if fields.topic then
    core.topic(id, fields.topic, "output")
  else
    core.detail(id, "topic by function")
  end
  return fields
end

function stream_methods.to(self, topic, options)
  local from = self_of("to", self, stream_class)
  options = options_of("to", options, with { "key", "value" })
  if type(topic) ~= "function" and type(topic) ~= "string" then
    core.fail("to needs a topic, or a function that chooses one, got " .. what(topic))
  end
  add_sink("to", from, topic, options)
end

function stream_methods.through(self, topic, options)
  local from = self_of("through", self, stream_class)
  options = options_of("through", options, with { "key", "value" })
  need_name("through", "topic", topic)
  local sink = add_sink("through", from, topic, { name = options.name and options.name .. "-sink",
    on_error = options.on_error, key = options.key, value = options.value })
  local source = add_source("app:stream", "source", { { name = topic } },
    { name = options.name and options.name .. "-source", on_error = options.on_error, key = sink.key_codec,
      value = sink.value_codec }, {})
  return new_stream(source, { id = source.id, changed = false })
end

-- ---- grouping and aggregation ----

function stream_methods.group_by_key(self, options)
  local from = self_of("group_by_key", self, stream_class)
  options = options_of("group_by_key", options, with { "key", "value" })
  return object(grouped_class, { from = from, repartition = from.changed, key = options.key, value = options.value })
end

function stream_methods.group_by(self, fn, options)
  local from = self_of("group_by", self, stream_class)
  need_function("group_by", fn)
  options = options_of("group_by", options, with { "key", "value" })
  local key = codec_option(options, "key", from.key)
  local id = node("group_by", options, { from.id }, { fn = fn, key_codec = key, value_codec = from.value })
  local stream = { id = id, key = key, value = from.value, count = from.count, sources = from.sources }
  return object(grouped_class, { from = stream, repartition = true, value = options.value })
end

-- The stream that an aggregation reads: behind its repartition topic when the key has changed.
local function grouped_input(method, grouped, options)
  if not grouped.repartition then
    local from = grouped.from
    return { id = from.id, key = codec_option(grouped, "key", from.key), sources = from.sources,
      value = codec_option(grouped, "value", from.value), count = from.count and grouped.value == nil }
  end
  return repartition(method, grouped.from, options.store,
    { key = grouped.key, value = grouped.value, on_error = options.on_error })
end

local AGGREGATE_OPTIONS = {
  count = with(STORE_OPTIONS),
  reduce = with(STORE_OPTIONS, "add", "key", "value"),
  aggregate = with(STORE_OPTIONS, "init", "add", "key", "value"),
}

local function aggregation(kind)
  return function(self, options)
    local grouped = self_of(kind, self, grouped_class)
    options = options_of(kind, options, AGGREGATE_OPTIONS[kind])
    local store = need_store(kind, options)
    if kind ~= "count" then need_function(kind, options.add, "add") end
    if kind == "aggregate" then need_function(kind, options.init, "init") end
    local from = grouped_input(kind, grouped, options)
    local key = codec_option(options, "key", from.key)
    local value = kind == "count" and core.codecs.int64 or codec_option(options, "value", computed_value(from))
    local id = node(kind, options, { from.id }, { store = store, init = options.init, add = options.add,
      key_codec = key, value_codec = value })
    store_of(kind, id, options)
    return object(table_class, { id = id, key = key, value = value, count = kind == "count", sources = from.sources,
      store = store, nearest = store })
  end
end

grouped_methods.count = aggregation("count")
grouped_methods.reduce = aggregation("reduce")
grouped_methods.aggregate = aggregation("aggregate")

-- ---- tables ----

function stream_methods.to_table(self, options)
  local from = self_of("to_table", self, stream_class)
  options = options_of("to_table", options, with(STORE_OPTIONS, "key", "value"))
  local store = need_store("to_table", options)
  if from.changed then from = repartition("to_table", from, store, { on_error = options.on_error }) end
  local key, value = codec_option(options, "key", from.key), codec_option(options, "value", from.value)
  local id = node("to_table", options, { from.id }, { store = store, key_codec = key, value_codec = value })
  store_of("to_table", id, options)
  return object(table_class, { id = id, key = key, value = value, count = from.count and options.value == nil,
    sources = from.sources, store = store, nearest = store })
end

local function table_operator(kind)
  return function(self, fn, options)
    local from = self_of(kind, self, table_class)
    need_function(kind, fn)
    options = options_of(kind, options, with(STORE_OPTIONS, "value"))
    local maps = kind == "map_values"
    local value = codec_option(options, "value", maps and computed_value(from) or from.value)
    local store = options.store ~= nil and need_store(kind, options) or nil
    local id = node("table_" .. kind, options, { from.id }, { fn = fn, store = store, key_codec = from.key,
      value_codec = value })
    if store then store_of(kind, id, options) end
    return object(table_class, { id = id, key = from.key, value = value, sources = from.sources,
      count = from.count and not maps and options.value == nil, store = store, nearest = store or from.nearest })
  end
end

table_methods.filter = table_operator("filter")
table_methods.filter_not = table_operator("filter_not")
table_methods.map_values = table_operator("map_values")

function table_methods.to_stream(self, options)
  local from = self_of("to_stream", self, table_class)
  options = options_of("to_stream", options, with {})
  local id = node("to_stream", options, { from.id }, {})
  return new_stream(from, { id = id, count = from.count, changed = false })
end

function table_methods.to(self, topic, options)
  return table_methods.to_stream(self):to(topic, options)
end

-- ---- joins ----

local function check_join(method, other, fn)
  local right = data[other]
  if not right or (right.class ~= table_class and right.class ~= stream_class) then
    core.fail(method .. " needs a table to join with as its first argument, got " .. what(other))
  end
  if right.class == stream_class then later(method .. " of two streams") end
  need_function(method, fn, "its second argument")
  return right
end

local function stream_table_join(method)
  return function(self, other, fn, options)
    local left = self_of(method, self, stream_class)
    local right = check_join(method, other, fn)
    options = options_of(method, options, with { "key", "value" })
    if left.changed then
      left = repartition(method, left, options.name or (right.nearest .. "-join"), { on_error = options.on_error },
        method == "left_join")
    end
    local value = codec_option(options, "value", computed_value(left))
    local id = node(method, options, { left.id }, { fn = fn, table = right.id, key_codec = left.key,
      value_codec = value })
    core.use_store(id, right.nearest)
    for _, one in ipairs(left.sources) do
      for _, two in ipairs(right.sources) do core.copartition(one, two) end
    end
    return new_stream(left, { id = id, value = value, changed = false,
      sources = join_lists(left.sources, right.sources) })
  end
end

stream_methods.join = stream_table_join("join")
stream_methods.left_join = stream_table_join("left_join")

-- ---- codecs, values and the rest ----

for name, codec in pairs(core.codecs) do tm[name] = codec end
tm.null = core.null
tm.tombstone = core.tombstone
tm.copy = core.copy
tm.list = core.list
tm.log = core.log
tm.metric = core.metric
tm.env = core.env

local NOT_YET = {
  tumbling = true, hopping = true, sliding = true, session = true, windowed = true, session_windowed = true,
  connect = true, source = true, sink = true,
}

-- What is there is found without a function call: callbacks say tm.null for each record.
return setmetatable(tm, {
  __index = function(_, name)
    if NOT_YET[name] then later("tm." .. name) end
    core.fail("tm has no function or value " .. quote(name) .. suggest(name, names_of(tm)))
  end,
  __newindex = function(_, name)
    core.fail("tm can't be changed: tm." .. tostring(name) .. " is not assignable")
  end,
  __metatable = "tidemill",
})
