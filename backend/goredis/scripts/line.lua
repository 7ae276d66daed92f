-- The lines of the limits. Package internal/turns is the model, and uses the same names.
--
-- A waiter is stored as member, room, reach (MinHorizon of the request), and one more number: when it
-- was passed or, as a negative number, when it was told that its turn begins.
local WAITER = '<I4dI4d'
local STEP, SLOW_STEP, FORGET = 25000, 20000, 5000000
local MOST_REACH = 1000000

-- By index in KEYS: the waiters of a limit in the order of their turns, and its lead. Only finish
-- changes them.
local waiters, leads = {}, {}

-- waiters_of returns the waiters of a limit. It ignores a malformed line.
local function waiters_of(k)
  local list = waiters[k]
  if list then
    return list
  end
  list = {}
  local at, packed = 1, line[k]
  while at <= #packed do
    local w = {}
    w.member, w.room, w.reach, w.passed, at = parse(WAITER, packed, at)
    w.told, w.passed = max(-w.passed, 0), max(w.passed, 0)
    if not (whole(w.room, FAR) and w.reach <= MOST_REACH and whole(w.passed, now) and whole(w.told, now + FAR)) then
      list = {}
      break
    end
    list[#list + 1] = w
  end
  waiters[k] = list
  return list
end

local function lead_of(k)
  local lead = leads[k]
  if not lead then
    local reach = 0
    for _, w in ipairs(waiters_of(k)) do
      reach = max(reach, w.reach)
    end
    lead = floor(reach / 2)
    leads[k] = lead
  end
  return lead
end

local function is_slow(t) return 2 * t > STEP end

local function step_of(k, t)
  if is_slow(t) then
    return max(SLOW_STEP, floor(lead_of(k) * 3 / 4))
  end
  return floor(STEP / t) * t
end

-- opens_at returns when a limit opens for a request that may start room before its TAT.
local function opens_at(k, room) return max(tat[k] - room, closed[k]) end

-- place returns the index in line of a member, beyond the end if it is not there; how many
-- come before it; and the least room of them and its own.
local function place(list, member, room)
  local ahead = 0
  for i, w in ipairs(list) do
    if w.member == member then
      return i, ahead, room
    end
    if w.passed == 0 then
      ahead, room = ahead + 1, min(room, w.room)
    end
  end
  return #list + 1, ahead, room
end

local function is_passed(list, at) return list[at] and list[at].passed > 0 end

local function turn_of(k, t, member, own)
  local list = waiters_of(k)
  local at, ahead, room = place(list, member, own)
  if is_passed(list, at) then
    return opens_at(k, own)
  end
  return opens_at(k, room) + ahead * step_of(k, t)
end

-- begins_at returns when a member's turn begins.
local function begins_at(k, t, member, own)
  local list, step = waiters_of(k), step_of(k, t)
  local at, room = place(list, member, own), own
  local begins = turn_of(k, t, member, own) - lead_of(k)
  if is_passed(list, at) then
    return begins
  end
  local ahead, reach = 0, 0
  for i = 1, at - 1 do
    local w = list[i]
    reach = max(reach, w.reach)
    if w.passed == 0 then
      room = min(room, w.room)
      begins = max(begins, min(w.told, opens_at(k, room) + ahead * step - floor(reach / 2)) + step)
      ahead = ahead + 1
    end
  end
  return begins
end

local function is_due(k, t, member, room)
  local list = waiters_of(k)
  local at, ahead = place(list, member, room)
  return ahead == 0 or is_passed(list, at) or now >= begins_at(k, t, member, room) - floor(step_of(k, t) / 2)
end

-- others returns the least room of the waiters other than a member that have not been passed, false
-- if there are none.
local known = {}
local function others(k, member)
  local id = member * 65536 + k
  local least = known[id]
  if least == nil then
    least = false
    for _, w in ipairs(waiters_of(k)) do
      if w.member ~= member and w.passed == 0 then
        least = min(least or w.room, w.room)
      end
    end
    known[id] = least
  end
  return least
end

-- count_others counts the waiters other than a member that have not been passed.
local function count_others(k, member)
  local n = 0
  for _, w in ipairs(waiters_of(k)) do
    if w.member ~= member and w.passed == 0 then
      n = n + 1
    end
  end
  return n
end

-- What each member does at each limit in this batch.
local visits, visited = {}, {}

local function visit(k, member)
  local id = member * 65536 + k
  local v = visited[id]
  if not v then
    v = { k = k, member = member }
    visited[id] = v
    visits[#visits + 1] = v
  end
  return v
end

-- may returns whether a member has taken its part of a limit whose line is contended, and
-- whether it is its turn. least is the least room of all.
local function may(v, t, room, least)
  local k = v.k
  v.t = t
  local edge, step = opens_at(k, least), step_of(k, t)
  v.from = v.from or edge
  local ahead = edge >= v.from + step - floor(min(t, step) / 2) and edge >= now + lead_of(k) - floor(step / 2)
  v.due = v.due or is_due(k, t, v.member, room) -- for the whole batch
  return ahead, v.due
end

-- refused notes that a limit with index k has kept a member from taking a slot of others.
local function refused(member, limits, key, k)
  for i = 1, limits do
    local v = key[i] ~= k and visited[member * 65536 + key[i]]
    if v then
      v.kept_by_two = v.kept_by_two or v.kept and v.kept ~= k
      v.kept = k
    end
  end
end

-- main_of returns the index of the busiest limit of a refused request if a turn there is of use,
-- else 0. It is if others wait there and the limit is shut, so that there are turns; if it was not
-- the member's turn just now in vain; and if the limit that refused the request will be open.
local function main_of(r)
  local at = r.main
  local k, other = r.key[at], r.key[r.binding]
  if at == 0 or at == r.binding or not tat[k] then
    return 0
  end
  local ahead, opens = count_others(k, r.member), opens_at(k, r.room[at])
  if ahead == 0 or opens <= now then
    return 0
  end
  local v, turn = visited[r.member * 65536 + k], turn_of(k, r.step[at], r.member, r.room[at])
  if v and v.due then
    if not v.took then
      return 0
    end
    turn = opens + ahead * step_of(k, r.step[at]) -- at the end
  end
  if opens_at(other, r.room[r.binding]) > turn then
    return 0
  end
  return at
end

-- stand chooses the line in which a member stands for a request that was refused, and
-- returns the index of its limit.
local function stand(r)
  local main = main_of(r)
  local best = main
  for i = 1, #r.key do
    local v = visited[r.member * 65536 + r.key[i]]
    if main == 0 and v and v.due and v.took and (best == 0 or r.step[i] < r.step[best]) then
      best = i
    end
  end
  for i = 1, #r.key do
    local v = visited[r.member * 65536 + r.key[i]]
    if best == 0 and i ~= r.binding and v and v.due and v.kept_by_two then
      best = i
      v.yields = true
    end
  end
  if best == 0 then
    best = r.binding
  end
  for i = 1, #r.key do
    local v = visited[r.member * 65536 + r.key[i]]
    if v and i ~= best then
      v.leaves = true
    end
  end
  local v = visit(r.key[best], r.member)
  v.t = r.step[best]
  if not v.wants then
    v.wants, v.room, v.reach = true, r.room[best], r.reach
  end
  return best
end

-- finish updates the place of a member in line after this batch.
local function finish(v)
  local k, list = v.k, waiters_of(v.k)
  local at, was_full = place(list, v.member, 0), #list >= LONGEST
  local forget = max(FORGET, 2 * (v.t or 0))
  leads[k] = nil
  if v.took or v.yields or v.leaves and not v.wants then
    local passes, left = v.due and v.took and not is_passed(list, at), {}
    for i, w in ipairs(list) do
      if i ~= at then
        if i < at and passes and w.passed == 0 then
          w.passed = now
        end
        if w.passed == 0 or now - w.passed < forget then
          left[#left + 1] = w
        end
      end
    end
    list, at = left, #left + 1
  end
  if v.wants then
    if list[at] then
      list[at] = { member = v.member, room = v.room, reach = v.reach, told = 0, passed = 0 } -- waited for again
    elseif #list < LONGEST and not (v.took and was_full) then
      list[at] = { member = v.member, room = v.room, reach = v.reach, told = 0, passed = 0 }
    end
  end
  waiters[k] = list
end

-- tell records the turn that a member was told.
local function tell(k, member, begins)
  local w = waiters_of(k)[place(waiters_of(k), member, 0)]
  if w then
    w.told = begins
  end
end

-- others_wait reports whether other members are in line, passed or not.
local function others_wait(v)
  local list = waiters_of(v.k)
  return #list > 1 or #list == 1 and list[1].member ~= v.member
end

-- keep_line packs the line of a limit, to be written if it has changed.
local function keep_line(k)
  local packed = {}
  for i, w in ipairs(waiters_of(k)) do
    packed[i] = pack(WAITER, w.member, w.room, w.reach, w.passed > 0 and w.passed or -w.told)
  end
  packed = table.concat(packed)
  if packed ~= line[k] then
    line[k], changed[k] = packed, true
  end
end

-- turns_at returns, for those who hear of it, the debt of a limit and when the turns of all
-- in line begin.
local function turns_at(k, t)
  local list, lead, step = waiters_of(k), lead_of(k), step_of(k, t)
  local packed, ahead, least = { pack('<dddI4I4', now, tat[k], t, 2 * lead, #list) }, 0, nil
  for i, w in ipairs(list) do
    local at = opens_at(k, w.room)
    if w.passed == 0 then
      least = min(least or w.room, w.room)
      at = opens_at(k, least) + ahead * step
      ahead = ahead + 1
    end
    packed[i + 1] = pack('<I4d', w.member, at - lead)
  end
  return table.concat(packed)
end
