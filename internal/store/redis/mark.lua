-- SPDX-FileCopyrightText: Portalgate contributors
-- SPDX-License-Identifier: Apache-2.0

-- KEYS: anything in the slot. A write for WAIT to wait for: what the primary had
-- before is on whatever has this.
redis.call('SET', KEYS[1], '', 'PX', 1000)
return 1
