local t = require "tidemill.test"

local MINUTE, HOUR = 60000, 3600000

local function depart(d, plane, at)
  d:send("departures", "EWR", { tailnum = plane, departure_delay = 0 }, { at = at })
end

t.test("a plane that leaves twice within the hour is one plane", function()
  local d = t.driver "pipeline.lua"
  depart(d, "N1", 0)
  depart(d, "N2", 10 * MINUTE)
  depart(d, "N1", 50 * MINUTE)
  t.equal(d:values("planes-in-use"), {})              -- the first hour is not over
  depart(d, "N3", HOUR)
  t.equal(d:values("planes-in-use"), { { origin = "EWR", from = 0, departures = 3, planes = 2 } })
end)

t.test("windows begin each quarter of an hour", function()
  local d = t.driver "pipeline.lua"
  depart(d, "N1", 50 * MINUTE)
  depart(d, "N1", 5 * HOUR)
  local from = {}
  for i, window in ipairs(d:values("planes-in-use")) do from[i] = window.from // MINUTE end
  t.equal(from, { 0, 15, 30, 45 })
end)

t.test("a departure later than its windows changes nothing", function()
  local d = t.driver "pipeline.lua"
  depart(d, "N1", 3 * HOUR)
  depart(d, "N2", HOUR)
  depart(d, "N3", 6 * HOUR)
  for _, window in ipairs(d:values("planes-in-use")) do t.equal(window.planes, 1) end
end)
