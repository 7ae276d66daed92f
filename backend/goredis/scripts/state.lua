-- What the scripts share: the state of the limits named in KEYS.
--
-- A limit is a string of seven numbers. All instants and times are integers of
-- microseconds, instants since 1970 by this server's clock, held in doubles,
-- which are exact up to 2^53: that is until the year 2255.
local FORMAT, SIZE, VERSION = '<Bdddddd', 49, 1

-- By index in KEYS. A limit without debt has no entry in tat.
local tat = {}      -- theoretical arrival time
local last = {}     -- the latest slot given out
local interval = {} -- T of the params that charged it last, 0 before
local closed = {}   -- held until then, or 0
local turn = {}     -- the latest turn given to one who was refused, or 0
local foreign = {}  -- true: the value is no limit
local changed = {}

local pack, parse = struct.pack, struct.unpack

-- The one reading of the clock: it moves while a script runs.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min

-- load reads all limits.
local function load()
  local missing, places = {}, {}
  for from = 1, #KEYS, 1000 do
    local values = redis.call('MGET', unpack(KEYS, from, min(from + 999, #KEYS)))
    for i = 1, #values do
      local k, value = from + i - 1, values[i]
      if not value then
        missing[#missing + 1] = KEYS[k]
        places[#places + 1] = k
      elseif #value ~= SIZE or string.byte(value) ~= VERSION then
        foreign[k] = true
      else
        local _, at, a, l, t, c, u = parse(FORMAT, value)
        if at > now then
          -- The clock was set back, or this is another server. What is left to
          -- wait stays as it was. That is written, even if all are refused: else
          -- it would stay so until the clock is again where it was.
          local back = at - now
          a, l, c, u = a - back, l - back, max(c - back, 0), 0
          changed[k] = true
        end
        tat[k], last[k], interval[k], closed[k], turn[k] = a, l, t, c, u
      end
    end
  end
  -- MGET has no word for a value that is no string.
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

-- new makes a limit that has no debt.
local function new(k)
  tat[k], last[k], interval[k], closed[k], turn[k] = 0, 0, 0, 0, 0
end

-- save writes the limits that have changed. They live, in milliseconds, at least
-- as long as their debt; by the clock of expiry, which is a millisecond behind.
--
-- New limits with equal params are mostly equal: value and time are made once.
local function save(extra)
  local call = redis.call
  local a0, l0, t0, value, ttl -- of the one before
  for k in pairs(changed) do
    local a, l, t, c, u = tat[k], last[k], interval[k], closed[k], turn[k]
    if a ~= a0 or l ~= l0 or t ~= t0 or c + u > 0 then
      value = pack(FORMAT, VERSION, now, a, l, t, c, u)
      ttl = ceil((max(a, c, u) - now) / 1000) + 1
      ttl = string.format('%.0f', max(ttl, 1) + extra)
      a0, l0, t0 = c + u == 0 and a, l, t
    end
    call('SET', KEYS[k], value, 'PX', ttl)
  end
end
