-- SPDX-FileCopyrightText: Portalgate contributors
-- SPDX-License-Identifier: Apache-2.0

-- KEYS: the record. Returns the record, the time and the history.
local time = redis.call('TIME')
return {redis.call('GET', KEYS[1]), time[1], time[2], history}
