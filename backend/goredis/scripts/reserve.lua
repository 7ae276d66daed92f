-- Decides a batch of requests as quick.lua says, in their order, each all or nothing.
local REQUEST, LIMIT, DECISION = '<I4Bdd', '<I4ddd', '<BI4Bdd'
local UNLIMITED, HELD_BY, IN_TURN = 1, 2, 4
local REFUSED, GRANTED, FOREIGN = 0, 1, 2
local MAX_SPAN = 100 * 365 * 86400 * 1000000
local MAX_QUEUE = 10 * 1000000 -- turns are given this far ahead at most

local mixed = {} -- the keys that had other params, with their intervals

-- rebase is gcra.State.Rebase: debt is counted in events and measured in the
-- new interval t, at most 100 years.
local function rebase(k, t)
  local old = interval[k]
  if old == 0 or old == t then
    return
  end
  mixed[#mixed + 1] = pack('<I4dd', k, old, t)
  local from = max(now, last[k])
  local debt = tat[k] - from
  if debt > 0 then
    local events = floor(debt / old)
    local part = (debt - events * old) * t
    if part < 2^53 then
      part = ceil(part / old)
    else
      part = ceil(part / old) + 1 -- the product was rounded, maybe down
    end
    tat[k] = from + min(events * t + part, MAX_SPAN)
    changed[k] = true
  end
  interval[k] = t
  seal(k)
end

-- outdated tells whether a record makes no difference any more when it is forgotten.
local function outdated(slot, cost, count)
  if cost == 0 then
    return slot <= now
  end
  return last_of(slot, cost, count) < now - RECALL
end

-- keep puts the latest record with the older ones, less those that are too old. If one
-- that it comes to is none, no charge can be taken back.
local function keep(k)
  local slot, cost, count, records, at = slot1[k], cost1[k], count1[k], older[k], 1
  while at < #records do
    local s, c, n = parse(RECORD, records, at)
    if not is_record(now, s, c, n) then
      seal(k)
      return keep(k)
    end
    if not outdated(s, c, n) then
      break
    end
    base[k] = after(base[k], s, c, n)
    at = at + RECORD_SIZE
  end
  if at > #records and outdated(slot, cost, count) then
    base[k], older[k] = after(base[k], slot, cost, count), ''
    return
  end
  records = string.sub(records, at) .. pack(RECORD, slot, cost, count)
  if #records > MOST * RECORD_SIZE then
    local s1, c1, n1, s2, c2, n2, rest = parse('<dddddd', records)
    if not is_record(now, s2, c2, n2) then
      seal(k)
      return keep(k)
    end
    records = pack(RECORD, fold(k, s1, c1, n1, s2, c2, n2)) .. string.sub(records, rest)
  end
  older[k] = records
end

-- record notes a charge.
local function record(k, t, slot, cost)
  if tat[k] <= now or interval[k] ~= t then
    seal(k) -- what has been paid for, or was of other params
  end
  local n = count1[k]
  if cost1[k] == cost and n > 0 and slot == slot1[k] then
    count1[k] = n + 1
  elseif cost1[k] == cost and n <= 1 and slot == slot1[k] + abs(n) * cost then
    count1[k] = -abs(n) - 1
  else
    keep(k)
    slot1[k], cost1[k], count1[k] = slot, cost, 1
  end
end

load()

local requests = ARGV[1]
local at, size = 1, #requests
local out = { pack('<d', now) }
local at_once = pack(DECISION, GRANTED, 0, 0, now, now) -- the usual decision
local asked = {} -- the turns given in this batch
local key, step, room, cost, opens = {}, {}, {}, {}, {} -- of the limits of a request

-- wastes tells whether a slot that one limit puts off would leave a slot of
-- another unused, for which others have turns.
local function wastes(slot, limits)
  for i = 1, limits do
    local k = key[i]
    if tat[k] and turn[k] > now and slot - max(now, opens[i]) >= step[i] then
      return true
    end
  end
  return false
end

-- turn_of gives a turn for the limit with index i of a request, which would open
-- at slot: one for a batch. Turns are as far apart as the slots that one who has a
-- turn takes at once, those of half a horizon; of single units, so that those who
-- want one do not wait behind those who save up for many. The first is when one unit
-- is open: a hold ends with a burst. How far ahead they are given is bounded, for
-- some who have turns do not come, or are no more.
local function turn_of(i, slot, horizon)
  local k, t = key[i], step[i]
  if not asked[k] then
    local apart = max(t, floor(horizon / 2 / t) * t)
    local first = max(tat[k], closed[k]) - room[i] - cost[i] + t
    turn[k] = max(first, min(turn[k] + apart, first + MAX_QUEUE))
    asked[k] = turn[k]
    changed[k] = true
  end
  return max(slot, asked[k])
end

while at <= size do
  local limits, flags, horizon, before
  limits, flags, horizon, before, at = parse(REQUEST, requests, at)
  local slot, binding, held, wrong = now + before, 0, 0, 0
  for i = 1, limits do
    local k, t, full, charge
    k, t, full, charge, at = parse(LIMIT, requests, at)
    key[i], step[i], room[i], cost[i] = k, t, full - charge, charge
    if foreign[k] then
      wrong = i
    elseif tat[k] then
      if flags % 2 ~= UNLIMITED then
        -- Kept even if the request is refused: rebased anew at a later now, the
        -- slot that a refusal names would move away from it.
        rebase(k, t)
      end
      local open, shut = tat[k] - room[i], closed[k]
      if shut > open then
        open = shut
      end
      opens[i] = open
      if open > slot then
        slot, binding, held = open, i, open == shut and 1 or 0
      end
    end
  end
  if flags % IN_TURN >= HELD_BY then
    local n, k
    n, at = parse('<I4', requests, at)
    for _ = 1, n do
      k, at = parse('<I4', requests, at)
      if (closed[k] or 0) > slot then
        slot, binding, held = closed[k], 0, 1
      end
    end
  end
  local answer, again = REFUSED, slot
  if wrong > 0 then
    answer, binding = FOREIGN, wrong
  elseif slot - now <= horizon and not (binding > 0 and flags >= IN_TURN and flags % 2 ~= UNLIMITED and wastes(slot, limits)) then
    answer = GRANTED
    for i = 1, limits do
      local k, t = key[i], step[i]
      local a = tat[k]
      if not a then
        tat[k], last[k], closed[k], turn[k] = slot + cost[i], slot, 0, 0
        base[k], slot1[k], cost1[k], count1[k], older[k] = 0, slot, cost[i], 1, ''
      else
        if a - room[i] + cost[i] + horizon < now then
          turn[k] = 0 -- it has been idle: those who had turns are gone
        end
        record(k, t, slot, cost[i])
        tat[k] = max(a, slot) + cost[i]
        last[k] = max(last[k], slot)
      end
      interval[k] = t
      changed[k] = true
    end
  elseif flags >= IN_TURN and binding > 0 and slot - now > horizon and step[binding] <= MAX_QUEUE then
    -- A slower limit gives no turns: all ask for its slot, once in a long time.
    again = turn_of(binding, slot, horizon)
  end
  if answer == GRANTED and binding == 0 and slot == now then
    out[#out + 1] = at_once
  else
    out[#out + 1] = pack(DECISION, answer, binding, held, slot, again)
  end
end

save(tonumber(ARGV[2]))
if mixed[1] then
  out[#out + 1] = table.concat(mixed)
end
return table.concat(out)
