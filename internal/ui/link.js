// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

(function () {
	// A page shown before it is asked for must not act.
	if (document.prerendering) {
		document.addEventListener("prerenderingchange", send, { once: true });
	} else {
		send();
	}

	function send() {
		var form = document.querySelector("form[data-fragment]");
		if (form && /^#[A-Za-z0-9._-]{20,100}$/.test(location.hash)) {
			form.elements.t.value = location.hash.slice(1);
			history.replaceState(null, "", location.pathname + location.search);
		} else {
			form = document.querySelector("form[data-auto]");
		}
		if (form) form.submit();
	}
})();
