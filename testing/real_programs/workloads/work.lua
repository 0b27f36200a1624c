-- Work for the allocator through Lua: prints check sums that depend on every value that was computed.
local mode, rounds = arg[1], tonumber(arg[2])
collectgarbage(mode)

local state = 12345
local function random(n)
  state = (state * 1103515245 + 12345) % 2147483648
  return state // 65536 % n + 1
end

local function checksum(text)
  local sum = 0
  for i = 1, #text do sum = (sum * 31 + text:byte(i)) % 4294967291 end
  return sum
end

-- Binary trees: many small tables that die together.
local function tree(depth)
  if depth == 0 then return {} end
  return {tree(depth - 1), tree(depth - 1)}
end
local function count(node) return node[1] and 1 + count(node[1]) + count(node[2]) or 1 end

-- Tables that grow by doubling, with keys of both kinds.
local function grow(n)
  local words, list = {}, {}
  for i = 1, n do
    local word = string.format("k%d", random(n))
    words[word] = (words[word] or 0) + i
    list[#list + 1] = word .. i
  end
  table.sort(list)
  local parts = {}
  for i = 1, #list, 97 do parts[#parts + 1] = list[i] .. ":" .. (words[list[i]:match("^k%d+")] or 0) end
  return table.concat(parts, ",")
end

-- Strings of all lengths, through buffers that are reallocated as they grow.
local function strings(n)
  local pool = {}
  for i = 1, n do
    local text = string.rep(string.char(96 + random(26)), random(2000))
    pool[random(200)] = text:gsub("(%a)%1", "%1"):upper() .. text:sub(1, random(#text))
  end
  local all = {}
  for i = 1, 200 do all[i] = pool[i] or "" end
  return table.concat(all, "|")
end

local function coroutines(n)
  local threads, sum = {}, 0
  for i = 1, n do
    threads[i] = coroutine.create(function(a)
      local kept = {a, tostring(a)}
      while true do
        local b = coroutine.yield(#kept)
        kept[#kept + 1] = b .. kept[2]
      end
    end)
  end
  for turn = 1, 5 do
    for i = 1, n do
      local _, length = coroutine.resume(threads[i], i * turn)
      sum = (sum * 7 + length) % 1000003
    end
  end
  return sum
end

for round = 1, rounds do
  print(round, count(tree(15)), checksum(grow(40000)), checksum(strings(2000)), coroutines(4000))
end
