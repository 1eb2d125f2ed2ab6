-- SPDX-FileCopyrightText: Portalgate contributors
-- SPDX-License-Identifier: Apache-2.0

-- KEYS: the record. ARGV: the record as it was read ('' for none), the history
-- it was read in, the new record ('' for none), when Redis may forget it in
-- milliseconds ('' for never), the channel and what to say on it. Returns 1, or
-- the record, the time and the history if the first or the last is another one.
local now = redis.call('GET', KEYS[1])
if (now or '') ~= ARGV[1] or ARGV[2] ~= history then
	local time = redis.call('TIME')
	return {now, time[1], time[2], history}
end
-- First, for it may not be allowed, and then nothing is written.
redis.call('PUBLISH', ARGV[5], ARGV[6])
if ARGV[3] == '' then
	redis.call('DEL', KEYS[1])
elseif ARGV[4] == '' then
	redis.call('SET', KEYS[1], ARGV[3])
else
	redis.call('SET', KEYS[1], ARGV[3], 'PXAT', ARGV[4])
end
return 1
