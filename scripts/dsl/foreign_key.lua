-- Joins of a table with the rows of another that its own rows name.
local core, dsl = ...
local need_function, codec_option, node, object = dsl.need_function, dsl.codec_option, dsl.node, dsl.object
local computed_value, store_of, need_store, emit_of = dsl.computed_value, dsl.store_of, dsl.need_store, dsl.emit_of

-- The reading end of an internal topic.
local function reader(topic, key, store, on_error)
  local id = node("source", { name = store .. "-source", on_error = on_error }, {},
    { role = "source", key_codec = key, value_codec = core.codecs.bytes, internal = true })
  core.topic(id, topic, "repartition", {})
  return id
end

function dsl.foreign_key_join(method, left, right, fn, options)
  if method == "outer_join" then
    core.fail("outer_join has no foreign_key: rows of the right table have no key of the left one; use left_join")
  end
  need_function(method, options.foreign_key, "foreign_key")
  local store, on_error = need_store(method, options), options.on_error
  local registration, response = core.internal_name(store, "registration"), core.internal_name(store, "response")
  local subscription = store .. "-subscription"

  local register = node("foreign_key", { name = store .. "-registration-sink", on_error = on_error }, { left.id },
    { role = "sink", topic = registration, foreign_key = options.foreign_key, left = method == "left_join",
      left_key_codec = left.key, left_codec = left.value, key_codec = right.key })
  core.topic(register, registration, "repartition", {})

  local registered = reader(registration, right.key, store .. "-registration", on_error)
  local respond = node("foreign_key_response", { name = store .. "-response-sink", on_error = on_error },
    { registered, right.id }, { role = "sink", topic = response, store = subscription, key_codec = right.key,
      value_codec = right.value })
  store_of(method, respond, { store = subscription, changelog = options.changelog })
  dsl.use_rows(respond, right)
  core.topic(respond, response, "repartition", {})
  dsl.copartition({ sources = { registered } }, right)

  local answered = reader(response, left.key, store .. "-response", on_error)
  local value = codec_option(options, "value", computed_value(left))
  local id = node("foreign_key_" .. method, options, { answered }, { fn = fn, table = left.id, store = store,
    emit = emit_of(method, options), key_codec = left.key, left_codec = left.value, right_codec = right.value,
    value_codec = value })
  store_of(method, id, options)
  dsl.use_rows(id, left)
  dsl.copartition({ sources = { answered } }, left)
  return object(dsl.table_class, { id = id, key = left.key, value = value, store = store, nearest = store,
    sources = dsl.join_lists({ answered }, left.sources) })
end
