-- Departures with the names of their airline and destination, looked up in tables that every process holds whole.
local tm = require "tidemill"

local app = tm.app "enrichment"

local airlines = app:global_table("airlines", { store = "airlines" })
local airports = app:global_table("airports", { store = "airports" })

app:stream("departures")
  :join(airlines, function(carrier, flight, airline)
    return { airline = airline.name, flight = flight.flight, origin = flight.origin, dest = flight.dest }
  end, { on = function(carrier, flight) return flight.carrier end })
  :left_join(airports, function(carrier, flight, airport)        -- four destinations are not in the list of airports
    flight.destination = airport and airport.name or tm.null
    flight.zone = airport and airport.tzone or tm.null
    return flight
  end, { on = function(carrier, flight) return flight.dest end })
  :to("departures-enriched")
