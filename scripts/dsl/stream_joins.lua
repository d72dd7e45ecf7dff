-- Joins of two streams within a window of time.
local core, dsl = ...
local what, codec_option, with, options_of = dsl.what, dsl.codec_option, dsl.with, dsl.options_of
local node, new_stream, computed_value, join_lists = dsl.node, dsl.new_stream, dsl.computed_value, dsl.join_lists
local repartition, need_store = dsl.repartition, dsl.need_store

local OPTIONS = with { "within", "before", "after", "grace", "store", "changelog", "value" }
local LONGEST = 100000 * 86400000
local OUTER_LEFT, OUTER_RIGHT = { left_join = true, outer_join = true }, { outer_join = true }

-- How far apart in time the records of a pair may be.
local function window_of(method, options)
  local within, before, after = options.within, options.before, options.after
  if within ~= nil and (before ~= nil or after ~= nil) then
    core.fail(method .. " takes either within, for both directions, or before and after, not both")
  end
  if within == nil and before == nil and after == nil then
    core.fail(method .. " of two streams needs a window: within = \"10s\", or before and after")
  end
  local function duration(name)
    if options[name] == nil then return 0 end
    local good, result = pcall(core.duration, options[name])
    if not good then core.fail(method .. ": " .. name .. ": " .. result) end
    if result > LONGEST then core.fail(method .. ": " .. name .. " is too long, 100000 days are the most") end
    return result
  end
  local grace = duration("grace")
  if within ~= nil then
    local both = duration("within")
    return both, both, grace
  end
  return duration("before"), duration("after"), grace
end

local function declare_store(method, id, name, options, before, after, grace)
  if options.changelog ~= nil and type(options.changelog) ~= "boolean" then
    core.fail(method .. ": changelog is true or false, got " .. what(options.changelog))
  end
  local retention = before + after + grace
  core.store(id, { name = name, kind = "window", changelog = options.changelog ~= false, retention_ms = retention,
    segment_ms = math.max(before + after + 1, retention // 8, 1000) })
end

local function bring(method, from, base, side, keep_null_keys, options)
  if not from.changed then return from end
  return repartition(method, from, base .. "-" .. side, { on_error = options.on_error }, keep_null_keys)
end

local function stream_stream_join(method, left, right, fn, options)
  options = options_of(method, options, OPTIONS)
  local store = need_store(method, options)
  local before, after, grace = window_of(method, options)
  dsl.check_keys(method, left, right)
  local unmatched = OUTER_LEFT[method] and store .. "-unmatched" or nil
  left = bring(method, left, store, "left", OUTER_LEFT[method], options)
  right = bring(method, right, store, "right", OUTER_RIGHT[method], options)
  local value = codec_option(options, "value", computed_value(left))
  local id = node("stream_" .. method, options, { left.id, right.id }, { fn = fn, store = store, unmatched = unmatched,
    before = before, after = after, grace = grace, key_codec = left.key, left_codec = left.value,
    right_codec = right.value, value_codec = value })
  declare_store(method, id, store, options, before, after, grace)
  if unmatched then declare_store(method, id, unmatched, options, before, after, grace) end
  dsl.copartition(left, right)
  return new_stream(left, { id = id, value = value, changed = false, sources = join_lists(left.sources, right.sources) })
end

dsl.stream_join_with[dsl.stream_class] = stream_stream_join
