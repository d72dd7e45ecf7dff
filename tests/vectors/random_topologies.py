"""Pipelines and inputs by chance, for `run_vectors --agree N`: with and without restarts the same must come out.

Usage: random_topologies.py DIRECTORY SEED COUNT. Values are always { n = integer, u = text }, so that any operator fits
behind any other. Left out is what may differ after a restart: timers on the wall clock, emit = "commit", and variables of
the script.
"""
import json
import os
import random
import sys

KEYS = ["a", "b", "c", "d"]
GROUPS = ["x", "y", "z"]


class Pipeline:
    def __init__(self, rng):
        self.rng = rng
        self.lines = []
        self.names = 0
        self.topics = {}  # topic -> kind, of the inputs
        self.windowed = False

    def name(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    def local(self, text):
        name = self.name("v")
        self.lines.append(f"local {name} = {text}")
        return name

    # ---- sources ----

    def stream(self):
        topic = self.rng.choice(["s1", "s2"])
        if topic not in self.topics:
            self.topics[topic] = self.local(f'app:stream("{topic}")')
        return self.topics[topic]

    def table(self):
        topic = self.rng.choice(["t1", "t2", "t3"])
        if topic not in self.topics:
            self.topics[topic] = self.local(f'app:table("{topic}", {{ store = "{topic}" }})')
        return self.topics[topic]

    def global_table(self):
        if "g" not in self.topics:
            self.topics["g"] = self.local('app:global_table("g", { store = "g" })')
        return self.topics["g"]

    # ---- windows ----

    def window(self):
        rng = self.rng
        grace = rng.choice(["0s", "2s", "7s"])
        kind = rng.choice(["tumbling", "hopping", "sliding", "session"])
        if kind == "hopping":
            return kind, f'tm.hopping("{rng.choice([6, 10])}s", "{rng.choice([2, 3, 5])}s", {{ grace = "{grace}" }})'
        return kind, f'tm.{kind}("{rng.choice([3, 5, 10])}s", {{ grace = "{grace}" }})'

    def emit(self):
        return self.rng.choice(["", ', emit = "final"'])

    # ---- from streams ----

    def aggregation(self, grouped, options="", merge=False):
        store = self.name("store")
        kind = self.rng.choice(["count", "reduce", "aggregate"])
        if kind == "count":
            table = self.local(f'{grouped}:count {{ store = "{store}"{options} }}')
            return self.local(f'{table}:map_values(function(k, n) return {{ n = n, u = "c" }} end)'), table
        if kind == "reduce":
            drop = self.rng.choice(["", "if v.n == 3 then return nil end "])
            table = self.local(f'{grouped}:reduce {{ store = "{store}"{options}, add = function(a, v) {drop}'
                               'return { n = a.n + v.n, u = v.u } end }')
            return table, table
        merging = ", merge = function(k, a, b) return { n = a.n + b.n, u = a.u .. b.u } end" if merge else ""
        table = self.local(f'{grouped}:aggregate {{ store = "{store}"{options}, '
                           'init = function() return { n = 0, u = "" } end, '
                           'add = function(k, v, a) return { n = a.n * 2 + v.n, u = (a.u .. v.u):sub(-9) } end'
                           f'{merging} }}')
        return table, table

    def group(self, stream):
        return self.rng.choice([
            f"{stream}:group_by_key()", f"{stream}:group_by(function(k, v) return v and v.u or nil end)"])

    def count_windows(self, stream):
        kind, window = self.window()
        table, _ = self.aggregation(f"{self.group(stream)}:windowed_by({window})", self.emit(), kind == "session")
        if self.rng.random() < 0.3:
            table = self.local(f'{table}:suppress {{ store = "{self.name("held")}", until_window_closes = true }}')
        plain = self.local(f"{table}:to_stream()")
        return self.local(f'{plain}:map(function(w, v) return w.key, v and {{ n = v.n + w.window_start % 7, u = v.u }} '
                          'or nil end)')

    def from_stream(self, stream):
        rng = self.rng
        way = rng.choice(["filter", "map", "map_values", "flat_map", "branch", "windows", "windows", "windows", "table",
                          "to_table", "join_table", "join_stream", "join_stream", "join_global", "process",
                          "repartition", "merge"])
        if way == "filter":
            return self.local(f"{stream}:filter(function(k, v) return v == nil or v.n % 5 ~= 0 end)"), False
        if way == "map":
            return self.local(f"{stream}:map(function(k, v) return v and v.u or k, v end)"), False
        if way == "map_values":
            return self.local(f'{stream}:map_values(function(k, v) return v and {{ n = v.n + 1, u = v.u }} end)'), False
        if way == "flat_map":
            return self.local(f'{stream}:flat_map(function(k, v) return {{ {{ k, v }}, {{ "a", v }} }} end)'), False
        if way == "branch":
            one, other = self.name("b"), self.name("b")
            self.lines.append(f"local {one}, {other} = {stream}:branch(function(k, v) return v and v.n > 4 end, "
                              "function() return true end)")
            return self.local(f"{one}:merge({other}:filter(function(k, v) return v ~= nil end))"), False
        if way == "windows":
            return self.count_windows(stream), False
        if way == "table":
            return self.aggregation(self.group(stream))[0], True
        if way == "to_table":
            return self.local(f'{stream}:to_table {{ store = "{self.name("store")}" }}'), True
        if way == "join_table":
            how = rng.choice(["join", "left_join"])
            return self.local(f"{stream}:{how}({self.table()}, both, {{ name = \"{self.name('join')}\" }})"), False
        if way == "join_stream":
            how = rng.choice(["join", "left_join", "outer_join"])
            bounds = rng.choice(['within = "5s"', 'before = "3s", after = "8s"', 'after = "4s"'])
            grace = rng.choice(["", ', grace = "3s"'])
            return self.local(f'{stream}:{how}({self.stream()}, both, {{ {bounds}{grace}, '
                              f'store = "{self.name("store")}" }})'), False
        if way == "join_global":
            how = rng.choice(["join", "left_join"])
            return self.local(f"{stream}:{how}({self.global_table()}, both, "
                              "{ on = function(k, v) return v and v.u end })"), False
        if way == "process":
            return self.process(stream), False
        if way == "repartition":
            return self.local(f'{stream}:repartition {{ name = "{self.name("topic")}" }}'), False
        return self.local(f"{stream}:merge({self.stream()})"), False

    def process(self, stream):
        store, every = self.name("store"), self.rng.choice([2, 5, 11])
        ttl = self.rng.choice(["", ' = { ttl = "20s" }'])
        stores = f'{{ {store}{ttl} }}' if ttl else f'{{ "{store}" }}'
        return self.local(f"""{stream}:process {{ name = "{self.name('p')}", stores = {stores},
  init = function(ctx)
    ctx:every("{every}s", "stream", function(now)
      for k, v in ctx.stores.{store}:all() do ctx:forward(k, {{ n = v.n + now % 10, u = v.u }}) end
    end)
  end,
  process = function(k, v, rec, ctx)
    if k == nil then return end
    local old = ctx.stores.{store}:get(k)
    if v and v.n == 7 then ctx.stores.{store}:delete(k)
    elseif v then ctx.stores.{store}:put(k, {{ n = v.n + (old and old.n or 0), u = v.u }}) end
    ctx:forward(k, old and {{ n = old.n, u = old.u }} or v)
  end }}""")

    # ---- from tables ----

    def from_table(self, table):
        rng = self.rng
        kept = rng.choice(["", f', {{ store = "{self.name("store")}" }}'])
        way = rng.choice(["filter", "map_values", "group", "join", "foreign", "suppress", "to_stream", "to_stream"])
        if way == "filter":
            return self.local(f"{table}:filter(function(k, v) return v.n % 3 ~= 0 end{kept})"), True
        if way == "map_values":
            return self.local(f"{table}:map_values(function(k, v) if v.n == 6 then return nil end "
                              f"return {{ n = v.n + 1, u = v.u }} end{kept})"), True
        if way == "group":
            return self.local(f'{table}:group_by(function(k, v) return v.u, v end):aggregate {{ '
                              f'store = "{self.name("store")}", init = function() return {{ n = 0, u = "g" }} end, '
                              'add = function(k, v, a) return { n = a.n + v.n, u = v.u } end, '
                              'sub = function(k, v, a) return { n = a.n - v.n, u = v.u } end }'), True
        if way == "join":
            how = rng.choice(["join", "left_join", "outer_join"])
            return self.local(f"{table}:{how}({self.table()}, both{kept})"), True
        if way == "foreign":
            how = rng.choice(["join", "left_join"])
            return self.local(f"{table}:{how}({self.table()}, both, {{ foreign_key = function(k, v) return v.u end, "
                              f'store = "{self.name("fk")}" }})'), True
        if way == "suppress":
            return self.local(f'{table}:suppress {{ store = "{self.name("held")}", until_time_limit = "6s"'
                              f'{rng.choice(["", ", max_records = 2"])} }}'), True
        return self.local(f"{table}:to_stream()"), False

    def build(self):
        self.lines = ['local tm = require "tidemill"', 'local app = tm.app "random"',
                      "local function both(k, l, r)",
                      "  if l and r then return { n = l.n + r.n, u = l.u } end",
                      "  local one = l or r",
                      "  return one and { n = one.n, u = one.u } or nil", "end"]
        for number in range(self.rng.randint(1, 2)):
            is_table = self.rng.random() < 0.4
            node = self.table() if is_table else self.stream()
            for _ in range(self.rng.randint(1, 5)):
                node, is_table = (self.from_table if is_table else self.from_stream)(node)
            self.lines.append(f'{node}:to("out{number}")')
        return "\n".join(self.lines) + "\n"


def steps(rng, topics):
    at, result = rng.randint(0, 20000), []
    for _ in range(rng.randint(15, 60)):
        way = rng.random()
        if way < 0.6:
            at += rng.randint(0, 3000)
        elif way < 0.7:
            at += rng.randint(5000, 30000)
        late = rng.randint(0, 9000) if rng.random() < 0.25 else 0
        topic = rng.choice(topics)
        tables = topic[0] in "tg"
        key = rng.choice(GROUPS + KEYS if tables else KEYS + [None])
        value = None if rng.random() < 0.12 else {"n": rng.randint(0, 9), "u": rng.choice(GROUPS)}
        step = {"topic": topic, "key": key, "value": value, "at": max(0, at - late)}
        if rng.random() < 0.2:
            step["headers"] = [["h", str(rng.randint(0, 9))]]
        result.append({"send": step})
    return result


def main():
    directory, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    for name in ("topologies", "vectors"):
        os.makedirs(os.path.join(directory, name), exist_ok=True)
    for number in range(seed, seed + count):
        rng = random.Random(number)
        pipeline = Pipeline(rng)
        text = pipeline.build()
        with open(f"{directory}/topologies/random-{number}.lua", "w", encoding="utf-8") as file:
            file.write(text)
        vectors = [{"name": f"random-{number}/{i}", "topology": f"random-{number}.lua", "expect": [],
                    "steps": steps(rng, sorted(pipeline.topics))} for i in range(3)]
        with open(f"{directory}/vectors/random-{number}.json", "w", encoding="utf-8") as file:
            json.dump(vectors, file)


main()
