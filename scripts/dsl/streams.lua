-- Stateless operators of streams, and output.
local core, dsl = ...
local data, what, need_function, need_name = dsl.data, dsl.what, dsl.need_function, dsl.need_name
local options_of, codec_option, with, self_of, node = dsl.options_of, dsl.codec_option, dsl.with, dsl.self_of, dsl.node
local new_stream, computed_value, join_lists = dsl.new_stream, dsl.computed_value, dsl.join_lists
local stream_class, stream_methods, table_class = dsl.stream_class, dsl.stream_methods, dsl.table_class
local repartition, add_source = dsl.repartition, dsl.add_source

-- A method with one function and at most a changed key.
local function per_record(kind, changes)
  return function(self, fn, options)
    local from = self_of(kind, self, stream_class)
    need_function(kind, fn)
    options = options_of(kind, options, with({}, table.unpack(changes)))
    local key, value = from.key, from.value
    local makes_value = false
    for _, part in ipairs(changes) do
      if part == "key" then key = codec_option(options, "key", core.inner(key)) end -- no windowed key any more
      if part == "value" then
        value, makes_value = codec_option(options, "value", computed_value(from)), true
      end
    end
    local id = node(kind, options, { from.id }, { fn = fn, key_codec = key, value_codec = value })
    return new_stream(from, { id = id, key = key, value = value, count = from.count and not makes_value,
      changed = from.changed or changes[1] == "key" })
  end
end

for _, kind in ipairs { "filter", "filter_not", "peek" } do
  stream_methods[kind] = per_record(kind, {})
end
stream_methods.map_values = per_record("map_values", { "value" })
stream_methods.flat_map_values = per_record("flat_map_values", { "value" })
stream_methods.map = per_record("map", { "key", "value" })
stream_methods.flat_map = per_record("flat_map", { "key", "value" })
stream_methods.select_key = per_record("select_key", { "key" })

function stream_methods.foreach(self, fn, options)
  local from = self_of("foreach", self, stream_class)
  need_function("foreach", fn)
  options = options_of("foreach", options, with {})
  node("foreach", options, { from.id }, { fn = fn })
end

function stream_methods.branch(self, ...)
  local from = self_of("branch", self, stream_class)
  local predicates, options = table.pack(...), nil
  if type(predicates[predicates.n]) == "table" and not data[predicates[predicates.n]] then
    options = predicates[predicates.n]
    predicates.n = predicates.n - 1
  end
  options = options_of("branch", options, with {})
  if predicates.n == 0 then core.fail("branch needs at least one function") end
  local list = {}
  for i = 1, predicates.n do
    list[i] = need_function("branch", predicates[i], "argument " .. i)
  end
  local id = node("branch", options, { from.id }, { predicates = list })
  local ways = {}
  for i = 1, #list do
    local name = options.name and (options.name .. "-" .. i)
    local way = node("branch_way", { name = name, on_error = options.on_error }, { id }, { index = i - 1 })
    ways[i] = new_stream(from, { id = way, count = from.count, changed = from.changed })
  end
  return table.unpack(ways)
end

function stream_methods.merge(self, other, options)
  local from = self_of("merge", self, stream_class)
  local second = data[other]
  if not second or second.class ~= stream_class then
    core.fail("merge needs another stream, got " .. what(other)
      .. (second and second.class == table_class and "; write :to_stream() behind it" or ""))
  end
  options = options_of("merge", options, with {})
  if from.key ~= second.key then core.fail("merge: the two streams have different key codecs") end
  local id = node("merge", options, { from.id, second.id }, {})
  local count = from.count and second.count
  return new_stream(from, { id = id, count = count, value = count and from.value or computed_value(from),
    changed = from.changed or second.changed, sources = join_lists(from.sources, second.sources) })
end

function stream_methods.repartition(self, options)
  local from = self_of("repartition", self, stream_class)
  options = options_of("repartition", options, with({ "partitions", "key", "value" }))
  if options.name == nil then
    core.fail('repartition needs a name for its topic: repartition { name = "..." }')
  end
  need_name("repartition", "name", options.name)
  local partitions = options.partitions
  if partitions ~= nil and (math.type(partitions) ~= "integer" or partitions < 1) then
    core.fail("repartition: partitions is a number from 1, got " .. what(partitions))
  end
  local source = repartition("repartition", from, options.name, options)
  return new_stream(source, source)
end

-- ---- output ----

local function add_sink(method, from, topic, options)
  local fields = {
    role = "sink",
    key_codec = codec_option(options, "key", from.key),
    value_codec = codec_option(options, "value", computed_value(from)),
  }
  if type(topic) == "function" then
    fields.choose = topic
  else
    fields.topic = need_name(method, "topic", topic)
  end
  local id = node("to", options, { from.id }, fields)
  if fields.topic then
    core.topic(id, fields.topic, "output")
  else
    core.detail(id, "topic by function")
  end
  return fields
end

function stream_methods.to(self, topic, options)
  local from = self_of("to", self, stream_class)
  options = options_of("to", options, with { "key", "value" })
  if type(topic) ~= "function" and type(topic) ~= "string" then
    core.fail("to needs a topic, or a function that chooses one, got " .. what(topic))
  end
  add_sink("to", from, topic, options)
end

function stream_methods.through(self, topic, options)
  local from = self_of("through", self, stream_class)
  options = options_of("through", options, with { "key", "value" })
  need_name("through", "topic", topic)
  local sink = add_sink("through", from, topic, { name = options.name and options.name .. "-sink",
    on_error = options.on_error, key = options.key, value = options.value })
  local source = add_source("app:stream", "source", { { name = topic } },
    { name = options.name and options.name .. "-source", on_error = options.on_error, key = sink.key_codec,
      value = sink.value_codec }, {})
  return new_stream(source, { id = source.id, changed = false })
end
