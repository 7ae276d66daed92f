-- Shared by the scripts: the state of the limits in KEYS.

-- By index in KEYS. A limit without debt has no entry in tat.
local tat = {}      -- theoretical arrival time
local last = {}     -- the latest slot given out
local interval = {} -- T of the params that charged it last, 0 before
local closed = {}   -- held until then, or 0
local line = {}     -- its waiters, as they are stored
local base = {}     -- tat before the charges that records are kept of
local slot1 = {}    -- the latest record: the slot of the first of its charges,
local cost1 = {}    --   what each of them costs; 0: they can't be taken back
local count1 = {}   --   and how many they are; negative: one after another
local older = {}    -- the records before, as they are stored
local foreign = {}  -- true: the value is no limit
local changed = {}

-- seal forgets all charges, so that they can't be taken back.
local function seal(k)
  base[k], slot1[k], cost1[k], count1[k], older[k] = tat[k], last[k], 0, 1, ''
end

-- after is a TAT after the charges of a record.
local function after(a, slot, cost, count)
  return max(a, slot) + abs(count) * cost
end

-- last_of is the last slot of a record.
local function last_of(slot, cost, count)
  if count > 0 then
    return slot
  end
  return slot + max(-count - 1, 0) * cost
end

-- fold makes the two oldest of some records one that can't be taken back.
local function fold(k, s1, c1, n1, s2, c2, n2)
  base[k] = after(after(base[k], s1, c1, n1), s2, c2, n2)
  return max(last_of(s1, c1, n1), last_of(s2, c2, n2)), 0, 1
end

-- whole tells whether a number is an integer from 0 to most. NaN is not.
local function whole(n, most)
  return n >= 0 and n <= most and n % 1 == 0
end

-- is_record tells whether a script can have written a record at an instant.
local function is_record(at, slot, cost, count)
  return whole(slot, at + FAR) and whole(cost, FAR) and whole(abs(count), EXACT)
    and abs(count) * cost <= EXACT and last_of(slot, cost, count) <= at + FAR
end

-- is_state tells whether a script can have written the numbers of a limit.
local function is_state(at, a, l, t, c, n)
  return whole(at, EXACT) and whole(a, at + FURTHEST) and whole(l, at + FAR) and whole(t, FAR)
    and whole(c, at + FAR) and whole(n, at + FURTHEST)
end

-- load reads all limits.
local function load()
  local missing, places = {}, {}
  for from = 1, #KEYS, 1000 do
    local values = redis.call('MGET', unpack(KEYS, from, min(from + 999, #KEYS)))
    for i = 1, #values do
      local k, value = from + i - 1, values[i]
      local size, version = value and #value, value and string.byte(value)
      local at, n, _
      if not value then
        missing[#missing + 1] = KEYS[k]
        places[#places + 1] = k
      elseif (version == VERSION or version == 2) and size >= SIZE and (size - SIZE) % RECORD_SIZE == 0 then
        _, at, tat[k], last[k], interval[k], closed[k], n, base[k], slot1[k], cost1[k], count1[k] = parse(FORMAT, value)
        local from = SIZE
        if version == VERSION then
          from = whole(n, min(LONGEST, (size - SIZE) / WAITER_SIZE)) and SIZE + n * WAITER_SIZE or size + 1
        end
        line[k] = string.sub(value, SIZE + 1, from)
        older[k] = string.sub(value, from + 1)
        if from > size then
          at = nil
        end
      elseif version == 1 and size == SIZE1 then
        _, at, tat[k], last[k], interval[k], closed[k], n = parse(FORMAT1, value)
        line[k] = ''
        seal(k)
      end
      if value and not (at and is_state(at, tat[k], last[k], interval[k], closed[k], n)
        and whole(base[k], at + FURTHEST) and is_record(at, slot1[k], cost1[k], count1[k])) then
        foreign[k], tat[k], closed[k] = true, nil, nil
      elseif at and at > now then
        -- The clock was set back, or this is another server. The remaining wait stays
        -- the same. It is written even if all requests are refused. Otherwise it would
        -- not shrink until the clock is back where it was.
        local back = at - now
        tat[k], last[k] = max(tat[k] - back, 0), max(last[k] - back, 0)
        closed[k], line[k] = max(closed[k] - back, 0), ''
        seal(k)
        changed[k] = true
      end
    end
  end
  -- MGET returns nil for a value that is not a string.
  for from = 1, #missing, 1000 do
    local to = min(from + 999, #missing)
    if redis.call('EXISTS', unpack(missing, from, to)) > 0 then
      for i = from, to do
        if redis.call('EXISTS', missing[i]) > 0 then
          foreign[places[i]] = true
        end
      end
    end
  end
end

-- new makes a limit without debt.
local function new(k)
  tat[k], last[k], interval[k], closed[k], line[k] = 0, 0, 0, 0, ''
  base[k], slot1[k], cost1[k], count1[k], older[k] = 0, 0, 0, 0, ''
end

-- save writes the limits that have changed. Their TTL, in milliseconds, is at least as long as their
-- debt. The clock of expiry is up to a millisecond behind.
--
-- New limits with equal params are mostly equal: value and time are made once.
local function save(extra)
  local call = redis.call
  local a0, l0, t0, b0, s0, p0, n0, o0, value, ttl -- of the one before
  for k in pairs(changed) do
    local a, l, t, c, w = tat[k], last[k], interval[k], closed[k], line[k]
    local b, s, p, n, o = base[k], slot1[k], cost1[k], count1[k], older[k]
    if a ~= a0 or l ~= l0 or t ~= t0 or b ~= b0 or s ~= s0 or p ~= p0 or n ~= n0 or o ~= o0 or c > 0 or w ~= '' then
      value = pack(FORMAT, VERSION, now, a, l, t, c, #w / WAITER_SIZE, b, s, p, n) .. w .. o
      ttl = ceil((max(a, c) - now) / 1000) + 1
      ttl = string.format('%.0f', max(ttl, 1) + extra)
      a0, l0, t0, b0, s0, p0, n0, o0 = c == 0 and w == '' and a, l, t, b, s, p, n, o
    end
    call('SET', KEYS[k], value, 'PX', ttl)
  end
end
