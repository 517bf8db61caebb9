// The page's life: put newer texts and states into the places that the server drew, grey out when
// nothing is heard, ask the door for things, and make a knock noticed. No words are made here.
"use strict";
(() => {
  const body = document.body, data = body.dataset, root = document.documentElement;
  const all = (what, from = document) => [...from.querySelectorAll(what)];
  const byId = (id) => document.getElementById(id);
  const STALE_MS = 3000, DELAYS_S = [0, 1, 1, 2, 3, 5, 8], TOLD_MS = 6000, SURE_MS = 4000;

  const within = (ms) => AbortSignal.timeout?.(ms); // phones before 2022 do without

  // --- what was heard ---------------------------------------------------------------------------
  const texts = all("[data-t]"), states = all("[data-s]"), values = all("[data-v]"), keys = all(".act button"), veil = document.querySelector(".veil");
  let night = -1;
  let heard = { at: Date.now(), age: 0, link: data.link, told: byId("heard").textContent };
  let knocks = Number(data.knock), announced = "";

  function show(state) {
    const page = state.page;
    heard = { at: Date.now(), age: state.age_ms ?? Infinity, link: state.link, told: page.t.link };
    if (page.version !== data.version) return location.reload();
    if (page.night !== night) fetchNight(page.night);
    for (const el of texts) {
      const text = page.t[el.dataset.t];
      if (el.id !== "heard" && el.textContent !== text) el.textContent = text;
    }
    for (const el of values) el.value = page.t[el.dataset.v];
    for (const el of states) {
      const value = page.s[el.dataset.s];
      if (el.dataset.state === value) continue;
      el.dataset.state = value;
      if (el.tagName !== "BUTTON") continue;
      if (value === "no") el.setAttribute("aria-disabled", "true");
      else el.removeAttribute("aria-disabled");
    }
    for (const name of ["mode", "house", "phase"]) data[name] = page.s[name];
    byId("ring").setAttribute("stroke-dasharray", page.ring);
    document.title = page.t.title;
    list("notices", page.notices);
    list("trial", page.trial);
    if (page.t.announce !== announced) byId("announce").textContent = announced = page.t.announce;
    noticeKnock(page);
    tick();
  }

  function list(id, lines) {
    const now = JSON.stringify(lines), place = byId(id);
    if (now === place.now) return;
    place.now = now;
    place.replaceChildren(...lines.map(([kind, text]) => {
      const li = document.createElement("li");
      li.className = kind;
      li.textContent = text;
      return li;
    }));
  }

  function ageMs() {
    const passed = Date.now() - heard.at;
    return passed < 0 ? Infinity : heard.age + passed;
  }

  function span(ms) {
    const s = Math.floor(ms / 1000);
    return s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h`;
  }

  function tick() {
    const age = ageMs(), live = heard.link === "online" && age < STALE_MS;
    const link = live ? "online" : heard.link === "offline" ? "offline" : "stale";
    if (data.link !== link) {
      data.link = link;
      for (const el of states) if (el.dataset.s === "link") el.dataset.state = link;
    }
    for (const key of keys) {
      const off = !live || key.dataset.phase === "pending";
      if (key.disabled !== off) key.disabled = off;
    }
    const told = live || !Number.isFinite(age) ? heard.told : data.heard.replace("%s", span(age));
    if (byId("heard").textContent !== told) byId("heard").textContent = told;
    if (!live) veil.dataset.told = told;
    if (!live && !document.title.startsWith("(?)")) document.title = "(?) Backdoor";
  }
  setInterval(tick, 250);

  // --- the stream, and asking when there is none --------------------------------------------------
  let stream = null, tries = 0, lastEvent = 0, polling = false, timer = 0;

  function listen() {
    clearTimeout(timer);
    if (stream) stream.close();
    stream = new EventSource("/events");
    stream.onmessage = (event) => {
      tries = 0;
      lastEvent = Date.now();
      show(JSON.parse(event.data));
    };
    stream.onerror = again;
  }

  function again() {
    if (stream) stream.close();
    stream = null;
    clearTimeout(timer);
    timer = setTimeout(listen, 1000 * DELAYS_S[Math.min(tries++, DELAYS_S.length - 1)]);
    if (tries > 1) poll();
  }

  async function poll() {
    if (polling) return;
    polling = true;
    try {
      const answer = await fetch("/api/state?page=1", { cache: "no-store", signal: within(2500) });
      if (answer.status === 403) return location.reload();
      if (answer.ok) show(await answer.json());
    } catch { /* nothing heard: the age says so */ } finally {
      polling = false;
    }
  }

  async function fetchNight(number) {
    night = number;
    try {
      const answer = await fetch("/api/night", { signal: within(5000) });
      if (answer.ok) byId("tonight").innerHTML = await answer.text();
    } catch { night = -1; /* the next state will ask again */ }
  }

  setInterval(() => {
    const silent = Date.now() - lastEvent;
    if (silent > 1900) poll();
    if (silent > 4000 && stream?.readyState === 1) again();
  }, 1000);
  function awake() {
    if (document.hidden) return;
    tick();
    if (Date.now() - lastEvent > 1500) { tries = 0; listen(); poll(); }
    stayAwake();
  }
  document.addEventListener("visibilitychange", awake);
  addEventListener("pageshow", (event) => { if (event.persisted) awake(); });
  addEventListener("online", awake);
  addEventListener("pagehide", () => { if (stream) stream.close(); });

  // --- asking the door: pressed, pending, done or refused, in the same place ----------------------
  function tell(form, kind, words) {
    const place = form.closest(".group").querySelector(".told");
    clearTimeout(place.timer);
    place.dataset.kind = kind;
    place.textContent = words;
    if (kind !== "pending") place.timer = setTimeout(() => { place.textContent = ""; delete place.dataset.kind; }, TOLD_MS);
  }

  function phase(button, name, forMs) {
    clearTimeout(button.timer);
    button.dataset.phase = name;
    if (forMs) button.timer = setTimeout(() => { delete button.dataset.phase; }, forMs);
    tick();
  }

  async function ask(form, button) {
    const fields = new FormData(form);
    fields.delete("ask");
    phase(button, "pending");
    tell(form, "pending", data.pending);
    let answer = { state: "not_answered", words: data.lost };
    try {
      const response = await fetch(form.action, {
        method: "POST", body: fields, signal: within(6000),
        headers: { "X-CSRFToken": data.csrf, Accept: "application/json" },
      });
      if (response.status === 403) return location.reload();
      answer = { ...answer, ...(await response.json()) };
    } catch { /* told below: the page could not be reached */ }
    tell(form, answer.state, answer.words);
    phase(button, answer.state === "done" ? "done" : "refused", answer.state === "done" ? 1500 : TOLD_MS);
    button.focus({ preventScroll: true });
    if (answer.state === "done" && form.matches(".top")) scrollTo(0, 0); // there it goes on
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches(".pin")) {
      event.preventDefault();
      fetch(form.action, { method: "POST", headers: { Accept: "application/json" } }).catch(() => {});
    }
    if (!form.matches(".act")) return;
    event.preventDefault();
    const button = form.querySelector("button"), state = button.dataset.state;
    if (button.disabled || button.dataset.phase === "pending") return;
    if (state === "no") return tell(form, "refused", form.dataset.no || form.closest(".group").querySelector(".why")?.textContent || "");
    const dangerous = form.dataset.sure || state === "ask";
    if (dangerous && button.dataset.phase !== "sure") {
      phase(button, "sure", SURE_MS);
      return tell(form, "sure", form.dataset.sure ? `${form.dataset.sure} ${data.sure}` : data.sure);
    }
    ask(form, button);
  });

  // --- a knock is noticed -------------------------------------------------------------------------
  let sound = null, loud = localStorage.getItem("sound") !== "off", lock = null;

  function noticeKnock(page) {
    const waiting = page.s.waiting === "yes" || page.s.doorknock === "yes";
    const icon = waiting ? data.iconKnock : data.icon;
    if (!byId("icon").href.endsWith(icon)) byId("icon").href = icon;
    const knock = page.knock, fresh = knock.n > knocks;
    knocks = knock.n;
    if (!fresh || knock.quiet) return;
    flash();
    rap();
    navigator.vibrate?.([90, 70, 90, 70, 160]);
  }

  function flash() {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches, el = byId("flash");
    el.className = "";
    void el.offsetWidth;
    el.className = calm ? "soft" : "hit";
    setTimeout(() => { el.className = ""; }, calm ? 3000 : 900);
  }

  function rap() {
    if (!sound || !loud) return;
    for (const [at, pitch] of [[0, 196], [0.17, 185], [0.34, 208]]) {
      const t = sound.currentTime + at, wood = sound.createOscillator(), air = sound.createGain();
      wood.type = "triangle";
      wood.frequency.setValueAtTime(pitch * 2, t);
      wood.frequency.exponentialRampToValueAtTime(pitch, t + 0.04);
      air.gain.setValueAtTime(0.9, t);
      air.gain.exponentialRampToValueAtTime(0.001, t + 0.13);
      wood.connect(air).connect(sound.destination);
      wood.start(t);
      wood.stop(t + 0.14);
    }
  }

  async function stayAwake() {
    if (!("wakeLock" in navigator) || document.hidden || (lock && !lock.released)) return;
    try { lock = await navigator.wakeLock.request("screen"); } catch { lock = null; }
  }

  function touched() {
    sound ??= window.AudioContext ? new AudioContext() : null;
    sound?.resume();
    stayAwake();
  }
  for (const touch of ["pointerup", "click", "keydown"]) addEventListener(touch, touched);

  // --- this phone's own switches ------------------------------------------------------------------
  const soundKey = byId("sound"), themeKey = byId("theme");
  soundKey.hidden = themeKey.hidden = false;
  soundKey.setAttribute("aria-pressed", String(loud));
  soundKey.addEventListener("click", () => {
    loud = !loud;
    localStorage.setItem("sound", loud ? "on" : "off");
    soundKey.setAttribute("aria-pressed", String(loud));
    if (loud) rap();
  });
  themeKey.addEventListener("click", () => {
    const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "night");
    const next = now === "night" ? "light" : "night";
    root.dataset.theme = next;
    document.cookie = `theme=${next}; path=/; max-age=31536000; samesite=strict`;
  });

  listen();
})();
