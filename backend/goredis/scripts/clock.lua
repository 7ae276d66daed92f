-- Shared by the scripts: how limits are stored, and the clock.
--
-- A limit is a string: a byte for the version; ten numbers; 24 bytes for each waiter in its
-- line, see line.lua; and three numbers for each older record of its charges. The arithmetic
-- is the same as in gcra.Ledger. Version 2 has no line, and another number in place of the number of
-- waiters. Version 1 has six numbers, and charges that can't be taken back. Instants and
-- durations are integers in microseconds, and instants count from 1970 by this server's clock.
-- Doubles hold them exactly up to 2^53, until the year 2255. A value of another length, or
-- with numbers that no script can have written, is foreign.
local FORMAT, SIZE, VERSION = '<Bdddddddddd', 81, 3
local RECORD, RECORD_SIZE = '<ddd', 24
local FORMAT1, SIZE1 = '<Bdddddd', 49
local MOST = 32 -- older records
local WAITER_SIZE, LONGEST = 24, 256 -- of a line

-- How far ahead of when it was written an instant can be, a bit more than 100 years for a
-- slot and 200 for the debt after it; and up to when all integers are exact.
local YEAR = 365 * 86400 * 1000000
local FAR, FURTHEST, EXACT = 101 * YEAR, 201 * YEAR, 2^53

local pack, parse = struct.pack, struct.unpack

-- The clock is read once, since it moves while a script runs.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local floor, ceil, max, min, abs = math.floor, math.ceil, math.max, math.min, math.abs
