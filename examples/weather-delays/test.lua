local t = require "tidemill.test"
local tm = require "tidemill"

local HOUR, MINUTE = 3600000, 60000

local function observe(d, at, fields)
  local weather = { visibility = 10, precip = 0, wind_speed = 5 }
  for name, value in pairs(fields) do weather[name] = value end
  d:send("weather", "JFK", weather, { at = at })
end

t.test("a departure meets the observation of the last full hour", function()
  local d = t.driver "pipeline.lua"
  observe(d, 1 * HOUR, { precip = 0.1 })
  d:send("departures", "JFK", { departure_delay = 10 }, { at = 1 * HOUR + 59 * MINUTE })
  observe(d, 2 * HOUR, {})
  d:send("departures", "JFK", { departure_delay = 4 }, { at = 2 * HOUR })
  t.equal(d:values("weather-delays"), {
    { condition = "rain or snow", flights = 1, mean_delay = 10.0 },
    { condition = "fair", flights = 1, mean_delay = 4.0 },
  })
end)

t.test("fog comes before rain, rain before wind", function()
  local d = t.driver "pipeline.lua"
  observe(d, 0, { visibility = 0.5, precip = 1, wind_speed = 30 })
  d:send("departures", "JFK", { departure_delay = 90 }, { at = 5 * MINUTE })
  observe(d, HOUR, { wind_speed = 20 })
  d:send("departures", "JFK", { departure_delay = 30 }, { at = HOUR + 5 * MINUTE })
  local results = d:values("weather-delays")
  t.equal(results[1].condition, "fog")
  t.equal(results[2].condition, "wind")
end)

t.test("cancelled flights and unobserved hours count nowhere", function()
  local d = t.driver "pipeline.lua"
  observe(d, 0, {})
  d:send("departures", "JFK", { departure_delay = tm.null }, { at = MINUTE })
  d:send("departures", "LGA", { departure_delay = 5 }, { at = MINUTE })
  d:send("departures", "JFK", { departure_delay = 5 }, { at = HOUR })
  t.equal(d:values("weather-delays"), {})
end)
