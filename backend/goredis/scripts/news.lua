-- Stores a hold for processes that connect later, and publishes it.
--
-- KEYS[1]  the holds: see holds.lua
-- ARGV[1]  the key that is held
-- ARGV[2]  for how long, in microseconds
-- ARGV[3]  the channel
-- ARGV[4]  the message
-- Returns "", or the error of PUBLISH.
local call = redis.call
local holds, member, MOST = KEYS[1], 'k' .. ARGV[1], 10000

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function text(n) return string.format('%.0f', n) end

local last = tonumber(call('ZSCORE', holds, 't') or 0)
if last > now and last <= 2^53 then
  -- The clock was set back: what is left of each hold stays as it was.
  for _, m in ipairs(call('ZRANGE', holds, 0, -1)) do
    call('ZINCRBY', holds, text(now - last), m)
  end
end
call('ZREMRANGEBYSCORE', holds, '-inf', text(now))
call('ZREMRANGEBYSCORE', holds, text(now + 101 * 365 * 86400 * 1000000), '+inf') -- see holds.lua
local ends = now + ARGV[2]
if ends > tonumber(call('ZSCORE', holds, member) or 0) then
  call('ZADD', holds, text(ends), member)
end
call('ZREMRANGEBYRANK', holds, 0, -MOST - 1)
local latest = call('ZRANGE', holds, -1, -1, 'WITHSCORES')[2]
call('ZADD', holds, text(now), 't')
call('PEXPIRE', holds, text(math.ceil((latest - now) / 1000) + 1))

local told = redis.pcall('PUBLISH', ARGV[3], ARGV[4])
return type(told) == 'table' and told.err or ''
