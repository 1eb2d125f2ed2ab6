-- SPDX-FileCopyrightText: Portalgate contributors
-- SPDX-License-Identifier: Apache-2.0

-- What every script begins with. Only a primary may answer:
-- a connection outlives the demotion of what is at its other end, and a replica
-- may hold what has long been revoked. The replication id names the history: a
-- primary takes a new one when it starts, whatever it loaded, and when it is
-- promoted. Who may not ask for it may do nothing.
local info = redis.call('INFO', 'replication')
if string.find(info, 'role:slave', 1, true) then
	return redis.error_reply('READONLY this is a replica')
end
local _, at = string.find(info, 'master_replid:', 1, true)
local history = string.sub(info, at + 1, at + 16)
