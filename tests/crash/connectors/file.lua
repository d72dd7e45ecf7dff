-- The crash campaign's way from a file into two tables and into files: rows as they come, and what was counted of them.
local tm = require "tidemill"

local app = tm.app { id = "crash-file", commit_ms = 20, commit_min_ms = 0, commit_records = 100 }

local lines = app:source("lines", tm.connect.file { path = tm.env "CRASH_INPUT", key = "k", follow = true })

lines:sink("rows", tm.connect.sqlite { path = tm.env "CRASH_TARGET", table = "rows", mode = "insert", batch = 50 },
  { on_error = "dead_letter" })

lines:sink("files", tm.connect.file { directory = tm.env "CRASH_FILES", roll_records = 300, batch = 50 })

lines:group_by_key()
  :aggregate { store = "sums",
    init = function() return { n = 0, total = 0, last = 0 } end,
    add = function(_, v, agg)
      agg.k = v.k
      agg.n = agg.n + 1
      agg.total = agg.total + v.amount
      agg.last = v.seq
      return agg
    end }
  :sink("sums", tm.connect.sqlite { path = tm.env "CRASH_TARGET", table = "sums", key = { "k" } })
