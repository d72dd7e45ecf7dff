-- The pipeline of the crash campaigns: every record has one result per output, and each result says what came before.
local tm = require "tidemill"

local app = tm.app { id = "crash", commit_ms = 20, commit_min_ms = 0, commit_records = 100 }

local function init() return { n = 0, sum = 0, last = 0 } end

local source = app:stream "crash-in"

source:group_by_key()
  :aggregate { store = "sums", init = init,
    add = function(_, v, agg)
      agg.n = agg.n + 1
      agg.sum = agg.sum + v.amount
      agg.last = v.seq
      return agg
    end }
  :to "crash-sums"

source:group_by(function(key) return "g" .. tonumber(key:sub(2)) % 7 end)
  :aggregate { store = "groups", init = init,
    add = function(_, v, agg)
      agg.n = agg.n + 1
      agg.sum = agg.sum + v.amount
      agg.k = v.k
      agg.seq = v.seq
      agg.last = nil
      return agg
    end }
  :to "crash-groups"

-- Batches that retention takes away while everything else goes on.
source:to "crash-short"
