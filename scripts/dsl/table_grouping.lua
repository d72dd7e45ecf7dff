-- Grouping of tables, and aggregations of grouped tables: rows are put into groups and taken out of them.
local core, dsl = ...
local need_function, options_of, codec_option, with = dsl.need_function, dsl.options_of, dsl.codec_option, dsl.with
local object, self_of, node, computed_value = dsl.object, dsl.self_of, dsl.node, dsl.computed_value
local repartition, store_of, need_store = dsl.repartition, dsl.store_of, dsl.need_store
local table_class, table_methods = dsl.table_class, dsl.table_methods
local grouped_table_class, grouped_table_methods = dsl.grouped_table_class, dsl.grouped_table_methods
local STORE_OPTIONS, emit_of = dsl.STORE_OPTIONS, dsl.emit_of

function table_methods.group_by(self, fn, options)
  local from = self_of("group_by", self, table_class)
  need_function("group_by", fn)
  options = options_of("group_by", options, with { "key", "value" })
  local key = codec_option(options, "key", core.inner(from.key))
  local value = codec_option(options, "value", computed_value(from))
  local id = node("table_group_by", options, { from.id }, { fn = fn, key_codec = key, value_codec = value })
  return object(grouped_table_class, { id = id, key = key, value = value })
end

local AGGREGATE_OPTIONS = {
  count = with(STORE_OPTIONS, "emit"),
  reduce = with(STORE_OPTIONS, "emit", "add", "sub", "key", "value"),
  aggregate = with(STORE_OPTIONS, "emit", "init", "add", "sub", "key", "value"),
}

local function need_sub(kind, options)
  if options.sub == nil then
    core.fail(kind .. " of a grouped table needs a function as sub, which takes a row out of its group; write "
      .. kind .. " { store = ..., add = ..., sub = ... }")
  end
  need_function(kind, options.sub, "sub")
end

local function aggregation(kind)
  return function(self, options)
    local grouped = self_of(kind, self, grouped_table_class)
    options = options_of(kind, options, AGGREGATE_OPTIONS[kind])
    local store = need_store(kind, options)
    if kind ~= "count" then
      need_function(kind, options.add, "add")
      need_sub(kind, options)
    end
    if kind == "aggregate" then need_function(kind, options.init, "init") end
    local changes = { id = grouped.id, key = grouped.key, value = core.codecs.bytes }
    local from = repartition(kind, changes, store, { on_error = options.on_error })
    local key = codec_option(options, "key", from.key)
    local value = kind == "count" and core.codecs.int64 or codec_option(options, "value", grouped.value)
    local id = node("table_" .. kind, options, { from.id }, { store = store, init = options.init, add = options.add,
      sub = options.sub, emit = emit_of(kind, options), key_codec = key, value_codec = value,
      row_codec = grouped.value })
    store_of(kind, id, options)
    return object(table_class, { id = id, key = key, value = value, count = kind == "count", sources = from.sources,
      store = store, nearest = store })
  end
end

grouped_table_methods.count = aggregation("count")
grouped_table_methods.reduce = aggregation("reduce")
grouped_table_methods.aggregate = aggregation("aggregate")
