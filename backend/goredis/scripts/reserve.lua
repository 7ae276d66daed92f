-- Decides a batch of requests as quick.lua says, in their order, each all or nothing.
local REQUEST, LIMIT, DECISION = '<I4BddI4I4B', '<I4ddd', '<BI4BddI4'
local UNLIMITED, HELD_BY, IN_TURN = 1, 2, 4
local REFUSED, GRANTED, FOREIGN = 0, 1, 2
local MAX_SPAN = 100 * 365 * 86400 * 1000000

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

-- outdated reports whether a record can be forgotten without any effect.
local function outdated(slot, cost, count)
  if cost == 0 then
    return slot <= now
  end
  return last_of(slot, cost, count) < now - RECALL
end

-- keep moves the latest record to the older ones, and drops those that are outdated. If one
-- of them is malformed, no charge can be taken back.
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
local answers = { pack('<d', now) }
local at_once = pack(DECISION, GRANTED, 0, 0, now, now, 0) -- the usual decision
local key, step, room, cost, opens = {}, {}, {}, {}, {} -- of the limits of a request
local refusals = {} -- that are to tell a turn

-- queues returns the first limit of which the member has taken its share, and the first at which
-- it is not its turn; 0: none. It also returns whether slots would go unused that others wait
-- for. A member may take slots out of turn if it is its turn at one of its limits.
local function queues(member, limits, slot, binding)
  local ahead, out, wastes, any_due = 0, 0, false, false
  for i = 1, limits do
    local k = key[i]
    if tat[k] and line[k] ~= '' then
      local least = others(k, member)
      if least then
        local had, due = may(visit(k, member), step[i], room[i], min(room[i], least))
        if had and ahead == 0 then
          ahead = i
        end
        if due then
          any_due = true
        elseif out == 0 then
          out = i
        end
        wastes = wastes or binding > 0 and slot - max(now, opens[i]) >= step[i]
      end
    end
  end
  if any_due then
    out = 0
  end
  return ahead, out, wastes
end

while at <= size do
  local limits, flags, horizon, before, member, reach, main
  limits, flags, horizon, before, member, reach, main, at = parse(REQUEST, requests, at)
  local slot, binding, held, wrong = now + before, 0, 0, 0
  for i = 1, limits do
    local k, t, full, charge
    k, t, full, charge, at = parse(LIMIT, requests, at)
    key[i], step[i], room[i], cost[i] = k, t, full - charge, charge
    if foreign[k] then
      wrong = i
    elseif tat[k] then
      if flags % 2 ~= UNLIMITED then
        -- Kept even if the request is refused. If each request rebased the key again
        -- at a later now, the slot of a refusal would keep moving.
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
  local answer, polite, far = REFUSED, flags >= IN_TURN and flags % 2 ~= UNLIMITED, slot - now > horizon
  local ahead, out, wastes = 0, 0, false
  if polite and wrong == 0 then
    ahead, out, wastes = queues(member, limits, slot, binding)
  end
  if wrong > 0 then
    answer, binding = FOREIGN, wrong
  elseif not far and ahead == 0 and out == 0 and not wastes then
    answer = GRANTED
    for i = 1, limits do
      local k, t = key[i], step[i]
      local a = tat[k]
      if not a then
        tat[k], last[k], closed[k], line[k] = slot + cost[i], slot, 0, ''
        base[k], slot1[k], cost1[k], count1[k], older[k] = 0, slot, cost[i], 1, ''
      else
        record(k, t, slot, cost[i])
        tat[k] = max(a, slot) + cost[i]
        last[k] = max(last[k], slot)
      end
      interval[k] = t
      changed[k] = true
    end
  elseif polite then
    if binding == 0 and held == 0 then
      binding = ahead
    end
    if not far and ahead == 0 and not wastes then
      binding, held = out, 0
    end
  end
  if answer == GRANTED and binding == 0 and slot == now then
    answers[#answers + 1] = at_once
  else
    answers[#answers + 1] = pack(DECISION, answer, binding, held, slot, slot, 0)
  end
  if answer == GRANTED then
    for i = 1, limits do
      local k = key[i]
      if line[k] ~= '' or visited[member * 65536 + k] then
        local v = visit(k, member)
        v.took, v.t = true, step[i]
      end
    end
  elseif polite and binding > 0 and answer == REFUSED then
    refused(member, limits, key, key[binding])
    local r = { at = #answers, member = member, reach = min(reach, MOST_REACH), binding = binding, held = held, main = main }
    r.key, r.step, r.room = {}, {}, {}
    for i = 1, limits do
      r.key[i], r.step[i], r.room[i] = key[i], step[i], room[i]
    end
    refusals[#refusals + 1] = r
  end
end

for _, r in ipairs(refusals) do
  local at = stand(r)
  if at ~= r.binding then
    r.binding, r.held = at, 0
  end
end
local told = {} -- the slow limits whose turns have moved
for _, v in ipairs(visits) do
  finish(v)
  if v.took and is_slow(v.t) and others_wait(v) then
    told[v.k] = v
  end
end
for _, r in ipairs(refusals) do
  local k = r.key[r.binding]
  local v, lead = visit(k, r.member), lead_of(k)
  local slot = max(now, opens_at(k, r.room[r.binding]))
  local begins = max(begins_at(k, v.t, v.member, v.room), slot - lead)
  tell(k, v.member, begins)
  answers[r.at] = pack(DECISION, REFUSED, r.binding, r.held, slot, begins, 2 * lead)
end
for _, v in ipairs(visits) do
  keep_line(v.k)
end

save(tonumber(ARGV[2]))
if ARGV[3] ~= '' then
  for k, v in pairs(told) do
    redis.pcall('PUBLISH', ARGV[3], ARGV[4] .. turns_at(k, v.t) .. KEYS[k]) -- or nobody is told
  end
end
if mixed[1] then
  answers[#answers + 1] = table.concat(mixed)
end
return table.concat(answers)
