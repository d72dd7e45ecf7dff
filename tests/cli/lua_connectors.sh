#!/usr/bin/env bash
# Sources and sinks of the script's own: tm.source and tm.sink, by the whole program.
. "$(dirname "$0")/lib.sh"

# Two tasks read the odd and the even lines of a file; two more write lines with a position in front, replaced as a
# whole, so that position and content move in one step.
write_copy() {
    cat > copy.lua <<'END'
local tm = require "tidemill"
local app = tm.app { id = "copy", commit_ms = 20 }

local function next_line(self)
  repeat
    local line = self.file:read "n"
    if line and line % 2 == self.task then return line end
  until not line
end

app:source("lines", tm.source {
  tasks = 2, poll_ms = 10, key = tm.string,
  start = function(self, position, about)
    self.done, self.task = position and position.done or 0, about.task
    self.file = assert(io.open("in.txt"))
    for _ = 1, self.done do assert(next_line(self)) end
  end,
  poll = function(self)
    local records = {}
    while #records < 50 do
      local line = next_line(self)
      if not line then break end
      records[#records + 1] = { key = "k" .. line % 5, value = { line = line } }
    end
    self.done = self.done + #records
    return records, { done = self.done }
  end,
  close = function(self) self.file:close() end,
}):sink("out", tm.sink {
  tasks = 2, batch = 100,
  start = function(self, about) self.path = "out." .. about.task end,
  position = function(self)
    local file = io.open(self.path)
    if not file then return nil end
    self.text = file:read "a"
    file:close()
    return math.tointeger(self.text:match "^(%d+)\n")
  end,
  write = function(self, records, from, to)
    local lines = { self.text and self.text:match "^%d+\n(.*)$" or "" }
    for _, record in ipairs(records) do lines[#lines + 1] = record.key .. " " .. record.value.line .. "\n" end
    self.text = to .. "\n" .. table.concat(lines)
    local file = assert(io.open(self.path .. ".new", "w"))
    assert(file:write(self.text))
    assert(file:close())
    assert(os.rename(self.path .. ".new", self.path))
  end,
})
END
}

expected() { awk '{ print "k" $1 % 5, $1 }' in.txt | sort; }
written() { cat out.0 out.1 2> /dev/null | awk 'NF == 2' | sort; }
grown_to() { [ "$(written | wc -l)" -ge "$1" ]; }

# Lines of each key in the order of their task's file.
in_order() {
    cat out.0 out.1 | awk 'NF == 2 { key = $1 " " $2 % 2; if (key in last && $2 <= last[key]) bad = 1; last[key] = $2 }
        END { exit bad }'
}

test_lines_go_through_once() {
    write_copy
    seq 1000 > in.txt
    status 0 tm run copy.lua --until-end
    same "$(expected)" "$(written)"
    in_order
    status 0 tm run copy.lua --until-end
    same "$(expected)" "$(written)"
}

test_nothing_is_lost_or_doubled_by_kills() {
    local at
    write_copy
    seq 6000 > in.txt
    for at in 300 1500 2200 3000; do
        "$PROGRAM" run copy.lua > log 2>&1 &
        await grown_to $at || { cat log; return 1; }
        kill -9 $!
        wait $! || true
    done
    status 0 tm run copy.lua --until-end
    same "$(expected)" "$(written)"
    in_order
}

test_an_error_is_tried_again_and_visible() {
    cat > away.lua <<'END'
local tm = require "tidemill"
local app = tm.app "away"
app:source("numbers", tm.source {
  retry_ms = 10, poll_ms = 10,
  start = function(self, position) self.at = position or 0 end,
  poll = function(self)
    local file = io.open "ready" or error "the file ready is missing"
    file:close()
    self.at = self.at + 1
    return self.at <= 5 and { { value = self.at } } or {}, self.at
  end,
}):to "numbers"
END
    "$PROGRAM" run away.lua --until-end > log 2>&1 &
    await grep -q 'the file ready is missing' log
    touch ready
    wait $!
    same "1 2 3 4 5" "$(tm consume numbers --format value | xargs)"
}

test_a_fatal_error_ends_the_process_with_its_text() {
    cat > fatal.lua <<'END'
local tm = require "tidemill"
local app = tm.app "fatal"
app:source("numbers", tm.source {
  start = function(self) error { fatal = "The queue was deleted; make it again." } end,
  poll = function(self) end,
}):to "numbers"
END
    status 5 tm run fatal.lua --until-end
    says "The queue was deleted; make it again"
    says "Do what the connector's message asks for, then start again."
}

test_a_refused_record_is_a_dead_letter() {
    cat > refuse.lua <<'END'
local tm = require "tidemill"
local app = tm.app { id = "refuse", on_error = "dead_letter" }
app:stream("in"):sink("out", tm.sink {
  position = function(self)
    local file = io.open "position"
    local position = file and file:read "n"
    if file then file:close() end
    return position
  end,
  write = function(self, records, from, to)
    for i, record in ipairs(records) do
      if record.value.n == 3 then error { bad = i, reason = "Three is not wanted here." } end
    end
    local file = assert(io.open("out", "a"))
    for _, record in ipairs(records) do file:write(record.value.n, "\n") end
    file:close()
    file = assert(io.open("position", "w"))
    file:write(to)
    file:close()
  end,
})
END
    tm topics create in --partitions 1
    for n in 1 2 3 4 5; do echo "{\"n\":$n}"; done | tm produce in
    status 0 tm run refuse.lua --until-end
    same "1 2 4 5" "$(xargs < out)"
    status 0 tm consume refuse-dead-letter --format json
    says "Three is not wanted here"
}

# Without a position of its own a sink begins where the group stands.
test_a_sink_without_position_goes_on_behind_the_last_commit() {
    cat > append.lua <<'END'
local tm = require "tidemill"
local app = tm.app "append"
app:stream("in"):sink("out", tm.sink {
  retry_ms = 10,
  write = function(self, records)
    if not os.rename("ready", "ready") then
      io.open("waits", "w"):close()
      error "not ready"
    end
    local file = assert(io.open("out", "a"))
    for _, record in ipairs(records) do file:write(record.value, "\n") end
    file:close()
  end,
})
END
    tm topics create in --partitions 1
    touch ready
    seq 5 | tm produce in
    status 0 tm run append.lua --until-end
    same "1 2 3 4 5" "$(xargs < out)"
    status 0 tm run append.lua --until-end
    same "1 2 3 4 5" "$(xargs < out)"
    rm ready
    seq 6 9 | tm produce in
    "$PROGRAM" run append.lua --until-end > log 2>&1 &
    await test -e waits
    touch ready
    wait $!
    same "1 2 3 4 5 6 7 8 9" "$(xargs < out)"
}

# rec.topic is where a connector says that the record is from: a file's path, what a source in Lua names, or its own name.
test_callbacks_see_where_records_are_from() {
    cat > origin.lua <<'END'
local tm = require "tidemill"
local app = tm.app "origin"
local function named(stream)
  stream:map_values(function(key, value, rec) return { n = value.n, from = rec.topic } end):to "out"
end
named(app:source("lines", tm.connect.file { path = "in.jsonl" }))
named(app:source("numbers", tm.source {
  start = function(self, position) self.done = position end,
  poll = function(self)
    if self.done then return {} end
    self.done = true
    return { { value = { n = 2 }, topic = "public.orders" }, { value = { n = 3 } } }, true
  end,
}))
END
    echo '{"n":1}' > in.jsonl
    status 0 tm run origin.lua --until-end
    same '{"from":"in.jsonl","n":1} {"from":"numbers","n":3} {"from":"public.orders","n":2}' \
        "$(tm consume out --format value | sort | xargs -d '\n')"
}

run_tests
