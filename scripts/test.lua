-- What `require "tidemill.test"` gives to test files: declaring tests, comparing, and drivers of pipelines.
--
-- `core` (bind_test.c): declare(name), driver(path, partitions) -> driver, newest() -> mark, close_after(mark),
-- topology(path) -> text, place() -> "file.lua:12", seed(), tombstone, null, is_list(table), copy(value). It keeps `run`,
-- the second result of this chunk, which runs one test.
local core = ...

local t = {}
local functions = {} -- of the tests, in order

-- ---- showing values ----

local MAX_SHOWN = 400   -- characters of a value in a message
local MAX_DIFFERENCES = 10

local function is_name(key)
  return type(key) == "string" and key:find("^[%a_][%w_]*$") ~= nil
end

-- Keys in a fixed order: positions first, then names.
local function keys_of(value)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if math.type(a) and math.type(b) then return a < b end
    if math.type(a) or math.type(b) then return math.type(a) ~= nil end
    return tostring(a) < tostring(b)
  end)
  return keys
end

local show

local function show_table(value, depth)
  if depth > 20 then return "{ ... }" end
  local parts, count = {}, #value
  for i, item in ipairs(value) do parts[i] = show(item, depth + 1) end
  for _, key in ipairs(keys_of(value)) do
    if not (math.type(key) == "integer" and key >= 1 and key <= count) then
      local name = is_name(key) and key or "[" .. show(key, depth + 1) .. "]"
      parts[#parts + 1] = name .. " = " .. show(value[key], depth + 1)
    end
  end
  if #parts == 0 then return core.is_list(value) and "list {}" or "{}" end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

function show(value, depth)
  if type(value) == "string" then return (string.format("%q", value):gsub("\\\n", "\\n")) end
  if type(value) == "table" then return show_table(value, depth or 0) end
  if value == core.null then return "tm.null" end
  if value == core.tombstone then return "tm.tombstone" end
  return tostring(value)
end

local function shown(value)
  local text = show(value)
  return #text <= MAX_SHOWN and text or text:sub(1, MAX_SHOWN) .. " ..."
end

-- ---- comparing ----

local function is_json(value)
  return type(value) == "userdata" and value ~= core.null and value ~= core.tombstone
end

-- Tables by content, JSON values like tables, everything else by ==. An empty table equals an empty list, unless it is
-- a tm.list that is expected.
local function differences(path, actual, expected, list, seen)
  if is_json(actual) then actual = core.copy(actual) end
  if is_json(expected) then expected = core.copy(expected) end
  if actual == expected or (actual ~= actual and expected ~= expected) then return end
  if type(actual) ~= "table" or type(expected) ~= "table" then
    list[#list + 1] = { path = path, actual = actual, expected = expected }
    return
  end
  if seen[actual] == expected then return end
  seen[actual] = expected
  if next(actual) == nil and next(expected) == nil and core.is_list(expected) and not core.is_list(actual) then
    list[#list + 1] = { path = path, actual = actual, expected = expected }
  end
  local keys = {}
  for key in pairs(expected) do keys[key] = true end
  for key in pairs(actual) do keys[key] = true end
  for _, key in ipairs(keys_of(keys)) do
    local step = is_name(key) and (path == "" and key or "." .. key) or "[" .. show(key) .. "]"
    differences(path .. step, actual[key], expected[key], list, seen)
  end
end

-- Texts of several lines: the first line that differs.
local function describe_lines(at, actual, expected)
  local line, rest = 0, expected .. "\n"
  for got in (actual .. "\n"):gmatch("(.-)\n") do
    local wanted, from = rest:match("^(.-)\n()")
    line = line + 1
    if got ~= wanted then
      return string.format("  %s, line %d: expected %s, got %s", at, line, shown(wanted), shown(got))
    end
    rest = rest:sub(from)
  end
  return string.format("  %s, line %d: is missing, expected %s", at, line + 1, shown(rest:match("^(.-)\n")))
end

local function describe(difference)
  local at = difference.path == "" and "the value" or difference.path
  if difference.actual == nil then
    return string.format("  %s: is missing, expected %s", at, shown(difference.expected))
  elseif difference.expected == nil then
    return string.format("  %s: is not expected, got %s", at, shown(difference.actual))
  elseif type(difference.actual) == "string" and type(difference.expected) == "string"
    and (difference.actual .. difference.expected):find("\n", 1, true) then
    return describe_lines(at, difference.actual, difference.expected)
  end
  return string.format("  %s: expected %s, got %s", at, shown(difference.expected), shown(difference.actual))
end

-- ---- failing ----

local failure_meta = { __name = "failure", __tostring = function(self) return self.text end }

-- Ends the test. The text may have several lines; the place goes before the first.
local function fail(text)
  error(setmetatable({ text = core.place() .. ": " .. text }, failure_meta), 0)
end

function t.fail(message)
  fail(message ~= nil and tostring(message) or "the test failed")
end

function t.equal(actual, expected, message)
  local list = {}
  differences("", actual, expected, list, {})
  if #list == 0 then return end
  local lines = { (message and tostring(message) .. ": " or "") .. "the values differ" }
  for i, difference in ipairs(list) do
    if i > MAX_DIFFERENCES then
      lines[#lines + 1] = string.format("  ... and %d more differences", #list - MAX_DIFFERENCES)
      break
    end
    lines[#lines + 1] = describe(difference)
  end
  if list[1].path ~= "" then
    lines[#lines + 1] = "  expected: " .. shown(expected)
    lines[#lines + 1] = "  got:      " .. shown(actual)
  end
  fail(table.concat(lines, "\n"))
end

-- Calls the function, which must raise an error whose text contains `part` (no pattern), and returns the text.
function t.throws(fn, part)
  if type(fn) ~= "function" then fail("t.throws needs a function, got a " .. type(fn)) end
  if part ~= nil and type(part) ~= "string" then fail("t.throws needs the expected text as a string") end
  local ok, problem = pcall(fn)
  if ok then
    fail("an error was expected" .. (part and " that says " .. show(part) or "") .. ", but there was none")
  end
  local text = tostring(problem)
  if part and not text:find(part, 1, true) then
    fail("an error was expected that says " .. show(part) .. "\n  got: " .. text)
  end
  return text
end
t.error = t.throws

-- ---- properties ----

-- What `any` is in the generator of t.for_all: values by chance, the same ones for the same seed (SplitMix64).
local any_methods = {}
local any_meta = { __name = "any", __index = any_methods }

local function next_bits(any)
  any.state = any.state + 0x9E3779B97F4A7C15
  local bits = any.state
  bits = (bits ~ (bits >> 30)) * 0xBF58476D1CE4E5B9
  bits = (bits ~ (bits >> 27)) * 0x94D049BB133111EB
  return bits ~ (bits >> 31)
end

local function check_bounds(method, low, high)
  if math.type(low) ~= "integer" or math.type(high) ~= "integer" or low > high then
    error(method .. " needs two integers, the smaller first", 3)
  end
end

function any_methods.integer(any, low, high)
  check_bounds("any:integer", low, high)
  local width = high - low + 1
  if width <= 0 then return low + (next_bits(any) & math.maxinteger) end
  return low + (next_bits(any) & math.maxinteger) % width
end

function any_methods.boolean(any)
  return next_bits(any) & 1 == 1
end

function any_methods.pick(any, list)
  if type(list) ~= "table" or #list == 0 then error("any:pick needs a list with something in it", 2) end
  return list[any:integer(1, #list)]
end

function any_methods.list(any, low, high, fn)
  check_bounds("any:list", low, high)
  if type(fn) ~= "function" then error("any:list needs a function that makes an element", 2) end
  local list = {}
  for i = 1, any:integer(low, high) do list[i] = fn(i) end
  return list
end

function any_methods.text(any, low, high)
  local letters = any:list(low, high, function() return any:integer(97, 122) end)
  return string.char(table.unpack(letters))
end

-- Whether the property fails for the case, and with what. Drivers that it opened are closed.
local function fails(property, case)
  local mark = core.newest()
  local ok, problem = pcall(property, case)
  core.close_after(mark)
  return not ok, problem
end

local SMALLER_TRIES = 200

local function without(list, from, count)
  local rest = {}
  for i, item in ipairs(list) do
    if i < from or i >= from + count then rest[#rest + 1] = item end
  end
  return rest
end

-- Leaves out as many elements of a list as it can so that the property still fails.
local function make_smaller(property, case, problem)
  local size, tries = #case // 2, 0
  while size >= 1 do
    local from = 1
    while from <= #case and tries < SMALLER_TRIES do
      local smaller = without(case, from, size)
      local failed, reason = fails(property, smaller)
      tries = tries + 1
      if failed then
        case, problem = smaller, reason
      else
        from = from + size
      end
    end
    size = size // 2
  end
  return case, problem
end

local FOR_ALL_OPTIONS = { runs = true, seed = true }

-- Calls property(generator(any)) many times with values made by chance. A failure tells the seed that repeats it.
function t.for_all(generator, property, options)
  if type(generator) ~= "function" or type(property) ~= "function" then
    error("t.for_all needs a function that makes a case and one that checks it", 2)
  end
  for name in pairs(options or {}) do
    if not FOR_ALL_OPTIONS[name] then error("t.for_all has no option " .. show(name) .. "; it has runs and seed", 2) end
  end
  local runs = options and options.runs or 100
  local seed = options and options.seed or core.seed()
  local any = setmetatable({ state = seed }, any_meta)
  for number = 1, runs do
    local case = generator(any)
    local failed, problem = fails(property, case)
    if failed then
      if type(case) == "table" then case, problem = make_smaller(property, case, problem) end
      fail(string.format("run %d of %d with seed %d fails\n  case: %s\n  %s", number, runs, seed, shown(case),
        (tostring(problem):gsub("\n", "\n  "))))
    end
  end
end

-- ---- tests ----

function t.test(name, fn)
  if type(name) ~= "string" or name == "" then error("t.test needs a name for the test", 2) end
  if type(fn) ~= "function" then error("t.test needs a function, got a " .. type(fn), 2) end
  core.declare(name)
  functions[#functions + 1] = fn
end

function t.driver(path, options)
  if type(path) ~= "string" then error("t.driver needs the path of a pipeline, got a " .. type(path), 2) end
  if options ~= nil and type(options) ~= "table" then error("t.driver takes its options as a table", 2) end
  for name in pairs(options or {}) do
    if name ~= "partitions" then error("t.driver has no option " .. show(name) .. "; it has partitions", 2) end
  end
  return core.driver(path, options and options.partitions)
end

-- The topology of a pipeline as `tidemill graph` prints it, for comparing with what it was.
function t.topology(path)
  if type(path) ~= "string" then error("t.topology needs the path of a pipeline, got a " .. type(path), 2) end
  return core.topology(path)
end

setmetatable(t, {
  __index = function(_, name)
    error("tidemill.test has no function " .. show(name) .. "; it has test, driver, equal, throws, error, fail, for_all "
      .. "and topology", 2)
  end,
})

local function handle(problem)
  if getmetatable(problem) == failure_meta then return problem.text end
  local text, place = tostring(problem), core.place()
  if text:sub(1, #place) == place then return text end
  return place .. ": " .. text
end

-- nil, or why the test failed.
local function run(number)
  local ok, text = xpcall(functions[number], handle)
  return not ok and text or nil
end

return t, run
