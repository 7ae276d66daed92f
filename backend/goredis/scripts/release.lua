-- Gives a slot back: gcra.Ledger.Refund for each limit.
--
-- KEYS     the keys of the limits
-- ARGV[1]  the slot and the limits: see encodeRelease in codec.go
-- ARGV[2]  milliseconds for which a limit is kept beyond its debt
-- ARGV[3]  the channel on which limits that open earlier are published; empty: they are not
-- ARGV[4]  the beginning of a message, before the key
-- Returns the limits that took the slot back, by index in KEYS.

-- records returns the records of a limit, the oldest first, or nil if one of them is malformed.
local function records(k)
  local list, at = {}, 1
  while at < #older[k] do
    local r = {}
    r.slot, r.cost, r.count, at = parse(RECORD, older[k], at)
    if not is_record(now, r.slot, r.cost, r.count) then
      return nil
    end
    list[#list + 1] = r
  end
  list[#list + 1] = { slot = slot1[k], cost = cost1[k], count = count1[k] }
  return list
end

-- spaced puts a record of n charges one after another into a list.
local function spaced(list, i, slot, cost, n)
  if n > 0 then
    table.insert(list, i, { slot = slot, cost = cost, count = n > 1 and -n or 1 })
  end
end

-- remove removes the latest charge of that slot and cost from a list, and reports whether there was
-- one.
local function remove(list, slot, cost)
  for i = #list, 1, -1 do
    local r = list[i]
    local ahead = slot - r.slot
    if r.cost == cost and r.count > 0 and ahead == 0 then
      r.count = r.count - 1
      if r.count == 0 then
        table.remove(list, i)
      end
      return true
    elseif r.cost == cost and ahead >= 0 and ahead % cost == 0 and ahead / cost < -r.count then
      local n = ahead / cost
      table.remove(list, i)
      spaced(list, i, slot + cost, cost, -r.count - 1 - n)
      spaced(list, i, r.slot, cost, n)
      return true
    end
  end
  return false
end

-- replay computes the state of a limit from a list of records, and returns true. If that is more debt
-- than there was, the records are not of this limit, and replay does nothing.
local function replay(k, list)
  if #list > MOST + 1 then
    local a, b = table.remove(list, 1), list[1]
    b.slot, b.cost, b.count = fold(k, a.slot, a.cost, a.count, b.slot, b.cost, b.count)
  end
  local a, l, packed = base[k], 0, {}
  for i, r in ipairs(list) do
    a, l = after(a, r.slot, r.cost, r.count), max(l, last_of(r.slot, r.cost, r.count))
    packed[i] = pack(RECORD, r.slot, r.cost, r.count)
  end
  if a > tat[k] or l > last[k] then
    return false
  end
  local r = list[#list] or { slot = 0, cost = 0, count = 0 }
  packed[#packed] = nil
  tat[k], last[k], older[k] = a, l, table.concat(packed)
  slot1[k], cost1[k], count1[k] = r.slot, r.cost, r.count
  return true
end

load()
local given = {}
local slot, at = parse('<d', ARGV[1])
for k = 1, #KEYS do
  local t, cost
  t, cost, at = parse('<dd', ARGV[1], at)
  if tat[k] and interval[k] == t then
    local list = records(k)
    if list and remove(list, slot, cost) and replay(k, list) then
      changed[k] = true
      given[#given + 1] = k
    end
  end
end
save(tonumber(ARGV[2]))
if ARGV[3] ~= '' then
  for _, k in ipairs(given) do
    redis.pcall('PUBLISH', ARGV[3], ARGV[4] .. KEYS[k]) -- or nobody is told
  end
end
return given
