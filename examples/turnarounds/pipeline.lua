-- The working days of aircraft: departures of one plane from New York that follow each other within eight hours.
local tm = require "tidemill"

local app = tm.app "turnarounds"

app:stream("departures")
  :filter(function(plane, flight) return flight.departure_delay ~= tm.null end)
  :group_by_key()
  :windowed_by(tm.session("8h"))
  :aggregate {
    store = "working-days",
    emit = "final",
    init = function() return { departures = 0, miles = 0 } end,
    add = function(plane, flight, sum)
      return { departures = sum.departures + 1, miles = sum.miles + flight.distance }
    end,
    merge = function(plane, one, other)
      return { departures = one.departures + other.departures, miles = one.miles + other.miles }
    end,
  }
  :to_stream()
  :filter(function(session, sum) return sum.departures > 1 end)
  :map(function(session, sum)
    return session.key, {
      plane = session.key, from = session.window_start, departures = sum.departures, miles = sum.miles,
      turnaround_minutes = (session.window_end - session.window_start) // 60000 // (sum.departures - 1),
    }
  end)
  :to("turnarounds")
