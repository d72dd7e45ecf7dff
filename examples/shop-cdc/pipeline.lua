-- Three tables of a shop, captured as they change, joined, summed up, and written into the schema `report`.
local tm = require "tidemill"

local app = tm.app "shop-cdc"
local database = tm.env "SHOP_DATABASE" or "postgresql:///shop"

local changes = app:source("shop", tm.connect.postgres {
  url = database,
  tables = { "shop.customers", "shop.orders", "shop.order_items" },
  slot = "shop_cdc",
})

-- The rows of one table by their primary key, which change events have as an object: {"id":7}. A change without a value
-- is the tombstone that follows a deletion; `unwrap` makes one of the deletion itself.
local function rows_of(name)
  return changes
    :filter(function(key, change) return change ~= nil and change.source.table == name end)
    :unwrap()
    :select_key(function(key) return tostring(key.id) end)
    :to_table { store = name }
end

local customers, orders, items = rows_of "customers", rows_of "orders", rows_of "order_items"

-- Pieces and cents per order. A row that is changed or deleted is taken out again by `sub`.
local totals = items
  :group_by(function(id, item)
    return tostring(item.order_id), { pieces = item.quantity, cents = item.quantity * item.price_cents }
  end)
  :aggregate {
    store = "order-totals",
    init = function() return { lines = 0, pieces = 0, cents = 0 } end,
    add = function(order, item, sum)
      return { lines = sum.lines + 1, pieces = sum.pieces + item.pieces, cents = sum.cents + item.cents }
    end,
    sub = function(order, item, sum)
      if sum.lines == 1 then return nil end
      return { lines = sum.lines - 1, pieces = sum.pieces - item.pieces, cents = sum.cents - item.cents }
    end,
  }

local sales = orders
  :filter(function(id, order) return order.status ~= "cancelled" end)
  :join(totals, function(id, order, total)
    return { customer = order.customer_id, pieces = total.pieces, cents = total.cents }
  end)
  :join(customers, function(id, sale, customer)
    return { customer = customer.name, country = customer.country, pieces = sale.pieces, cents = sale.cents }
  end, { foreign_key = function(id, sale) return tostring(sale.customer) end, store = "sales" })

sales
  :sink("sales", tm.connect.postgres { url = database, table = "report.sales", key = { "id" }, delete = true })

sales
  :group_by(function(id, sale) return sale.country, { pieces = sale.pieces, cents = sale.cents } end)
  :aggregate {
    store = "countries",
    emit = "commit",
    init = function() return { sales = 0, pieces = 0, cents = 0 } end,
    add = function(country, sale, sum)
      return { sales = sum.sales + 1, pieces = sum.pieces + sale.pieces, cents = sum.cents + sale.cents }
    end,
    sub = function(country, sale, sum)
      if sum.sales == 1 then return nil end -- the last one: the country is deleted from the report
      return { sales = sum.sales - 1, pieces = sum.pieces - sale.pieces, cents = sum.cents - sale.cents }
    end,
  }
  :sink("countries", tm.connect.postgres { url = database, table = "report.countries", key = { "country" }, delete = true })
