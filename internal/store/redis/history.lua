-- SPDX-FileCopyrightText: Portalgate contributors
-- SPDX-License-Identifier: Apache-2.0

-- What every script begins with. Only a primary may answer:
-- a connection outlives the demotion of what is at its other end, and a replica
-- may hold what has long been revoked. The replication id names the history: a
-- primary takes a new one when it starts, whatever it loaded, and when it is
-- promoted. It is nil on a replica, and '' where INFO is not allowed.
local function history()
	local info = redis.pcall('INFO', 'replication')
	if type(info) ~= 'string' then return '' end
	if string.find(info, 'role:slave', 1, true) then
		return nil
	end
	return string.sub(string.match(info, 'master_replid:(%x+)') or '', 1, 16)
end

local history = history()
if not history then
	return redis.error_reply('READONLY this is a replica')
end
