-- Decides a batch of requests, in their order, each all or nothing.
--
-- KEYS     the keys of all limits, each once
-- ARGV[1]  the requests: see appendRequest and appendLimit in codec.go
-- ARGV[2]  milliseconds for which a limit is kept beyond its debt
-- ARGV[3]  the channel on which turns are published; empty: they are not
-- ARGV[4]  the beginning of such a message
-- Returns now, the decisions, and which limits had other params before: see decision and
-- eachMixed in codec.go.

-- The short way, for a single request under one limit. It decides as reserve.lua does, and leaves
-- other cases to it, before anything is written: a key that is foreign or held or was used under
-- other params, and a limit whose line has members or would get one. It makes no functions and no
-- tables, because these take longer than the decision.
local RECALL = 500000 -- gcra.Recall

repeat
  if #KEYS ~= 1 or #ARGV[1] ~= 58 then
    break
  end
  local _, flags, horizon, before, _, _, _, _, t, full, cost = parse('<I4BddI4I4BI4ddd', ARGV[1])
  local slot, binding = now + before, 0
  local value = redis.call('MGET', KEYS[1])[1]
  if not value then
    if before > horizon then
      break
    end
    local ttl = string.format('%.0f', max(ceil((slot + cost - now) / 1000) + 1, 1) + tonumber(ARGV[2]))
    value = pack(FORMAT, VERSION, now, slot + cost, slot, t, 0, 0, 0, slot, cost, 1)
    if not redis.call('SET', KEYS[1], value, 'NX', 'PX', ttl) then
      break -- there is a value that is no string
    end
    return pack('<dBI4BddI4', now, 1, 0, 0, slot, slot, 0)
  end

  local size = #value
  if string.byte(value) ~= VERSION or size < SIZE or (size - SIZE) % RECORD_SIZE ~= 0 then
    break
  end
  local _, at, tat, last, interval, closed, waiters, base, slot1, cost1, count1 = parse(FORMAT, value)
  local open = tat - (full - cost)
  -- What is_state and is_record in state.lua say. All comparisons with NaN are false.
  if not (at <= now and interval == t and closed <= open and closed >= 0 and at >= 0 and at % 1 == 0
    and tat >= 0 and tat <= at + FURTHEST and tat % 1 == 0 and last >= 0 and last <= at + FAR and last % 1 == 0
    and closed % 1 == 0 and waiters == 0
    and base >= 0 and base <= at + FURTHEST and base % 1 == 0 and slot1 >= 0 and slot1 % 1 == 0
    and cost1 >= 0 and cost1 <= FAR and cost1 % 1 == 0 and count1 % 1 == 0 and abs(count1) * cost1 <= EXACT
    and abs(count1) <= EXACT and slot1 + max(-count1 - 1, 0) * cost1 <= at + FAR) then
    break
  end
  if open > slot then
    slot, binding = open, 1
  end
  if slot - now > horizon then
    if flags >= 4 then
      break
    end
    return pack('<dBI4BddI4', now, 0, binding, 0, slot, slot, 0)
  end

  -- The charge is noted as record in reserve.lua does.
  local records = ''
  if tat <= now then
    if last > now then
      break
    end
    base, slot1, cost1, count1 = max(tat, last), slot, cost, 1
  else
    records = string.sub(value, SIZE + 1)
    if cost1 == cost and count1 > 0 and slot == slot1 then
      count1 = count1 + 1
    elseif cost1 == cost and count1 <= 1 and slot == slot1 + abs(count1) * cost then
      count1 = -abs(count1) - 1
    else
      -- The records that are too old are forgotten, as keep in reserve.lua does.
      local from, length, sound = 1, #records, true
      while from < length do
        local s, c, n = parse(RECORD, records, from)
        sound = s >= 0 and s % 1 == 0 and c >= 0 and c <= FAR and c % 1 == 0 and n % 1 == 0 and abs(n) <= EXACT
          and abs(n) * c <= EXACT and s + max(-n - 1, 0) * c <= now + FAR
        if not sound or c == 0 and s > now or c ~= 0 and s + max(-n - 1, 0) * c >= now - RECALL then
          break
        end
        base = max(base, s) + abs(n) * c
        from = from + RECORD_SIZE
      end
      if not sound then
        break
      end
      if from > length and (cost1 == 0 and slot1 <= now or cost1 ~= 0 and slot1 + max(-count1 - 1, 0) * cost1 < now - RECALL) then
        base, records = max(base, slot1) + abs(count1) * cost1, ''
      elseif length - from + 1 < MOST * RECORD_SIZE then
        records = string.sub(records, from) .. pack(RECORD, slot1, cost1, count1)
      else
        -- The two oldest become one, as fold in state.lua does.
        local s1, c1, n1, s2, c2, n2 = parse('<dddddd', records, from)
        if not (s2 >= 0 and s2 % 1 == 0 and c2 >= 0 and c2 <= FAR and c2 % 1 == 0 and n2 % 1 == 0 and abs(n2) <= EXACT
          and abs(n2) * c2 <= EXACT and s2 + max(-n2 - 1, 0) * c2 <= now + FAR) then
          break
        end
        base = max(max(base, s1) + abs(n1) * c1, s2) + abs(n2) * c2
        records = pack(RECORD, max(s1 + max(-n1 - 1, 0) * c1, s2 + max(-n2 - 1, 0) * c2), 0, 1)
          .. string.sub(records, from + 2 * RECORD_SIZE) .. pack(RECORD, slot1, cost1, count1)
      end
      slot1, cost1, count1 = slot, cost, 1
    end
  end
  tat, last = max(tat, slot) + cost, max(last, slot)
  value = pack(FORMAT, VERSION, now, tat, last, t, closed, 0, base, slot1, cost1, count1) .. records
  local ttl = max(ceil((max(tat, closed) - now) / 1000) + 1, 1) + tonumber(ARGV[2])
  redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', ttl))
  return pack('<dBI4BddI4', now, 1, binding, 0, slot, slot, 0)
until true

