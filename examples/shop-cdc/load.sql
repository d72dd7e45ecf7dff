-- What the shop has sold before the pipeline begins: 1,000 customers, 10,000 orders, 30,000 items.
INSERT INTO shop.customers (name, country)
    SELECT 'customer ' || n, (ARRAY['Chile', 'France', 'Ghana', 'India', 'Japan', 'Norway'])[1 + n * n % 6]
    FROM generate_series(1, 1000) AS n;

INSERT INTO shop.orders (customer_id, status, placed_at)
    SELECT 1 + n * 7919 % 1000, (ARRAY['shipped', 'shipped', 'placed', 'cancelled'])[1 + n % 4],
        timestamptz '2026-01-01 00:00+00' + n * interval '7 minutes'
    FROM generate_series(1, 10000) AS n;

INSERT INTO shop.order_items (order_id, product, quantity, price_cents)
    SELECT 1 + n % 10000, 'product ' || n % 97, 1 + n % 5, 100 + n * 7919 % 9900
    FROM generate_series(1, 30000) AS n;
