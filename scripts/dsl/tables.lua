-- Tables and their operators.
local dsl = select(2, ...)
local need_function, options_of, codec_option, with = dsl.need_function, dsl.options_of, dsl.codec_option, dsl.with
local object, self_of, node, computed_value = dsl.object, dsl.self_of, dsl.node, dsl.computed_value
local new_stream, repartition, store_of, need_store = dsl.new_stream, dsl.repartition, dsl.store_of, dsl.need_store
local stream_class, stream_methods = dsl.stream_class, dsl.stream_methods
local table_class, table_methods = dsl.table_class, dsl.table_methods
local STORE_OPTIONS, emit_of = dsl.STORE_OPTIONS, dsl.emit_of

function stream_methods.to_table(self, options)
  local from = self_of("to_table", self, stream_class)
  options = options_of("to_table", options, with(STORE_OPTIONS, "emit", "key", "value"))
  local store = need_store("to_table", options)
  if from.changed then from = repartition("to_table", from, store, { on_error = options.on_error }) end
  local key, value = codec_option(options, "key", from.key), codec_option(options, "value", from.value)
  local id = node("to_table", options, { from.id }, { store = store, emit = emit_of("to_table", options),
    key_codec = key, value_codec = value })
  store_of("to_table", id, options)
  return object(table_class, { id = id, key = key, value = value, count = from.count and options.value == nil,
    sources = from.sources, store = store, nearest = store })
end

local function table_operator(kind)
  return function(self, fn, options)
    local from = self_of(kind, self, table_class)
    need_function(kind, fn)
    options = options_of(kind, options, with(STORE_OPTIONS, "emit", "value"))
    local maps = kind == "map_values"
    local value = codec_option(options, "value", maps and computed_value(from) or from.value)
    local store = options.store ~= nil and need_store(kind, options) or nil
    local id = node("table_" .. kind, options, { from.id }, { fn = fn, store = store, emit = emit_of(kind, options),
      key_codec = from.key, value_codec = value })
    if store then store_of(kind, id, options) end
    return object(table_class, { id = id, key = from.key, value = value, sources = from.sources,
      count = from.count and not maps and options.value == nil, store = store, nearest = store or from.nearest,
      window = from.window, keepers = not store and from.keepers or nil })
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
