-- Reads the holds that are in force.
--
-- KEYS[1]  the holds: a sorted set. A member is the letter k and a key, and its score is when the
--          hold ends, in microseconds since 1970. The score of the member t is when the set was
--          written
-- Returns now, and then each key with the letter and when its hold ends, the last one first.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
-- If the clock was set back, what is left of each hold stays as it was. What no script can
-- have written, an instant in another age or a hold of much more than 100 years, does not count.
local last = tonumber(redis.call('ZSCORE', KEYS[1], 't') or 0)
if last <= 2^53 then
  now = math.max(now, last)
end
local far = string.format('%.0f', now + 101 * 365 * 86400 * 1000000)
now = string.format('%.0f', now)
local found = redis.call('ZREVRANGEBYSCORE', KEYS[1], far, '(' .. now, 'WITHSCORES')
table.insert(found, 1, now)
return found
