-- The user's own processors, and the stores in their hands.
local core, dsl = ...
local quote, what, suggest, names_of = dsl.quote, dsl.what, dsl.suggest, dsl.names_of
local need_function, need_name, options_of = dsl.need_function, dsl.need_name, dsl.options_of
local codec_option, with, self_of, node = dsl.codec_option, dsl.with, dsl.self_of, dsl.node
local new_stream, computed_value, join_lists = dsl.new_stream, dsl.computed_value, dsl.join_lists
local stream_class, stream_methods = dsl.stream_class, dsl.stream_methods

local KIND_OPTIONS = {
  key_value = { "kind", "key", "value", "changelog", "ttl" },
  window = { "kind", "key", "value", "changelog", "size", "retention" },
  session = { "kind", "key", "value", "changelog", "retention" },
}
-- Kafka Streams' rule: half of the retention, so that two to three segments are kept; at least a minute.
local SHORTEST_SEGMENT_MS = 60000

local function duration_of(title, options, field, least)
  if options[field] == nil then core.fail(title .. " needs " .. field .. ' = "..." (a duration)') end
  local ms = core.duration(options[field])
  if ms < least then core.fail(title .. ": " .. field .. " is at least " .. least .. " ms, got " .. ms) end
  return ms
end

-- A store of the processor's own, as its options say.
local function make_store(name, options)
  local title = "process: the store " .. quote(name)
  if type(options) ~= "table" then core.fail(title .. " has its options as a table, got " .. what(options)) end
  local kind = options.kind == nil and "key_value" or options.kind
  if not KIND_OPTIONS[kind] then
    core.fail(title .. ': kind is "key_value", "window" or "session", got ' .. what(kind)
      .. suggest(kind, names_of(KIND_OPTIONS)))
  end
  options_of(title, options, KIND_OPTIONS[kind])
  if options.changelog ~= nil and type(options.changelog) ~= "boolean" then
    core.fail(title .. ": changelog is true or false, got " .. what(options.changelog))
  end
  local size = kind == "window" and duration_of(title, options, "size", 1) or nil
  local retention = kind ~= "key_value" and duration_of(title, options, "retention", size or 1) or nil
  return { name = name, kind = kind, changelog = options.changelog ~= false,
    key_codec = codec_option(options, "key", core.codecs.string),
    value_codec = codec_option(options, "value", core.codecs.json),
    size_ms = size, retention_ms = retention,
    ttl_ms = options.ttl ~= nil and duration_of(title, options, "ttl", 1) or nil }
end

-- Stores that processors have made, by name.
local made = {}

-- A table's store, to be read. Windows are found by the key inside the windowed one and by their start.
local function store_of_table(from)
  local window = from.window
  return { name = from.store, read_only = true, key_codec = from.key, inner_codec = core.inner(from.key),
    value_codec = from.value, size_ms = window and window.size, sources = from.sources }
end

-- The store that a table or an earlier processor has under that name; nil: nobody has.
local function known_store(name, options)
  local from = dsl.table_of_store[name]
  local known = made[name] or (from and store_of_table(from))
  if known and options then
    core.fail("process: the store " .. quote(name) .. " is there already: name it without options")
  end
  return known
end

local function stores_of(options)
  local given, list = options.stores, {}
  if given == nil then return list end
  if type(given) ~= "table" then
    core.fail("process: stores is a list of names, or maps names to options, got " .. what(given))
  end
  for position, name in ipairs(given) do
    need_name("process", "store (number " .. position .. ")", name)
    if given[name] then core.fail("process: the store " .. quote(name) .. " is named twice") end
    list[#list + 1] = known_store(name) or make_store(name, {})
  end
  local names = {}
  for name in pairs(given) do
    if math.type(name) ~= "integer" or name < 1 or name > #list then
      names[#names + 1] = need_name("process", "store", name)
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do list[#list + 1] = known_store(name, given[name]) or make_store(name, given[name]) end
  return list
end

local function check_twice(list)
  local seen = {}
  for _, store in ipairs(list) do
    if seen[store.name] then core.fail("process: the store " .. quote(store.name) .. " is named twice") end
    seen[store.name] = true
  end
end

-- Makes the store, or ties the node to one that is there: both read topics by one key, so their partitions must agree.
local function tie_store(id, from, store)
  if not store.sources then
    core.store(id, { name = store.name, kind = store.kind, changelog = store.changelog, ttl_ms = store.ttl_ms,
      retention_ms = store.retention_ms, by_key = store.kind == "window",
      segment_ms = store.retention_ms and math.max(store.retention_ms // 2, SHORTEST_SEGMENT_MS) })
    store.sources = from.sources
    made[store.name] = store
    return
  end
  core.use_store(id, store.name)
  for _, one in ipairs(from.sources) do
    for _, two in ipairs(store.sources) do
      if one ~= two then core.copartition(one, two) end
    end
  end
end

function stream_methods.process(self, options)
  local from = self_of("process", self, stream_class)
  if type(options) == "function" then
    core.fail("process takes a table: process { process = function(key, value, rec, ctx) ... end }")
  end
  options = options_of("process", options, with { "stores", "init", "process", "close", "key", "value" })
  need_function("process", options.process, "process")
  for _, field in ipairs { "init", "close" } do
    if options[field] ~= nil then need_function("process", options[field], field) end
  end
  local stores = stores_of(options)
  check_twice(stores)
  local key, value = codec_option(options, "key", from.key), codec_option(options, "value", computed_value(from))
  local id = node("process", options, { from.id }, { init = options.init, process = options.process,
    close = options.close, stores = stores, key_codec = key, value_codec = value })
  local sources = from.sources
  for _, store in ipairs(stores) do
    tie_store(id, from, store)
    sources = join_lists(sources, store.sources)
  end
  return new_stream(from, { id = id, key = key, value = value, changed = true, sources = sources })
end
