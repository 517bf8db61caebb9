// The wires, live: ask the controller to show them while this page is looked at, and put what it
// says into the places that the server drew. No words are made here.
"use strict";
(() => {
  const body = document.body, data = body.dataset;
  const BLANK = { level: "–", short: "–", edges: "–", noise: "–" };
  const ASK_MS = 10000, AGAIN_MS = 3000, SILENT_MS = 4000;
  const places = [...document.querySelectorAll("[data-k]")].map((el) => [el, el.closest("[data-wire]")?.dataset.wire]);
  const wires = [...document.querySelectorAll("[data-wire]")], testing = document.querySelector(".testing"), answered = document.querySelector(".answered");
  let stream = null, heardAt = Date.now();

  async function post(address) {
    const answer = await fetch(address, {
      method: "POST", headers: { Accept: "application/json", "X-CSRFToken": data.csrf }, signal: AbortSignal.timeout?.(8000),
    });
    return answer.json();
  }

  function put(el, text) { if (el.textContent !== text) el.textContent = text; }
  function show(state) {
    if (state.layout !== data.layout) return location.reload();
    heardAt = Date.now();
    data.live = state.live;
    testing.hidden = !state.trial;
    for (const [el, wire] of places) put(el, (wire ? state.lines[wire] : state)[el.dataset.k]);
    for (const el of wires) {
      const now = state.lines[el.dataset.wire].state;
      if (el.dataset.state === now) continue;
      if (el.dataset.state !== "unknown" && now !== "unknown") moved(el);
      el.dataset.state = now;
    }
  }
  function moved(el) {
    el.dataset.moved = "";
    setTimeout(() => delete el.dataset.moved, 800);
  }

  // Looked at: listen, and ask again before the controller stops. Hidden: neither.
  function listen() {
    if (document.hidden || stream?.readyState === EventSource.OPEN || stream?.readyState === EventSource.CONNECTING) return;
    stream = new EventSource("/wiring/events");
    stream.onmessage = (event) => show(JSON.parse(event.data));
  }
  async function ask() {
    if (document.hidden) return;
    try {
      const answer = await post("/wiring");
      put(answered, answer.ok ? "" : answer.words ?? "");
    } catch { /* not reached: the line above says so, and it is asked again */ }
  }
  function look() {
    if (document.hidden) {
      stream?.close();
      stream = null;
      return;
    }
    listen();
    ask();
  }
  setInterval(ask, ASK_MS);
  setInterval(listen, AGAIN_MS);
  setInterval(() => {
    if (Date.now() - heardAt < SILENT_MS) return;
    data.live = "no";
    for (const el of wires) el.dataset.state = "unknown";
    for (const [el, wire] of places) {
      if (el.dataset.k === "says") put(el, data.lost);
      else if (el.dataset.k === "moved" || wire) put(el, BLANK[el.dataset.k] ?? "");
    }
  }, 1000);
  document.addEventListener("visibilitychange", look);

  document.querySelector(".test").addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target, key = form.querySelector("button");
    key.disabled = true;
    try { put(answered, (await post(form.action)).words); } catch { put(answered, data.lost); }
    key.disabled = false;
  });
  look();
})();
