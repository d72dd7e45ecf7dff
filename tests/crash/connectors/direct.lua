-- The crash campaign's way from a topic straight into a table: the sink reads the topic, with operators in front that drop
-- records, refuse some, and make several rows of one.
local tm = require "tidemill"

local app = tm.app { id = "crash-direct", commit_ms = 20, commit_min_ms = 0, commit_records = 100 }

app:source("lines", tm.connect.file { path = tm.env "CRASH_INPUT", key = "k", follow = true }):to("numbers")

app:stream("numbers", { key = tm.json })
  :filter(function(_, v) return v.seq % 5 ~= 0 end)
  :map_values(function(_, v)
    if v.amount == 12 then error "an amount that the pipeline refuses" end
    return v
  end, { on_error = "dead_letter" })
  :flat_map_values(function(_, v)
    local rows = {}
    for part = 1, v.seq % 3 do rows[part] = { k = v.k, seq = v.seq, part = part, amount = v.amount } end
    return rows
  end)
  :sink("rows", tm.connect.sqlite { path = tm.env "CRASH_TARGET", table = "rows", mode = "insert", batch = 50 },
    { on_error = "dead_letter" })
