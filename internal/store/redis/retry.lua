-- SPDX-FileCopyrightText: Portalgate contributors
-- SPDX-License-Identifier: Apache-2.0

-- ARGV: id, due.
if live(ARGV[1]) then
	redis.call('ZADD', due, 'XX', ARGV[2], ARGV[1])
	redis.call('ZADD', again, 'XX', ARGV[2], ARGV[1])
	redis.call('HDEL', holder, ARGV[1])
end
return 1
