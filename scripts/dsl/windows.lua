-- Windows, and aggregations of grouped streams by windows.
local core, dsl = ...
local tm, data, what, quote, suggest = dsl.tm, dsl.data, dsl.what, dsl.quote, dsl.suggest
local need_function, options_of, codec_option, with = dsl.need_function, dsl.options_of, dsl.codec_option, dsl.with
local class, object, self_of, node = dsl.class, dsl.object, dsl.self_of, dsl.node
local computed_value, grouped_input, need_store = dsl.computed_value, dsl.grouped_input, dsl.need_store
local table_class, grouped_class, grouped_methods = dsl.table_class, dsl.grouped_class, dsl.grouped_methods

-- ---- windows ----

local window_class = class("a window", {}, {})

local WINDOW_OPTIONS = { "grace", "retention", "idle_after" }

local LONGEST = 1 << 53 -- 285,000 years: sums of durations and timestamps stay integers

-- Milliseconds of a duration; the option is named when it is none.
local function duration(method, name, value)
  if value == nil then
    local article = name:find("^[aeiou]") and "an " or "a "
    core.fail(method .. " needs " .. article .. name .. ": a duration such as \"5s\", or milliseconds")
  end
  local known, ms = pcall(core.duration, value)
  if not known then core.fail(method .. ": " .. name .. ": " .. tostring(ms)) end
  if ms > LONGEST then core.fail(method .. ": " .. name .. " is longer than " .. LONGEST .. " ms") end
  return ms
end

local function need_positive(method, name, value)
  local ms = duration(method, name, value)
  if ms <= 0 then core.fail(method .. ": " .. name .. " must be longer than 0") end
  return ms
end

-- A window object of one kind ("time", "sliding", "session"). `reach`: how long before a record what it changes begins.
local function window_of(method, kind, size, advance, reach, options)
  options = options_of(method, options, WINDOW_OPTIONS)
  local grace = options.grace ~= nil and duration(method, "grace", options.grace) or 0
  local least = reach + grace
  local retention = options.retention ~= nil and duration(method, "retention", options.retention) or least
  if retention < least then
    core.fail(method .. ": retention is " .. retention .. " ms, but windows change for " .. least
      .. " ms (their size and grace); give at least that, or leave retention out")
  end
  local idle_after = options.idle_after ~= nil and need_positive(method, "idle_after", options.idle_after) or 0
  return object(window_class, { kind = kind, size = size, advance = advance, grace = grace, retention = retention,
    idle_after = idle_after })
end

function tm.tumbling(size, options)
  dsl.building("tm.tumbling")
  size = need_positive("tm.tumbling", "size", size)
  return window_of("tm.tumbling", "time", size, size, size, options)
end

function tm.hopping(size, advance, options)
  dsl.building("tm.hopping")
  size = need_positive("tm.hopping", "size", size)
  advance = need_positive("tm.hopping", "advance", advance)
  if advance > size then
    core.fail("tm.hopping: advance is " .. advance .. " ms and size " .. size
      .. " ms; with an advance longer than the size there would be records in no window")
  end
  return window_of("tm.hopping", "time", size, advance, size, options)
end

function tm.sliding(difference, options)
  dsl.building("tm.sliding")
  difference = need_positive("tm.sliding", "difference", difference)
  return window_of("tm.sliding", "sliding", difference, difference, 2 * difference, options)
end

function tm.session(gap, options)
  dsl.building("tm.session")
  gap = need_positive("tm.session", "gap", gap)
  return window_of("tm.session", "session", gap, gap, gap, options)
end

-- ---- codecs of windowed keys ----

function tm.windowed(codec, size)
  local inner = core.codec(codec)
  return core.windowed(inner, need_positive("tm.windowed", "size", size))
end

function tm.session_windowed(codec)
  return core.windowed(core.codec(codec))
end

-- ---- aggregations ----

local windowed_methods = {}
local windowed_class = class("a windowed stream", windowed_methods, {}, {
  to = "a windowed stream can only be counted, reduced or aggregated; write the stream itself out with to",
})

function grouped_methods.windowed_by(self, window)
  local grouped = self_of("windowed_by", self, grouped_class)
  local fields = data[window]
  if not fields or fields.class ~= window_class then
    core.fail("windowed_by needs tm.tumbling(size), tm.hopping(size, advance), tm.sliding(difference) or "
      .. "tm.session(gap), got " .. what(window))
  end
  return object(windowed_class, { grouped = grouped, window = fields })
end

-- How the operators and stores of each kind of windows are called.
local KINDS = {
  time = { node = "window_", store = "window" },
  sliding = { node = "window_", store = "window", by_key = true },
  session = { node = "session_", store = "session" },
}

local EMITS = { update = true, commit = true, final = true }

local function emit_option(method, options)
  local emit = options.emit
  if emit ~= nil and not EMITS[emit] then
    core.fail(method .. ': emit is "update", "commit" or "final", got ' .. what(emit)
      .. suggest(emit, { "update", "commit", "final" }))
  end
  return emit
end

local MINUTE = 60000

-- Stores that lie by key have segments long enough for a record's windows to be in two or three of them.
local function declare_store(method, id, options, window, final)
  if options.changelog ~= nil and type(options.changelog) ~= "boolean" then
    core.fail(method .. ": changelog is true or false, got " .. what(options.changelog))
  end
  local kind = KINDS[window.kind]
  local segment = window.kind ~= "time" and math.max(MINUTE, 2 * window.size) or nil
  core.store(id, { name = options.store, kind = kind.store, changelog = options.changelog ~= false,
    segment_ms = segment, retention_ms = window.retention, by_key = kind.by_key, headers = final })
end

local OPTIONS = { "store", "changelog", "emit", "on_late" }
local AGGREGATE_OPTIONS = {
  count = with(OPTIONS),
  reduce = with(OPTIONS, "add", "key", "value"),
  aggregate = with(OPTIONS, "init", "add", "merge", "key", "value"),
}

local function check_functions(kind, options, window)
  if kind ~= "count" then need_function(kind, options.add, "add") end
  if kind == "aggregate" then need_function(kind, options.init, "init") end
  if kind == "aggregate" and window.kind == "session" then need_function(kind, options.merge, "merge") end
  if window.kind ~= "session" and options.merge ~= nil then
    core.fail(kind .. " has no option " .. quote("merge") .. " for these windows; only sessions are merged")
  end
  if options.on_late ~= nil then need_function(kind, options.on_late, "on_late") end
end

local function aggregation(kind)
  return function(self, options)
    local windowed = self_of(kind, self, windowed_class)
    local window = windowed.window
    options = options_of(kind, options, AGGREGATE_OPTIONS[kind])
    local store = need_store(kind, options)
    check_functions(kind, options, window)
    local emit = emit_option(kind, options)
    local from = grouped_input(kind, windowed.grouped, options)
    local inner = codec_option(options, "key", from.key)
    local key = core.windowed(inner, window.kind ~= "session" and window.size or nil)
    local value = kind == "count" and core.codecs.int64 or codec_option(options, "value", computed_value(from))
    local id = node(KINDS[window.kind].node .. kind, options, { from.id }, { store = store, init = options.init,
      add = options.add, merge = options.merge, on_late = options.on_late, emit = emit, window = window,
      key_codec = key, record_codec = inner, value_codec = value })
    declare_store(kind, id, options, window, emit == "final")
    return object(table_class, { id = id, key = key, value = value, count = kind == "count", sources = from.sources,
      store = store, nearest = store, window = window, final = emit == "final" })
  end
end

windowed_methods.count = aggregation("count")
windowed_methods.reduce = aggregation("reduce")
windowed_methods.aggregate = aggregation("aggregate")

dsl.window_of, dsl.need_positive = window_of, need_positive
