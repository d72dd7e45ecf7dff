-- Messages of the building blocks, and checking what the user gave them.
local core, dsl = ...

-- What the user's proxies stand for: fields of an object by its proxy.
dsl.data = setmetatable({}, { __mode = "k" })
local data = dsl.data

-- ---- messages ----

local function quote(text)
  return '"' .. tostring(text) .. '"'
end

-- What a value is, in words: "a function", "a stream".
local function what(value)
  local known = data[value]
  if known then return known.class.article end
  local kind = type(value)
  if kind == "nil" then return "nothing" end
  if kind == "string" then return "the string " .. quote(value) end
  if kind == "number" or kind == "boolean" then return "the " .. kind .. " " .. tostring(value) end
  return "a " .. kind
end

local function building(method)
  if core.phase() ~= "building" then
    core.fail(method .. " builds the topology and can't be called inside a callback or after building; "
      .. "call it at the top level of the script")
  end
end

local function later(name)
  core.fail(name .. " is not available in this version")
end

local function suggest(name, names)
  local nearest = type(name) == "string" and core.nearest(name, names)
  return nearest and ("; did you mean " .. quote(nearest) .. "?") or ""
end

local function names_of(map)
  local names = {}
  for name in pairs(map) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

-- ---- checking arguments ----

local function need_function(method, value, argument)
  if type(value) ~= "function" then
    core.fail(method .. " needs a function" .. (argument and (" as " .. argument) or "") .. ", got " .. what(value))
  end
  return value
end

-- Names of stores, nodes and topics become topic names, so they obey Kafka's rule for these.
local function need_name(method, role, value)
  if type(value) ~= "string" then
    core.fail(method .. " needs a " .. role .. " as a string, got " .. what(value))
  end
  if #value == 0 or #value > 249 or value:find("[^%w%._%-]") or value == "." or value == ".." then
    core.fail(method .. ": the " .. role .. " " .. quote(value)
      .. " is not usable: letters, digits, '.', '_' and '-' make a name of at most 249 characters")
  end
  return value
end

-- The option table of a method: a table with known names only, or nil.
local function options_of(method, options, allowed)
  if options == nil then return {} end
  if type(options) ~= "table" or data[options] then
    core.fail(method .. " takes its options as a table, got " .. what(options))
  end
  local known = {}
  for _, name in ipairs(allowed) do known[name] = true end
  for name in pairs(options) do
    if not known[name] then
      core.fail(method .. " has no option " .. quote(name) .. suggest(name, allowed))
    end
  end
  return options
end

local function codec_option(options, field, inherited)
  if options[field] == nil then return inherited end
  return core.codec(options[field])
end

local POLICIES = { fail = true, skip = true, dead_letter = true }

local function policy_of(method, on_error)
  if on_error == nil or type(on_error) == "function" or POLICIES[on_error] then return on_error end
  core.fail(method .. ': on_error is "fail", "skip", "dead_letter" or a function, got ' .. what(on_error)
    .. suggest(on_error, { "fail", "skip", "dead_letter" }))
end

-- The names of options that all nodes have, and more.
local function with(common, ...)
  local all = { "name", "on_error" }
  for _, name in ipairs(common) do all[#all + 1] = name end
  for _, name in ipairs { ... } do all[#all + 1] = name end
  return all
end

dsl.quote, dsl.what, dsl.building, dsl.later, dsl.suggest, dsl.names_of = quote, what, building, later, suggest, names_of
dsl.need_function, dsl.need_name, dsl.options_of = need_function, need_name, options_of
dsl.codec_option, dsl.policy_of, dsl.with = codec_option, policy_of, with
