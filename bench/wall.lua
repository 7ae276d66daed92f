-- The simplest GCRA for a batch of requests, each under one limit.
--
-- KEYS     the key of each request
-- ARGV[1]  microseconds between two events
-- ARGV[2]  microseconds by which events may run ahead of that pace
-- Returns for each request the microseconds to wait, 0 if it is granted.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, tau = tonumber(ARGV[1]), tonumber(ARGV[2])
local waits = {}
for i = 1, #KEYS do
  local tat = math.max(tonumber(redis.call('GET', KEYS[i]) or 0), now)
  local wait = math.max(tat - tau - now, 0)
  if wait == 0 then
    tat = tat + interval
    redis.call('SET', KEYS[i], string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000))
  end
  waits[i] = wait
end
return waits
