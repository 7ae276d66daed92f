-- Closes a key for a time from now. It only extends.
--
-- KEYS[1]  the key
-- ARGV[1]  the time in microseconds
-- ARGV[2]  milliseconds for which a limit is kept beyond its debt
-- Returns 0, or 1 if the value is no limit. Then it has done nothing.
load()
if foreign[1] then
  return 1
end
if not tat[1] then
  new(1)
end
local to = now + tonumber(ARGV[1])
if to > closed[1] then
  closed[1] = to
  changed[1] = true
  save(tonumber(ARGV[2]))
end
return 0
