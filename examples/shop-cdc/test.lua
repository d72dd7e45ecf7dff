local t = require "tidemill.test"
local tm = require "tidemill"

-- The driver runs no connectors: what is sent to a source comes in, and what a sink is given comes out.
local function change(d, name, op, before, after)
  d:send("shop", { id = (after or before).id },
    { op = op, before = before or tm.null, after = after or tm.null, source = { table = name } })
end

local function open()
  local d = t.driver "pipeline.lua"
  change(d, "customers", "r", nil, { id = 1, name = "Ada", country = "France" })
  change(d, "orders", "r", nil, { id = 7, customer_id = 1, status = "placed" })
  change(d, "order_items", "c", nil, { id = 70, order_id = 7, quantity = 2, price_cents = 50 })
  return d
end

local function last(d, topic)
  d:commit()
  local values = d:values(topic)
  return values[#values]
end

t.test("an order with items is a sale, and counts for its customer's country", function()
  local d = open()
  t.equal(last(d, "sales"), { customer = "Ada", country = "France", pieces = 2, cents = 100 })
  t.equal(last(d, "countries"), { sales = 1, pieces = 2, cents = 100 })
end)

t.test("a changed item replaces what it was", function()
  local d = open()
  change(d, "order_items", "u", nil, { id = 70, order_id = 7, quantity = 5, price_cents = 50 })
  t.equal(last(d, "sales").cents, 250)
  t.equal(last(d, "countries"), { sales = 1, pieces = 5, cents = 250 })
end)

t.test("a customer who moves takes the sales along", function()
  local d = open()
  d:commit()
  d:records("countries")
  change(d, "customers", "u", nil, { id = 1, name = "Ada", country = "Ghana" })
  d:commit()
  local found = {}
  for _, record in ipairs(d:records("countries")) do found[record.key] = record.value or "gone" end
  t.equal(found, { France = "gone", Ghana = { sales = 1, pieces = 2, cents = 100 } })
end)

for _, case in ipairs {
  { "cancelled", "orders", "u", after = { id = 7, customer_id = 1, status = "cancelled" } },
  { "deleted", "orders", "d", before = { id = 7, customer_id = 1, status = "placed" } },
  { "emptied", "order_items", "d", before = { id = 70, order_id = 7, quantity = 2, price_cents = 50 } },
} do
  t.test("an order that is " .. case[1] .. " is no sale any more", function()
    local d = open()
    d:commit()
    change(d, case[2], case[3], case.before, case.after)
    t.equal(last(d, "sales"), tm.tombstone)
    t.equal(last(d, "countries"), tm.tombstone)
  end)
end
