-- SPDX-FileCopyrightText: Portalgate contributors
-- SPDX-License-Identifier: Apache-2.0

-- Forgets what was counted under KEYS.
redis.call('DEL', unpack(KEYS))
return 1
