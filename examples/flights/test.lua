local t = require "tidemill.test"
local tm = require "tidemill"

local function open()
  local d = t.driver "pipeline.lua"
  d:send("airlines", "UA", { carrier = "UA", name = "United" }, { at = 0 })
  return d
end

t.test("flights, cancellations and delays are summed per airline", function()
  local d = open()
  d:send("departures", "UA", { carrier = "UA", departure_delay = 20 }, { at = 1000 })
  d:send("departures", "UA", { carrier = "UA", departure_delay = -4 }, { at = 2000 })
  d:send("departures", "UA", { carrier = "UA", departure_delay = tm.null }, { at = 3000 })
  t.equal(d:values("airline-delays"), {}) -- results wait for the commit
  d:commit()
  t.equal(d:values("airline-delays"),
    { { airline = "United", flights = 3, cancelled = 1, mean_delay = 8.0, late_share = 0.5 } })
end)

t.test("exactly 15 minutes is not late", function()
  local d = open()
  d:send("departures", "UA", { departure_delay = 15 }, { at = 1000 })
  d:commit()
  t.equal(d:values("airline-delays")[1].late_share, 0.0)
end)

t.test("an airline whose flights were all cancelled has no mean", function()
  local d = open()
  d:send("departures", "UA", { departure_delay = tm.null }, { at = 1000 })
  d:commit()
  t.equal(d:values("airline-delays")[1].mean_delay, tm.null)
end)

t.test("a flight of an unknown airline is not joined", function()
  local d = open()
  d:send("departures", "XX", { departure_delay = 1 }, { at = 1000 })
  d:commit()
  t.equal(d:values("airline-delays"), {})
end)
