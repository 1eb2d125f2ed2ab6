-- SPDX-FileCopyrightText: Portalgate contributors
-- SPDX-License-Identifier: Apache-2.0

-- ARGV: id, data, due, expires, how many items there may be. Returns 1, or 0 if
-- there is no room.
local id = ARGV[1]
sweep()
if live(id) then return 1 end
drop(id)
if redis.call('ZCARD', expiry) >= tonumber(ARGV[5]) then return 0 end
redis.call('ZADD', due, ARGV[3], id)
redis.call('ZADD', expiry, ARGV[4], id)
redis.call('HSET', data, id, history .. ' ' .. ARGV[2])
return 1
