// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

// A portal's page includes this to warn whoever is at it before they are signed
// out. It asks the gate how things stand, which keeps nobody signed in: only a
// press does. It never leaves the page, so that what is being typed stays.
((path, title, lead, stay, out, ended, again, accent, label) => {
	let due, timer, known, box, shown = 0, turn = 0;

	// ask asks, or with POST presses to stay. What does not say how things
	// stand changes nothing.
	async function ask(method) {
		const mine = ++turn;
		later(30);
		try {
			const r = await fetch(path + "/session", { method }), s = await r.json();
			if (mine != turn) return; // asked again meanwhile
			if (s.signed_in) known = known || s.client;
			if (s.signed_in && known == s.client) {
				// By the gate's clock: the one here may be wrong.
				const end = Date.parse(s.idle_expires_at);
				const left = (end - (Date.parse(r.headers.get("Date")) || Date.now())) / 1e3 - 120;
				later(left > 0 ? left : 15);
				show(left > 0 ? 0 : end < Date.parse(s.expires_at) ? 1 : 2);
			} else if ("signed_in" in s) { // or somebody else is
				known ? show(3) : clearTimeout(timer);
			}
		} catch (e) {}
	}

	function later(wait) {
		due = Date.now() + wait * 1e3;
		clearTimeout(timer);
		timer = setTimeout(ask, Math.min(wait, 1e5) * 1e3);
	}

	function look() {
		if (known) ask();
	}

	// show shows the warning (1), one where no press helps (2), that it has
	// ended (3, which covers the page), or nothing (0).
	function show(what) {
		if (what == shown) return; // also if it was put away with Esc
		shown = what;
		if (box) {
			box.close(); // gives the focus back
			box.remove();
		}
		if (!what) return;
		const over = what > 2, head = over ? ended : title;
		const other = "box-sizing:border-box;display:block;width:100%;margin-top:1em;padding:.7em;border:2px solid;border-radius:.6em;outline-offset:3px;font:inherit;text-align:center;text-decoration:none;color:";
		const main = other + label + ";background:" + accent;
		box = document.body;
		box = add("dialog", "", "border-color:" + accent + ";border-radius:.8em;font:large/1.5 system-ui;box-shadow:0 0 0 200vmax " + (over ? "Canvas" : "#0009"));
		box.lang = "en";
		box.tabIndex = -1;
		box.ariaLabel = head;
		add("h2", head, "margin:0");
		if (!over) add("p", lead, "");
		if (what == 1) add("button", stay, main).onclick = () => ask("POST");
		const link = add("a", over ? again : out, over ? main : other + "inherit");
		link.href = path + (over ? "" : "/sign-out");
		link.target = over ? "_blank" : "";
		box.showModal();
		if (what > 1) box.focus();
	}

	// add adds an element on which the portal's own rules have no say.
	function add(tag, text, style) {
		const e = document.createElement(tag);
		e.textContent = text;
		e.style.cssText = "all:revert;" + style;
		return box.appendChild(e);
	}

	// Whoever comes back to the page may have signed out in another tab.
	addEventListener("focus", look);
	addEventListener("visibilitychange", look);
	// Timers stand still while a computer sleeps.
	setInterval(() => Date.now() > due && look(), 6e4);
	ask();
})
