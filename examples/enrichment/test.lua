local t = require "tidemill.test"
local tm = require "tidemill"

local function open()
  local d = t.driver "pipeline.lua"
  d:send("airlines", "UA", { carrier = "UA", name = "United" }, { at = 0 })
  d:send("airports", "IAH", { faa = "IAH", name = "George Bush", tzone = "America/Chicago" }, { at = 0 })
  return d
end

t.test("a departure gets the names of its airline and destination", function()
  local d = open()
  d:send("departures", "k", { carrier = "UA", flight = 1545, origin = "EWR", dest = "IAH" }, { at = 10 })
  t.equal(d:values("departures-enriched"), {
    { airline = "United", flight = 1545, origin = "EWR", dest = "IAH", destination = "George Bush",
      zone = "America/Chicago" },
  })
end)

t.test("an unknown destination stays without a name, an unknown airline drops the departure", function()
  local d = open()
  d:send("departures", "k", { carrier = "UA", flight = 1, origin = "JFK", dest = "BQN" }, { at = 10 })
  d:send("departures", "k", { carrier = "XX", flight = 2, origin = "JFK", dest = "IAH" }, { at = 20 })
  local results = d:values("departures-enriched")
  t.equal(#results, 1)
  t.equal(results[1].destination, tm.null)
end)
