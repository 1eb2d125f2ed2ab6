-- SPDX-FileCopyrightText: Portalgate contributors
-- SPDX-License-Identifier: Apache-2.0

-- ARGV: how many at most, for how many milliseconds, a name for the call, and 1
-- for those that were leased before.
-- Returns the history, and id, data (behind the history it was put in), due,
-- expires and tries of each. A lease is no more than a
-- later due time. A caller that has had no answer asks again under the same name:
-- what it was given then, it has not got.
sweep()
local held = redis.call('HGETALL', holder)
for i = 1, #held, 2 do
	if held[i + 1] == ARGV[3] then
		redis.call('ZADD', again, 'XX', now, held[i])
		redis.call('HDEL', holder, held[i])
	end
end
local lane = ARGV[4] == '1' and again or due
local ids = redis.call('ZRANGEBYSCORE', lane, '-inf', now, 'WITHSCORES', 'LIMIT', 0, ARGV[1])
local items = {history}
for i = 1, #ids, 2 do
	local id = ids[i]
	local expires = live(id)
	if expires then
		redis.call('ZREM', due, id)
		redis.call('ZADD', again, now + ARGV[2], id)
		redis.call('HSET', holder, id, ARGV[3])
		for _, v in ipairs({id, redis.call('HGET', data, id), ids[i + 1], expires, redis.call('HINCRBY', tries, id, 1)}) do
			items[#items + 1] = v
		end
	else
		drop(id)
	end
end
return items
