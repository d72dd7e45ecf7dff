-- The objects that the user holds (app, streams, tables, grouped streams): empty proxies; what they stand for is in
-- dsl.data, out of the user's reach. And what all of their methods need to make nodes.
local core, dsl = ...
local data, quote, what, building = dsl.data, dsl.quote, dsl.what, dsl.building
local later, suggest, names_of = dsl.later, dsl.suggest, dsl.names_of
local need_name, codec_option, policy_of = dsl.need_name, dsl.codec_option, dsl.policy_of

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

-- Tables by the name of their store, which processors may look into.
dsl.table_of_store = {}

local function object(of, fields)
  local proxy = setmetatable({}, of.meta)
  fields.class = of
  data[proxy] = fields
  if fields.store then dsl.table_of_store[fields.store] = fields end
  return proxy
end

local app_methods, stream_methods, table_methods, grouped_methods, grouped_table_methods = {}, {}, {}, {}, {}

local TO_STREAM_FIRST = {}
for _, name in ipairs { "map", "flat_map", "flat_map_values", "select_key", "peek", "foreach", "branch", "merge",
  "repartition", "through", "process", "group_by_key", "to_table", "unwrap" } do
  TO_STREAM_FIRST[name] = "a table has no method " .. quote(name) .. "; write :to_stream():" .. name .. "(...)"
end

local app_class = class("the app", app_methods, {})
local stream_class = class("a stream", stream_methods, {}, {
  count = "count needs a grouped stream; write :group_by_key():count { store = ... }",
  reduce = "reduce needs a grouped stream; write :group_by_key():reduce { store = ..., add = ... }",
  aggregate = "aggregate needs a grouped stream; "
    .. "write :group_by_key():aggregate { store = ..., init = ..., add = ... }",
  windowed_by = "windowed_by needs a grouped stream; write :group_by_key():windowed_by(...)",
  to_stream = "this is a stream already: leave :to_stream() out",
  suppress = "suppress is a method of tables",
})
local table_class = class("a table", table_methods, {}, TO_STREAM_FIRST)
local grouped_class = class("a grouped stream", grouped_methods, {}, {
  to = "a grouped stream can only be counted, reduced or aggregated; write the stream itself out with to",
})
local grouped_table_class = class("a grouped table", grouped_table_methods, {}, {
  windowed_by = "windowed_by needs a grouped stream: rows of a table have no window",
  to = "a grouped table can only be counted, reduced or aggregated; write the table itself out with to",
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
  policy = policy or dsl.app.on_error
  if dsl.app.dead_letter_declared or not (policy == "dead_letter" or type(policy) == "function") then return end
  dsl.app.dead_letter_declared = true
  core.topic(id, dsl.app.dead_letter, "output")
end

local function node(kind, options, parents, fields)
  fields.on_error = policy_of(kind, options.on_error) or dsl.app.on_error_function
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
  local before = dsl.app.internal[name]
  if before then
    core.fail(method .. ": the internal topic " .. quote(name) .. " is made twice, by " .. before
      .. " too; give { name = ... }")
  end
  dsl.app.internal[name] = method
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

-- When the changes of a table go out: each at once (nil), or the last one of each key before a commit.
local function emit_of(method, options)
  local emit = options.emit
  if emit == nil or emit == "update" then return nil end
  if emit == "final" then core.fail(method .. ': emit = "final" is for windows, and there are none here') end
  if emit ~= "commit" then
    core.fail(method .. ': emit is "update" or "commit", got ' .. what(emit) .. suggest(emit, { "update", "commit" }))
  end
  if options.store == nil then
    core.fail(method .. ': emit = "commit" needs the rows to be kept; give it a store: { store = "..." }')
  end
  return emit
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

dsl.object, dsl.self_of, dsl.node, dsl.new_stream, dsl.computed_value = object, self_of, node, new_stream, computed_value
dsl.repartition, dsl.store_of, dsl.need_store, dsl.join_lists = repartition, store_of, need_store, join_lists
dsl.emit_of, dsl.declare_internal = emit_of, declare_internal
dsl.STORE_OPTIONS = STORE_OPTIONS
dsl.class = class
dsl.app_methods, dsl.stream_methods, dsl.table_methods, dsl.grouped_methods =
  app_methods, stream_methods, table_methods, grouped_methods
dsl.grouped_table_class, dsl.grouped_table_methods = grouped_table_class, grouped_table_methods
dsl.app_class, dsl.stream_class, dsl.table_class, dsl.grouped_class =
  app_class, stream_class, table_class, grouped_class
