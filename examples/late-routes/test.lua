local t = require "tidemill.test"

local DAY, HOUR = 86400000, 3600000

local function depart(d, dest, at, delay)
  d:send("departures", "UA", { origin = "EWR", dest = dest, departure_delay = delay or 16 }, { at = at })
end

t.test("a day is reported by the first departure of the next one", function()
  local d = t.driver "pipeline.lua"
  depart(d, "SFO", 2 * HOUR)
  depart(d, "ORD", 3 * HOUR)
  depart(d, "SFO", 4 * HOUR)
  depart(d, "LAX", 5 * HOUR, 15)                      -- 15 minutes are not late
  t.equal(d:values("late-routes"), {})
  depart(d, "ORD", DAY + HOUR)
  t.equal(d:values("late-routes"), {
    { day = 0, routes = { { route = "EWR-SFO", late = 2 }, { route = "EWR-ORD", late = 1 } } },
  })
end)

t.test("five routes are listed, equal ones by name", function()
  local d = t.driver "pipeline.lua"
  for _, dest in ipairs { "F", "E", "D", "C", "B", "A" } do depart(d, dest, HOUR) end
  depart(d, "A", DAY)
  local routes = {}
  for i, entry in ipairs(d:values("late-routes")[1].routes) do routes[i] = entry.route end
  t.equal(routes, { "EWR-A", "EWR-B", "EWR-C", "EWR-D", "EWR-E" })
end)

t.test("what was reported is forgotten", function()
  local d = t.driver "pipeline.lua"
  depart(d, "SFO", HOUR)
  depart(d, "SFO", DAY + HOUR)
  depart(d, "SFO", 2 * DAY + HOUR)
  local results = d:values("late-routes")
  t.equal(results[2], { day = 1, routes = { { route = "EWR-SFO", late = 1 } } })
end)
