-- Joins with tables: of streams, and of tables with each other.
local core, dsl = ...
local data, what, need_function = dsl.data, dsl.what, dsl.need_function
local options_of, codec_option, with, self_of, node = dsl.options_of, dsl.codec_option, dsl.with, dsl.self_of, dsl.node
local object, new_stream, computed_value, join_lists = dsl.object, dsl.new_stream, dsl.computed_value, dsl.join_lists
local repartition, store_of, need_store, emit_of = dsl.repartition, dsl.store_of, dsl.need_store, dsl.emit_of
local stream_class, stream_methods = dsl.stream_class, dsl.stream_methods
local table_class, table_methods = dsl.table_class, dsl.table_methods

-- ---- what joins share ----

local function codec_name(codec)
  for name, known in pairs(core.codecs) do
    if known == codec then return name end
  end
end

local function same_windows(left, right)
  local one, other = left.window, right.window
  return not one or not other or (one.kind == other.kind and one.size == other.size)
end

-- Equal keys are in one partition only when their bytes are equal. Keys of windows have codecs of their own.
local function check_keys(method, left, right)
  local one, other = codec_name(left.key), codec_name(right.key)
  if (one == nil) ~= (other == nil) or not same_windows(left, right) then
    core.fail(method .. ": the keys of the two sides never match, because " .. (one and "the right side's are windows"
      or other and "the left side's are windows" or "their windows differ")
      .. "; give both sides the same windows, or take the key out of the window: "
      .. ":to_stream():select_key(function(wk) return wk.key end)")
  end
  if one ~= other then
    core.fail(method .. ": the keys of the left side are written as " .. one .. " and those of the right side as "
      .. other .. ", so equal keys would not meet in one partition; give both sources the same key = tm." .. other
      .. ", or change one side with select_key(fn, { key = tm." .. other .. " })")
  end
end

-- The topics of both sides need equal partition counts, which is checked when they are known.
local function copartition(left, right)
  for _, one in ipairs(left.sources) do
    for _, two in ipairs(right.sources) do core.copartition(one, two) end
  end
end

-- The node reads rows of the table: from its store, or else from those above that they are made of.
local function use_rows(id, from)
  for _, store in ipairs(from.keepers or { from.nearest }) do core.use_store(id, store) end
end

dsl.check_keys, dsl.copartition, dsl.use_rows = check_keys, copartition, use_rows

-- ---- streams ----

local function stream_table_join(method, left, right, fn, options)
  if method == "outer_join" then
    core.fail("outer_join of a stream and a table is not possible, because the table's changes start no results; "
      .. "use left_join, or write :to_stream() behind the table to join two streams")
  end
  options = options_of(method, options, with { "key", "value" })
  check_keys(method, left, right)
  if left.changed then
    left = repartition(method, left, options.name or (right.nearest .. "-join"), { on_error = options.on_error },
      method == "left_join")
  end
  local value = codec_option(options, "value", computed_value(left))
  local id = node(method, options, { left.id }, { fn = fn, table = right.id, key_codec = left.key,
    value_codec = value })
  use_rows(id, right)
  copartition(left, right)
  return new_stream(left, { id = id, value = value, changed = false, sources = join_lists(left.sources, right.sources) })
end

-- What a stream can be joined with: class -> function(method, left, right, fn, options).
dsl.stream_join_with = { [table_class] = stream_table_join }

for _, method in ipairs { "join", "left_join", "outer_join" } do
  stream_methods[method] = function(self, other, fn, options)
    local left = self_of(method, self, stream_class)
    local right = data[other]
    local joins = right and dsl.stream_join_with[right.class]
    if not joins then
      core.fail(method .. " needs a stream or a table to join with as its first argument, got " .. what(other))
    end
    need_function(method, fn, "its second argument")
    return joins(method, left, right, fn, options)
  end
end

-- ---- tables ----

local TABLE_OPTIONS = with(dsl.STORE_OPTIONS, "emit", "value", "foreign_key")

local function table_table_join(method, left, right, fn, options)
  check_keys(method, left, right)
  local store = options.store ~= nil and need_store(method, options) or nil
  local value = codec_option(options, "value", computed_value(left))
  local id = node("table_" .. method, options, { left.id, right.id }, { fn = fn, store = store,
    emit = emit_of(method, options), key_codec = left.key, value_codec = value })
  if store then store_of(method, id, options) end
  use_rows(id, left)
  use_rows(id, right)
  copartition(left, right)
  local keepers = join_lists(left.keepers or { left.nearest }, right.keepers or { right.nearest })
  return object(table_class, { id = id, key = left.key, value = value, store = store, nearest = store or left.nearest,
    keepers = not store and keepers or nil, window = left.window, sources = join_lists(left.sources, right.sources) })
end

for _, method in ipairs { "join", "left_join", "outer_join" } do
  table_methods[method] = function(self, other, fn, options)
    local left = self_of(method, self, table_class)
    local right = data[other]
    if not right or right.class ~= table_class then
      core.fail(method .. " of a table needs another table as its first argument, got " .. what(other)
        .. (right and right.class == stream_class and "; write :to_table { store = ... } behind the stream" or ""))
    end
    need_function(method, fn, "its second argument")
    options = options_of(method, options, TABLE_OPTIONS)
    local joins = options.foreign_key ~= nil and dsl.foreign_key_join or table_table_join
    return joins(method, left, right, fn, options)
  end
end
