-- How the weather delays departures: every departure joined with the observation of its airport's last full hour.
local tm = require "tidemill"

local app = tm.app "weather-delays"

-- The first that holds names the weather.
local function condition(weather)
  if weather.visibility < 2 then return "fog" end
  if weather.precip > 0 then return "rain or snow" end
  if weather.wind_speed ~= tm.null and weather.wind_speed >= 20 then return "wind" end
  return "fair"
end

-- Observations are made on the hour, departures on the minute: 59 minutes back there is exactly one.
app:stream("departures")
  :filter(function(origin, flight) return flight.departure_delay ~= tm.null end)
  :join(app:stream("weather"), function(origin, flight, weather)
    return { condition = condition(weather), delay = flight.departure_delay }
  end, { before = "59m", store = "departures-and-weather" })
  :group_by(function(origin, departure) return departure.condition end)
  :aggregate {
    store = "delay-by-condition",
    init = function() return { flights = 0, delay = 0 } end,
    add = function(name, departure, sum)
      sum.flights = sum.flights + 1
      sum.delay = sum.delay + departure.delay
      return sum
    end,
  }
  :map_values(function(name, sum)
    return { condition = name, flights = sum.flights, mean_delay = sum.delay / sum.flights }
  end)
  :to("weather-delays")
