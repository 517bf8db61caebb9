// Shows a page of its own when the house cannot be reached; it keeps nothing else. What the page
// shows and every command go past it to the house: a copy of the room would be a lie.
"use strict";
const OFFLINE = {{ page|tojson }};
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  if (event.request.mode !== "navigate" || event.request.method !== "GET") return;
  event.respondWith(fetch(event.request).catch(() =>
    new Response(OFFLINE, { status: 503, headers: { "Content-Type": "text/html; charset=utf-8" } })));
});
