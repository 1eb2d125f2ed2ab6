// SPDX-FileCopyrightText: Portalgate contributors
// SPDX-License-Identifier: Apache-2.0

"use strict";

const clock = document.getElementById("clock");
const events = new EventSource("/events");
events.onmessage = (e) => { clock.value = new Date(e.data).toLocaleTimeString(); };
events.onerror = () => { clock.value = "not connected"; };

const answer = document.getElementById("answer");
const line = document.getElementById("line");
const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws");
socket.onmessage = (e) => { answer.value = e.data; };
socket.onclose = () => { answer.value = "the connection has ended"; };
document.getElementById("say").onsubmit = (e) => {
	e.preventDefault();
	if (socket.readyState === WebSocket.OPEN) socket.send(line.value);
	line.value = "";
};
