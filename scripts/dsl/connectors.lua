-- Connectors: tm.connect.KIND { ... }, tm.source and tm.sink, app:source, stream:sink, and what changes of databases need.
local core, dsl = ...
local tm, data, what, quote, suggest, names_of = dsl.tm, dsl.data, dsl.what, dsl.quote, dsl.suggest, dsl.names_of
local need_name, options_of, codec_option, with = dsl.need_name, dsl.options_of, dsl.codec_option, dsl.with
local self_of, node, object, new_stream = dsl.self_of, dsl.node, dsl.object, dsl.new_stream
local app_class, app_methods = dsl.app_class, dsl.app_methods
local stream_class, stream_methods, table_methods = dsl.stream_class, dsl.stream_methods, dsl.table_methods
local declare_internal = dsl.declare_internal

local connectors = core.connectors()
local connector_class = dsl.class("a connector", {}, {})

local function connector_of_kind(kind)
  return function(options)
    dsl.building("tm.connect." .. kind)
    if type(options) ~= "table" or data[options] then
      core.fail("tm.connect." .. kind .. " takes its options as a table, got " .. what(options))
    end
    local known = connectors[kind]
    return object(connector_class, { kind = kind, method = "tm.connect." .. kind, options = options,
      source = known.source, sink = known.sink, key = known.key_codec, value = known.value_codec })
  end
end

-- One whose functions are the script's own: { required functions }, { others }, { options }.
local function connector_of_functions(method, side, required, others, settings)
  local allowed = {}
  for _, list in ipairs { required, others, settings } do table.move(list, 1, #list, #allowed + 1, allowed) end
  return function(given)
    dsl.building(method)
    if type(given) ~= "table" then core.fail(method .. " takes its functions in a table, got " .. what(given)) end
    options_of(method, given, allowed)
    local functions, options = {}, {}
    for name, value in pairs(given) do
      if type(value) == "function" then functions[name] = value else options[name] = value end
    end
    for _, name in ipairs(required) do dsl.need_function(method, given[name], name) end
    for _, name in ipairs(others) do
      if given[name] ~= nil then dsl.need_function(method, given[name], name) end
    end
    options.key, options.value = nil, nil
    return object(connector_class, { kind = "lua", method = method, options = options, functions = functions,
      [side] = true, key = codec_option(given, "key", core.codecs.json),
      value = codec_option(given, "value", core.codecs.json) })
  end
end

local RETRIES = { "tasks", "retry_ms", "retry_max_ms" }

tm.source = connector_of_functions("tm.source", "source", { "start", "poll" }, { "ack", "close" },
  { "key", "value", "poll_ms", table.unpack(RETRIES) })
tm.sink = connector_of_functions("tm.sink", "sink", { "write" }, { "start", "position", "close" },
  { "batch", "linger_ms", table.unpack(RETRIES) })

local kinds = {}
for kind in pairs(connectors) do kinds[kind] = connector_of_kind(kind) end

tm.connect = setmetatable({}, {
  __index = function(_, kind)
    if kinds[kind] then return kinds[kind] end
    local known = names_of(kinds)
    core.fail("there is no connector " .. quote(kind) .. suggest(kind, known) .. "; there are "
      .. table.concat(known, ", "))
  end,
  __newindex = function(_, kind) core.fail("tm.connect can't be changed: " .. quote(kind)) end,
  __metatable = "tidemill",
})

local function need_connector(method, connector, side)
  local fields = data[connector]
  if not fields or fields.class ~= connector_class then
    core.fail(method .. ": the second argument is a connector, " .. method .. '("name", tm.connect.KIND { ... }), got '
      .. what(connector))
  end
  if not fields[side] then
    core.fail(method .. ": " .. fields.method .. " is no " .. side)
  end
  return fields
end

-- ---- sources ----

function app_methods.source(self, name, connector, options)
  self_of("app:source", self, app_class)
  need_name("app:source", "name", name)
  local fields = need_connector("app:source", connector, "source")
  options = options_of("app:source", options, with { "timestamp" })
  if options.timestamp ~= nil and type(options.timestamp) ~= "function" then
    core.fail("app:source: timestamp is a function, got " .. what(options.timestamp))
  end
  local topic = core.internal_name(name, "positions")
  declare_internal(topic, "app:source")
  local use, tasks = core.connector { kind = fields.kind, method = fields.method, name = name, topic = topic,
    options = fields.options, functions = fields.functions, key_codec = fields.key, value_codec = fields.value }
  local id = node("connector_source", { name = options.name or name, on_error = options.on_error }, {},
    { role = "source", timestamp = options.timestamp, key_codec = fields.key, value_codec = fields.value })
  core.use_connector(id, use)
  core.detail(id, fields.kind)
  core.topic(id, topic, "positions", { partitions = tasks })
  core.store(id, { name = name, kind = "key_value", changelog = true, positions = true })
  -- A connector does not place its records by key: what needs that goes through a topic first.
  return new_stream({ sources = { id } }, { id = id, key = fields.key, value = fields.value, changed = true })
end

-- ---- sinks ----

local sinks = {} -- in the order of their making

function stream_methods.sink(self, name, connector, options)
  local from = self_of("sink", self, stream_class)
  need_name("sink", "name", name)
  local fields = need_connector("sink", connector, "sink")
  options = options_of("sink", options, with {})
  local topic = core.internal_name(name, "sink")
  declare_internal(topic, "sink")
  -- Keys of text stay text, all others are JSON, and so are all values: connectors know nothing else.
  local key = from.key == core.codecs.string and from.key or core.codecs.json
  local use, tasks = core.connector { kind = fields.kind, method = fields.method, name = name, topic = topic,
    sink = true, json_keys = key ~= core.codecs.string, options = fields.options, functions = fields.functions }
  local base = options.name or name
  local id = node("connector_sink", { name = base, on_error = options.on_error }, { from.id },
    { role = "sink", key_codec = key, value_codec = core.codecs.json })
  core.use_connector(id, use)
  core.detail(id, fields.kind)
  sinks[#sinks + 1] = { id = id, use = use, from = from.id, topic = topic, base = base, key = key,
    on_error = options.on_error, partitions = { partitions = tasks > 0 and tasks or nil } }
end

local function put_between(sink)
  local writer = node("repartition", { name = sink.base .. "-sink-writer", on_error = sink.on_error }, { sink.from },
    { role = "sink", topic = sink.topic, key_codec = sink.key, value_codec = core.codecs.json })
  core.topic(writer, sink.topic, "repartition", sink.partitions)
  local reader = node("source", { name = sink.base .. "-sink-reader", on_error = sink.on_error }, {},
    { role = "source", key_codec = sink.key, value_codec = core.codecs.json, internal = true })
  core.topic(reader, sink.topic, "repartition", sink.partitions)
  core.put_between(sink.id, writer, reader)
end

-- What stands beside a sink is known when the whole script has run.
core.at_end(function()
  for _, sink in ipairs(sinks) do sink.direct = core.direct_topic(sink.id) end
  for _, sink in ipairs(sinks) do
    if sink.direct then core.read_directly(sink.use, sink.direct) else put_between(sink) end
  end
end)

function table_methods.sink(self, name, connector, options)
  return table_methods.to_stream(self):sink(name, connector, options)
end

-- ---- change events ----

function stream_methods.unwrap(self, options)
  local from = self_of("unwrap", self, stream_class)
  options = options_of("unwrap", options, with {})
  local id = node("unwrap", options, { from.id }, { key_codec = from.key, value_codec = core.codecs.json })
  return new_stream(from, { id = id, value = core.codecs.json, changed = from.changed })
end
