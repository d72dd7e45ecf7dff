-- suppress: holding changes of a table back.
local core, dsl = ...
local what, suggest, options_of, with = dsl.what, dsl.suggest, dsl.options_of, dsl.with
local object, self_of, node, store_of, need_store = dsl.object, dsl.self_of, dsl.node, dsl.store_of, dsl.need_store
local table_class, table_methods = dsl.table_class, dsl.table_methods

local function need_count(options, name)
  local value = options[name]
  if value ~= nil and (math.type(value) ~= "integer" or value < 1) then
    core.fail("suppress: " .. name .. " is a whole number from 1, got " .. what(value))
  end
  return value
end

-- When what is held goes out: by the window of the table, or by a limit.
local function until_of(from, options, fields)
  local closes, limit = options.until_window_closes, options.until_time_limit
  if closes ~= nil and closes ~= true then
    core.fail("suppress: until_window_closes is true or left out, got " .. what(closes))
  end
  if (closes == nil) == (limit == nil) then
    core.fail("suppress needs to know how long: until_window_closes = true, or until_time_limit = \"10s\""
      .. (closes and "; it has both" or ""))
  end
  if not closes then
    fields.limit_ms = core.duration(limit)
    return
  end
  local window = from.window
  if not window then
    core.fail("suppress until_window_closes needs a table of windows; write "
      .. ":group_by_key():windowed_by(...):count { store = ... }:suppress { ... }")
  end
  fields.window = window
end

local FULL = { "emit_early", "stop" }

local function when_full(options)
  local choice = options.when_full
  if choice ~= nil and choice ~= "emit_early" and choice ~= "stop" then
    core.fail('suppress: when_full is "emit_early" or "stop", got ' .. what(choice) .. suggest(choice, FULL))
  end
  if choice == "emit_early" and options.until_window_closes then
    core.fail('suppress: when_full = "emit_early" would let results out before their window closes; '
      .. 'until_window_closes has "stop" only')
  end
  return choice or (options.until_window_closes and "stop" or "emit_early")
end

function table_methods.suppress(self, options)
  local from = self_of("suppress", self, table_class)
  options = options_of("suppress", options, with { "store", "changelog", "until_window_closes", "until_time_limit",
    "max_records", "max_bytes", "when_full" })
  local store = need_store("suppress", options)
  local fields = { buffer = store, key_codec = from.key, value_codec = from.value, when_full = when_full(options),
    max_records = need_count(options, "max_records"), max_bytes = need_count(options, "max_bytes") }
  until_of(from, options, fields)
  local id = node("suppress", options, { from.id }, fields)
  store_of("suppress", id, options)
  local result = {}
  for name, value in pairs(from) do result[name] = value end
  result.id, result.store = id, nil
  return object(table_class, result)
end
