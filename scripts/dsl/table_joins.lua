-- Joins of streams with tables.
local core, dsl = ...
local data, what, later, need_function = dsl.data, dsl.what, dsl.later, dsl.need_function
local options_of, codec_option, with, self_of, node = dsl.options_of, dsl.codec_option, dsl.with, dsl.self_of, dsl.node
local new_stream, computed_value, join_lists = dsl.new_stream, dsl.computed_value, dsl.join_lists
local repartition = dsl.repartition
local stream_class, stream_methods, table_class = dsl.stream_class, dsl.stream_methods, dsl.table_class

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
