-- Gives a slot back: gcra.State.Refund for each limit.
--
-- KEYS     the keys of the limits
-- ARGV[1]  the slot and the limits: see encodeRelease in codec.go
-- ARGV[2]  milliseconds for which a limit is kept beyond its debt
load()
local slot, at = struct.unpack('<d', ARGV[1])
for k = 1, #KEYS do
  local t, charge
  t, charge, at = struct.unpack('<dd', ARGV[1], at)
  if tat[k] and last[k] == slot and interval[k] == t then
    tat[k] = tat[k] - charge
    last[k] = min(last[k] - 1, tat[k] - t)
    changed[k] = true
  end
end
save(tonumber(ARGV[2]))
return 0
