-- SPDX-FileCopyrightText: Portalgate contributors
-- SPDX-License-Identifier: Apache-2.0

-- KEYS: the record, and anything in its slot. ARGV: the record as it was read,
-- and the history it was read in. A write for WAIT to wait for: what the primary
-- had before is on whatever has this. Returns 1, or as cas does if it had
-- something else.
local now = redis.call('GET', KEYS[1])
if (now or '') ~= ARGV[1] or ARGV[2] ~= history then
	local time = redis.call('TIME')
	return {now, time[1], time[2], history}
end
redis.call('SET', KEYS[2], '', 'PX', 1000)
return 1
