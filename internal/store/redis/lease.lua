-- SPDX-FileCopyrightText: Portalgate contributors
-- SPDX-License-Identifier: Apache-2.0

-- ARGV: how many at most, and for how many milliseconds. Returns id, data, due,
-- expires and tries of each. A lease is no more than a later due time.
sweep()
local ids = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'WITHSCORES', 'LIMIT', 0, ARGV[1])
local items = {}
for i = 1, #ids, 2 do
	local id = ids[i]
	local expires = live(id)
	if expires then
		redis.call('ZADD', due, now + ARGV[2], id)
		for _, v in ipairs({id, redis.call('HGET', data, id), ids[i + 1], expires, redis.call('HINCRBY', tries, id, 1)}) do
			items[#items + 1] = v
		end
	else
		drop(id)
	end
end
return items
