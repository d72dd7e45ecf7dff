local t = require "tidemill.test"

local HOUR = 3600000

local function depart(d, plane, at, miles)
  d:send("departures", plane, { departure_delay = 0, distance = miles }, { at = at })
end

t.test("departures within eight hours are one working day", function()
  local d = t.driver "pipeline.lua"
  depart(d, "N1", 0, 200)
  depart(d, "N1", 3 * HOUR, 300)
  depart(d, "N1", 11 * HOUR, 100)                     -- exactly eight hours later still belongs to it
  depart(d, "N2", 48 * HOUR, 100)
  t.equal(d:values("turnarounds"), {
    { plane = "N1", from = 0, departures = 3, miles = 600, turnaround_minutes = 330 },
  })
end)

t.test("a day with one departure has no turnaround", function()
  local d = t.driver "pipeline.lua"
  depart(d, "N1", 0, 200)
  depart(d, "N1", 9 * HOUR, 200)
  depart(d, "N2", 48 * HOUR, 100)
  t.equal(d:values("turnarounds"), {})
end)

t.test("a record between two sessions joins them", function()
  local d = t.driver "pipeline.lua"
  depart(d, "N1", 0, 1)
  depart(d, "N1", 12 * HOUR, 2)
  depart(d, "N1", 6 * HOUR, 4)
  depart(d, "N2", 48 * HOUR, 1)
  t.equal(d:values("turnarounds")[1], { plane = "N1", from = 0, departures = 3, miles = 7, turnaround_minutes = 360 })
end)
