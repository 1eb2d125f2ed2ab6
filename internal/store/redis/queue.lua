-- SPDX-FileCopyrightText: Portalgate contributors
-- SPDX-License-Identifier: Apache-2.0

-- What every script of the queue goes on with. KEYS: ids by when they are due,
-- ids by when they expire, data by id, tries by id, who was last given one by id,
-- and of those that were given to somebody, ids by when they are due.
local due, expiry, data, tries, holder, again = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function drop(id)
	redis.call('ZREM', due, id)
	redis.call('ZREM', again, id)
	redis.call('ZREM', expiry, id)
	redis.call('HDEL', data, id)
	redis.call('HDEL', tries, id)
	redis.call('HDEL', holder, id)
end

-- The expired make room, a bounded number of them in one script.
local function sweep()
	for _, id in ipairs(redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, 1000)) do
		drop(id)
	end
end

local function live(id)
	local expires = redis.call('ZSCORE', expiry, id)
	return expires and tonumber(expires) > now and expires
end
