-- What the scripts share: how limits are kept, and the clock.
--
-- A limit is a string of a byte for the version, ten numbers, and three numbers for
-- each older record of its charges: see gcra.Ledger, whose arithmetic this is. Version
-- 1 has six numbers, and charges that can't be taken back. All instants and times are
-- integers of microseconds, instants since 1970 by this server's clock, held in
-- doubles, which are exact up to 2^53: that is until the year 2255. A value with numbers
-- that no script can have written is foreign, as one of another length is.
local FORMAT, SIZE, VERSION = '<Bdddddddddd', 81, 2
local RECORD, RECORD_SIZE = '<ddd', 24
local FORMAT1, SIZE1 = '<Bdddddd', 49
local MOST = 32 -- older records

-- How far ahead of when it was written an instant can be, a bit more than 100 years for a
-- slot and 200 for the debt after it; and up to when all integers are exact.
local YEAR = 365 * 86400 * 1000000
local FAR, FURTHEST, EXACT = 101 * YEAR, 201 * YEAR, 2^53

local pack, parse = struct.pack, struct.unpack

-- The one reading of the clock: it moves while a script runs.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local floor, ceil, max, min, abs = math.floor, math.ceil, math.max, math.min, math.abs
