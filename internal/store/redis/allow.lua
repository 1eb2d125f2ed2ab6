-- SPDX-FileCopyrightText: Portalgate contributors
-- SPDX-License-Identifier: Apache-2.0

-- Counts a group of asks, or none of them: limit.Rate.Next in microseconds, of
-- which a double holds enough. KEYS: one for each ask. ARGV, for each: how many
-- at once, how long each takes, and 1 for one that only peeks. Returns how long
-- each has to wait, -1 for ever.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local waits, kept, refused = {}, {}, false
for i, key in ipairs(KEYS) do
	local count, each = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
	local wait = -1
	if count > 0 then
		local full = now + count * each
		local tat = kept[key] or tonumber(redis.call('GET', key) or now)
		tat = math.min(math.max(tat, now), full)
		wait = math.max(tat + each - full, 0)
		if wait == 0 and ARGV[3 * i] ~= '1' then
			kept[key] = tat + each
		end
	end
	refused = refused or wait ~= 0
	waits[i] = wait
end
if not refused then
	for key, tat in pairs(kept) do
		redis.call('SET', key, string.format('%.0f', tat), 'PXAT', string.format('%.0f', math.ceil(tat / 1000)))
	end
end
return waits
