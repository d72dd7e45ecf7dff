-- Grouping, and aggregations without windows.
local core, dsl = ...
local need_function, options_of, codec_option, with = dsl.need_function, dsl.options_of, dsl.codec_option, dsl.with
local object, self_of, node, computed_value = dsl.object, dsl.self_of, dsl.node, dsl.computed_value
local repartition, store_of, need_store = dsl.repartition, dsl.store_of, dsl.need_store
local stream_class, stream_methods, table_class = dsl.stream_class, dsl.stream_methods, dsl.table_class
local grouped_class, grouped_methods = dsl.grouped_class, dsl.grouped_methods
local STORE_OPTIONS, emit_of = dsl.STORE_OPTIONS, dsl.emit_of

function stream_methods.group_by_key(self, options)
  local from = self_of("group_by_key", self, stream_class)
  options = options_of("group_by_key", options, with { "key", "value" })
  return object(grouped_class, { from = from, repartition = from.changed, key = options.key, value = options.value })
end

function stream_methods.group_by(self, fn, options)
  local from = self_of("group_by", self, stream_class)
  need_function("group_by", fn)
  options = options_of("group_by", options, with { "key", "value" })
  local key = codec_option(options, "key", core.inner(from.key))
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
  count = with(STORE_OPTIONS, "emit"),
  reduce = with(STORE_OPTIONS, "emit", "add", "key", "value"),
  aggregate = with(STORE_OPTIONS, "emit", "init", "add", "key", "value"),
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
      emit = emit_of(kind, options), key_codec = key, value_codec = value })
    store_of(kind, id, options)
    return object(table_class, { id = id, key = key, value = value, count = kind == "count", sources = from.sources,
      store = store, nearest = store })
  end
end

grouped_methods.count = aggregation("count")
grouped_methods.reduce = aggregation("reduce")
grouped_methods.aggregate = aggregation("aggregate")

dsl.grouped_input = grouped_input
