-- How many different planes leave an airport within an hour, looked at every quarter of an hour.
local tm = require "tidemill"

local app = tm.app "planes-in-use"

app:stream("departures")
  :filter(function(origin, flight) return flight.departure_delay ~= tm.null and flight.tailnum ~= tm.null end)
  :group_by_key()
  :windowed_by(tm.hopping("1h", "15m"))
  :aggregate {
    store = "planes",
    emit = "final",                                   -- one result per window, once nothing can change it
    init = function() return { departures = 0, planes = {} } end,
    add = function(origin, flight, sum)
      sum.departures = sum.departures + 1
      sum.planes[flight.tailnum] = true
      return sum
    end,
  }
  :to_stream()
  :map(function(window, sum)
    local planes = 0
    for _ in pairs(sum.planes) do planes = planes + 1 end
    return window.key, { origin = window.key, from = window.window_start, departures = sum.departures, planes = planes }
  end)
  :to("planes-in-use")
