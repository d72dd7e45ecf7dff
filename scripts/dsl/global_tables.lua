-- Global tables, and joins of streams with them.
local core, dsl = ...
local what, need_function, need_name, options_of = dsl.what, dsl.need_function, dsl.need_name, dsl.options_of
local codec_option, with, object, self_of, node = dsl.codec_option, dsl.with, dsl.object, dsl.self_of, dsl.node
local new_stream, computed_value, need_store = dsl.new_stream, dsl.computed_value, dsl.need_store
local app_class, app_methods = dsl.app_class, dsl.app_methods

local NOT_HERE = {}
for _, name in ipairs { "to", "to_stream", "filter", "filter_not", "map_values", "group_by", "join", "left_join",
  "outer_join", "suppress" } do
  NOT_HERE[name] = "a global table has no method " .. name .. ": it can only be joined with, "
    .. "stream:join(global_table, fn, { on = fn }), and read from processors; use app:table for more"
end
local global_class = dsl.class("a global table", {}, {}, NOT_HERE)

-- Each thread loads the table for itself, outside of any transaction: nothing can be written about a bad record.
local function policy_of(options)
  local own = options.on_error
  if own ~= nil and own ~= "fail" and own ~= "skip" then
    core.fail('app:global_table: on_error is "fail" or "skip", got ' .. what(own))
  end
  local inherited = dsl.app.on_error
  return own or (inherited == "fail" and "fail" or "skip")
end

function app_methods.global_table(self, topic, options)
  self_of("app:global_table", self, app_class)
  options = options_of("app:global_table", options, with { "store", "key", "value" })
  need_name("app:global_table", "topic", topic)
  local store = need_store("app:global_table", options)
  local key = codec_option(options, "key", core.codecs.string)
  local value = codec_option(options, "value", core.codecs.json)
  local id = node("global_table", { name = options.name, on_error = policy_of(options) }, {},
    { role = "source", store = store, key_codec = key, value_codec = value })
  core.topic(id, topic, "global")
  core.store(id, { name = store, kind = "key_value", changelog = false })
  return object(global_class, { id = id, key = key, value = value, sources = {}, store = store })
end

dsl.stream_join_with[global_class] = function(method, left, right, fn, options)
  if method == "outer_join" then
    core.fail("outer_join with a global table is not possible, because its changes start no results; use left_join")
  end
  options = options_of(method, options, with { "on", "value" })
  need_function(method .. " with a global table", options.on, "on")
  local value = codec_option(options, "value", computed_value(left))
  local id = node("global_" .. method, options, { left.id }, { fn = fn, on = options.on, store = right.store,
    key_codec = left.key, value_codec = value, table_key_codec = right.key, table_value_codec = right.value })
  core.use_store(id, right.store)
  return new_stream(left, { id = id, value = value, changed = left.changed })
end
