-- The crash campaign's way from a database into a database: the table as it is, and every change of it.
local tm = require "tidemill"

local app = tm.app { id = "crash-sqlite", commit_ms = 20, commit_min_ms = 0, commit_records = 500 }

local changes = app:source("shop", tm.connect.sqlite { path = tm.env "CRASH_SOURCE", tables = { "accounts" } })

changes:unwrap()
  :sink("mirror", tm.connect.sqlite { path = tm.env "CRASH_TARGET", table = "mirror", key = { "k" }, delete = true })

changes:filter(function(_, change) return change ~= nil end)
  :map_values(function(_, change)
    local row = change.op == "d" and change.before or change.after
    return { op = change.op, k = row.k, n = row.n }
  end)
  :sink("events", tm.connect.sqlite { path = tm.env "CRASH_TARGET", table = "events", mode = "insert" })
