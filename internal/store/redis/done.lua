-- SPDX-FileCopyrightText: Portalgate contributors
-- SPDX-License-Identifier: Apache-2.0

-- ARGV: id.
drop(ARGV[1])
return 1
