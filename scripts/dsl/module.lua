-- Codecs, values and the rest of what `require "tidemill"` gives; runs last.
local core, dsl = ...
local tm, quote, suggest, names_of = dsl.tm, dsl.quote, dsl.suggest, dsl.names_of

for name, codec in pairs(core.codecs) do tm[name] = codec end
tm.null = core.null
tm.tombstone = core.tombstone
tm.copy = core.copy
tm.list = core.list
tm.log = core.log
tm.metric = core.metric
tm.env = core.env

-- What is there is found without a function call: callbacks say tm.null for each record.
return setmetatable(tm, {
  __index = function(_, name)
    core.fail("tm has no function or value " .. quote(name) .. suggest(name, names_of(tm)))
  end,
  __newindex = function(_, name)
    core.fail("tm can't be changed: tm." .. tostring(name) .. " is not assignable")
  end,
  __metatable = "tidemill",
})
