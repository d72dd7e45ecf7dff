-- The five routes of each day with the most departures that were more than 15 minutes late.
local tm = require "tidemill"

local app = tm.app "late-routes"

local LATE_MINUTES, DAY_MS, BEST = 15, 86400000, 5

-- Routes of one day in the order of the list: most late departures first, then by name.
local function busier(one, other)
  if one.late ~= other.late then return one.late > other.late end
  return one.route < other.route
end

-- Sends the list of every day that is over and forgets its counts.
local function report(ctx, now)
  local days = {}
  for key, late in ctx.stores["late-by-route"]:all() do
    local day, route = key:match("^(%d+) (.+)$")
    if tonumber(day) < now // DAY_MS then
      days[day] = days[day] or {}
      table.insert(days[day], { route = route, late = late })
      ctx.stores["late-by-route"]:delete(key)
    end
  end
  local order = {}
  for day in pairs(days) do order[#order + 1] = day end
  table.sort(order)
  for _, day in ipairs(order) do
    table.sort(days[day], busier)
    ctx:forward(day, { day = tonumber(day), routes = tm.list { table.unpack(days[day], 1, BEST) } })
  end
end

app:stream("departures")
  :filter(function(carrier, flight)
    return flight.departure_delay ~= tm.null and flight.departure_delay > LATE_MINUTES
  end)
  :process {
    name = "top-routes",
    stores = { "late-by-route" },
    init = function(ctx)
      ctx:every("1d", "stream", function(now) report(ctx, now) end)
    end,
    process = function(carrier, flight, rec, ctx)
      local key = ("%06d %s-%s"):format(rec.timestamp // DAY_MS, flight.origin, flight.dest)
      ctx.stores["late-by-route"]:put(key, (ctx.stores["late-by-route"]:get(key) or 0) + 1)
    end,
  }
  :to("late-routes")
