-- Gives a slot back: gcra.State.Refund for each limit.
--
-- KEYS     the keys of the limits
-- ARGV[1]  the slot and the limits: see encodeRelease in codec.go
-- ARGV[2]  milliseconds for which a limit is kept beyond its debt
-- ARGV[3]  the channel on which others are told what has opened; empty: they are not
-- ARGV[4]  what a message begins with, before the key
-- Returns which limits have got something back, by index in KEYS.
load()
local given = {}
local slot, at = struct.unpack('<d', ARGV[1])
for k = 1, #KEYS do
  local t, charge
  t, charge, at = struct.unpack('<dd', ARGV[1], at)
  if tat[k] and last[k] == slot and interval[k] == t then
    tat[k] = tat[k] - charge
    last[k] = min(last[k] - 1, tat[k] - t)
    changed[k] = true
    given[#given + 1] = k
  end
end
save(tonumber(ARGV[2]))
if ARGV[3] ~= '' then
  for _, k in ipairs(given) do
    redis.pcall('PUBLISH', ARGV[3], ARGV[4] .. KEYS[k]) -- or nobody is told
  end
end
return given
