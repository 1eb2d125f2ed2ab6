// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

package gate

// CheckPassive reports why paths cannot be [Config].Passive, before there is a
// Handler to refuse them.
func CheckPassive(paths []string) error {
	_, err := parsePatterns("passive", paths)
	return err
}
