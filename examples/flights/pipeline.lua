-- Departures from New York City, joined with their airlines, summed up per airline, into a topic and into SQLite.
local tm = require "tidemill"

local app = tm.app "flights"

local LATE_MINUTES = 15

local airlines = app:table("airlines", { store = "airlines" })

local delays = app:stream("departures")
  :join(airlines, function(carrier, flight, airline)
    return { airline = airline.name, delay = flight.departure_delay }
  end)
  :group_by_key()
  :aggregate {
    store = "departures-by-airline",
    emit = "commit", -- what counts is the table in the end; "update", the default, writes a result per departure
    init = function() return { airline = "", flights = 0, cancelled = 0, delay = 0, late = 0 } end,
    add = function(carrier, departure, sum)
      sum.airline = departure.airline
      sum.flights = sum.flights + 1
      if departure.delay == tm.null then          -- a cancelled flight never departed
        sum.cancelled = sum.cancelled + 1
      else
        sum.delay = sum.delay + departure.delay
        if departure.delay > LATE_MINUTES then sum.late = sum.late + 1 end
      end
      return sum
    end,
  }
  :map_values(function(carrier, sum)
    local departed = sum.flights - sum.cancelled
    return {
      airline = sum.airline,
      flights = sum.flights,
      cancelled = sum.cancelled,
      mean_delay = departed > 0 and sum.delay / departed or tm.null,
      late_share = departed > 0 and sum.late / departed or tm.null,
    }
  end)

delays:to("airline-delays")

-- The same as a table of a SQLite file; the carrier's code is the record's key.
delays:sink("airlines", tm.connect.sqlite {
  path = tm.env "FLIGHTS_SQLITE" or "airlines.sqlite",
  table = "airlines",
  key = { "carrier" },
  auto_create = true,
})
