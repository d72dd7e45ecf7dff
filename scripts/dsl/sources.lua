-- tm.app and the sources of an app.
local core, dsl = ...
local tm, data, quote, what, suggest, names_of = dsl.tm, dsl.data, dsl.quote, dsl.what, dsl.suggest, dsl.names_of
local building, need_name, options_of, policy_of = dsl.building, dsl.need_name, dsl.options_of, dsl.policy_of
local codec_option, with, object, self_of, node = dsl.codec_option, dsl.with, dsl.object, dsl.self_of, dsl.node
local new_stream, need_store, store_of, table_class = dsl.new_stream, dsl.need_store, dsl.store_of, dsl.table_class
local app_class, app_methods = dsl.app_class, dsl.app_methods

function tm.app(settings)
  building("tm.app")
  if dsl.app then core.fail("tm.app is called twice; a script is one app") end
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
  dsl.app = {
    on_error = by_function or in_force.on_error,
    on_error_function = by_function,
    dead_letter = in_force.dead_letter,
    internal = {}, -- internal topic -> the method that made it
  }
  return object(app_class, dsl.app)
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
  options = options_of("app:table", options, with(SOURCE_OPTIONS, "store", "emit", "changelog", "ttl"))
  need_name("app:table", "topic", topic)
  local store = need_store("app:table", options)
  local source = add_source("app:table", "table_source", { { name = topic } }, options,
    { store = store, emit = dsl.emit_of("app:table", options) })
  store_of("app:table", source.id, options)
  return object(table_class, { id = source.id, key = source.key, value = source.value, sources = source.sources,
    store = store, nearest = store })
end

dsl.add_source, dsl.SOURCE_OPTIONS = add_source, SOURCE_OPTIONS
