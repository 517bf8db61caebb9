// The page's life: put newer texts and states into the places that the server drew, grey out when
// nothing is heard, ask the door for things, and make a knock noticed. No words are made here.
"use strict";
(() => {
  const body = document.body, data = body.dataset, root = document.documentElement;
  const all = (what, from = document) => [...from.querySelectorAll(what)];
  const byId = (id) => document.getElementById(id);
  const STALE_MS = 3000, DELAYS_S = [0, 1, 1, 2, 3, 5, 8], TOLD_MS = 6000, DONE_MS = 1500;
  // A key is held so long; with a keyboard it is pressed twice, this far apart. A key that has just
  // appeared where another one was takes no tap for so long: the thumb was meant for the one before.
  const HOLD_MS = 800, SURE_MS = [800, 6000], GUARD_MS = 400, TWICE_MS = 300, UNKNOWN_MS = 30000;

  const within = (ms) => AbortSignal.timeout?.(ms); // phones before 2022 do without

  // --- what was heard ---------------------------------------------------------------------------
  const texts = all("[data-t]"), states = all("[data-s]"), values = all("[data-v]"), keys = all(".act button"), veil = document.querySelector(".veil");
  const told = document.querySelector(".told"), hint = document.querySelector(".hint"), undone = document.querySelector(".undone");
  let night = -1;
  let heard = { at: Date.now(), age: 0, link: data.link, told: byId("heard").textContent };
  let announced = "";

  function show(state) {
    const page = state.page;
    // Before anything is drawn: this page may not know what a newer one would.
    if (page.version !== data.version) return location.reload();
    heard = { at: Date.now(), age: state.age_ms ?? Infinity, link: state.link, told: page.t.link };
    if (page.night !== night) fetchNight(page.night);
    for (const el of texts) {
      const text = page.t[el.dataset.t];
      if (el.id !== "heard" && el.textContent !== text) el.textContent = text;
    }
    for (const el of values) {
      const value = page.t[el.dataset.v];
      if (el.value && value && el.value !== value) guard(el.closest(".guard")); // now another question
      el.value = value;
    }
    for (const el of states) {
      const value = page.s[el.dataset.s];
      if (el.dataset.state === value) continue;
      if (replaces(el, value)) guard(el);
      el.dataset.state = value;
      if (el.tagName !== "BUTTON") continue;
      if (value === "no") el.setAttribute("aria-disabled", "true");
      else el.removeAttribute("aria-disabled");
    }
    for (const name of ["mode", "house", "phase", "worst", "patience"]) data[name] = page.s[name];
    byId("ring").setAttribute("stroke-dasharray", page.ring);
    document.title = page.t.title;
    list("notices", page.notices);
    list("trial", page.trial);
    if (page.t.announce !== announced) byId("announce").textContent = announced = page.t.announce;
    settle(page.settled);
    noticeAlarms(page);
    hints();
    tick();
  }

  // Whether keys appear where other ones were: after Stop and End, and when another question is asked.
  function replaces(el, value) {
    if (el.matches(".slot")) return el.dataset.state === "stop";
    if (el.matches(".let")) return value === "none";
    return el.matches(".asked, .settle") && all(".asked, .settle").some((one) => !["none", "calm"].includes(one.dataset.state));
  }
  function guard(el) { if (el) el.changedAt = Date.now(); }
  function tooSoon(form) {
    // Stop stands where a tap has just let in: the second half of a double tap does not mean it.
    if (form.matches(".stop") && Date.now() - (form.parentElement.askedAt ?? 0) < TWICE_MS) return true;
    for (let el = form.closest(".guard"); el; el = el.parentElement.closest(".guard"))
      if (Date.now() - (el.changedAt ?? 0) < GUARD_MS) return true;
    return false;
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
    place.parentElement.tabIndex = place.parentElement.scrollHeight > place.parentElement.clientHeight ? 0 : -1;
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
    const known = live || !Number.isFinite(age), link_words = known ? heard.told : data.heard.replace("%s", span(age));
    if (byId("heard").textContent !== link_words) byId("heard").textContent = link_words;
    if (!live) veil.dataset.told = known ? heard.told : data.look.replace("%s", span(age));
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

  // --- asking the door: pressed, held, pending, done or refused, in the same place ----------------
  function tell(kind, words, forMs = TOLD_MS) {
    clearTimeout(told.timer);
    told.dataset.kind = kind;
    told.textContent = words;
    if (forMs) told.timer = setTimeout(hush, forMs);
  }

  function hush() {
    told.textContent = "";
    delete told.dataset.kind;
  }

  function phase(button, name, forMs) {
    clearTimeout(button.timer);
    if (name) button.dataset.phase = name;
    else delete button.dataset.phase;
    if (forMs) button.timer = setTimeout(() => { delete button.dataset.phase; }, forMs);
    tick();
  }

  const unknown = new Map(); // taps without an answer, until a state brings it: tap -> its button

  async function ask(form, button) {
    const fields = new FormData(form), tap = String(Math.random()).slice(2);
    fields.delete("ask");
    fields.set("tap", tap);
    form.closest("details.pad")?.removeAttribute("open");
    if (form.closest(".slot")) form.closest(".slot").askedAt = Date.now();
    phase(button, "pending");
    tell("pending", data.pending, 0);
    let answer = { state: "not_answered", words: data.lost };
    try {
      const response = await fetch(form.action, {
        method: "POST", body: fields, signal: within(6000),
        headers: { "X-CSRFToken": data.csrf, Accept: "application/json" },
      });
      if (response.status === 403) return location.reload();
      answer = { ...answer, ...(await response.json()) };
    } catch { /* said below: nobody knows what became of it */ }
    if (answer.state === "not_answered" && answer.reason !== "Offline") unknown.set(tap, button);
    answered(button, answer.state, answer.words);
    button.focus({ preventScroll: true });
    if (answer.state === "done" && form.matches(".top")) scrollTo(0, 0); // there it goes on
  }

  function answered(button, state, words) {
    const done = state === "done";
    tell(state, words, state === "not_answered" ? UNKNOWN_MS : TOLD_MS);
    phase(button, done ? "done" : "refused", done ? DONE_MS : TOLD_MS);
  }

  function settle(answers) {
    for (const [tap, button] of unknown) {
      if (!answers[tap]) continue;
      unknown.delete(tap);
      answered(button, ...answers[tap]);
    }
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches(".pin")) {
      event.preventDefault();
      fetch(form.action, { method: "POST", headers: { Accept: "application/json" } }).catch(() => {});
    }
    if (!form.matches(".act")) return;
    event.preventDefault();
    const button = form.querySelector("button"), touch = touched === button;
    touched = null;
    if (button.disabled || ["pending", "done"].includes(button.dataset.phase) || tooSoon(form)) return;
    if (button.dataset.state === "no") return tell("refused", form.closest(".group")?.querySelector(".why")?.textContent || "");
    if (!isHeld(button)) return ask(form, button);
    if (touch) return tell("sure", data.hold);
    // A keyboard or a screen reader cannot hold: twice, and not by a key that bounces.
    const since = Date.now() - (button.armedAt ?? 0);
    if (button.dataset.phase === "sure" && since >= SURE_MS[0]) return ask(form, button);
    if (button.dataset.phase === "sure") return;
    button.armedAt = Date.now();
    phase(button, "sure", SURE_MS[1]);
    tell("sure", data.sure);
  });

  // --- held down: the ring fills while the thumb stays on the key ---------------------------------
  let touched = null, letGo = () => {};
  const isHeld = (button) => "hold" in button.dataset || button.dataset.state === "ask";

  document.addEventListener("pointerdown", (event) => {
    letGo();
    touched = event.target.closest?.(".act button") ?? null;
    if (touched && isHeld(touched) && event.isPrimary && !event.button) hold(touched);
  });
  for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => letGo());
  document.addEventListener("visibilitychange", () => letGo());
  document.addEventListener("pointermove", (event) => {
    const key = document.elementFromPoint(event.clientX, event.clientY)?.closest("button");
    if (key !== touched) letGo();
  });
  document.addEventListener("contextmenu", (event) => { if (touched && isHeld(touched)) event.preventDefault(); });
  document.addEventListener("keydown", (event) => { if (event.repeat && event.target.closest?.(".act button")) event.preventDefault(); });

  function hold(button) {
    const form = button.form;
    if (button.disabled || button.dataset.phase) return;
    let held = 0, last = performance.now(), frame = requestAnimationFrame(fill);
    phase(button, "held");
    tell("sure", data.hold, 0);
    letGo = () => {
      cancelAnimationFrame(frame);
      letGo = () => {};
      button.style.removeProperty("--held");
      if (button.dataset.phase === "held") { phase(button, ""); tell("sure", data.hold); }
    };
    // A page that stands still meanwhile has not seen the thumb: no frame counts for more than this.
    function fill(now) {
      held += Math.min(Math.max(now - last, 0), 150);
      last = now;
      button.style.setProperty("--held", Math.min(held / HOLD_MS, 1));
      if (button.disabled || !isHeld(button)) return letGo();
      if (held < HOLD_MS) { frame = requestAnimationFrame(fill); return; }
      phase(button, "");
      letGo();
      navigator.vibrate?.(30);
      ask(form, button);
    }
  }

  for (const pad of all("details.pad")) {
    pad.addEventListener("click", (event) => { if (event.target === pad) pad.open = false; });
  }
  document.addEventListener("click", (event) => { for (const pad of all("details.pad[open]")) if (!pad.contains(event.target)) pad.open = false; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") for (const pad of all("details.pad[open]")) { pad.open = false; pad.firstElementChild.focus(); } });

  // --- an alarm is noticed: each kind by a sound and a shake of its own ---------------------------
  // Sounds: seconds from now, Hz, seconds long, wave. Shakes: ms on, off, on ...
  const ALARMS = {
    hatch: [[[0, 400, 0.13], [0.17, 370, 0.13], [0.34, 416, 0.13]], [90, 70, 90, 70, 160]],
    door: [[[0, 220, 0.2], [0.3, 220, 0.2]], [200, 120, 200]],
    last_call: [[[0, 660, 0.5], [0.5, 880, 0.7]], [400]],
    time_up: [[[0, 880, 0.5], [0.5, 660, 0.5], [1, 440, 0.8]], [400, 150, 400]],
    over: [[[0, 988, 0.12], [0.2, 988, 0.12], [0.4, 988, 0.12], [0.6, 988, 0.4]], [100, 60, 100, 60, 100, 60, 500]],
    door_alarm: [[[0, 700, 0.3, "square"], [0.3, 500, 0.3, "square"], [0.6, 700, 0.3, "square"], [0.9, 500, 0.3, "square"]], [300, 80, 300, 80, 300]],
    evacuation: [[[0, 500, 0.5, "sawtooth"], [0.5, 950, 0.5, "sawtooth"], [1, 500, 0.5, "sawtooth"], [1.5, 950, 0.5, "sawtooth"]], [600, 150, 600, 150, 600, 150, 600]],
    fault: [[[0, 330, 0.25], [0.3, 262, 0.5]], [150, 100, 150]],
  };
  const LATE_MS = 5000; // a state follows its event within this; longer, and it was answered meanwhile
  let sound = null, lock = null, loud = stored("sound") !== "off";
  const muted = new Set((stored("muted") || "").split(","));
  const raised = {}, waitingSince = {};
  for (const [kind, [count]] of Object.entries(JSON.parse(data.alerts))) raised[kind] = count;

  function stored(name) { try { return localStorage.getItem(name); } catch { return null; } }
  function store(name, value) { try { localStorage.setItem(name, value); } catch { /* private mode: for this visit only */ } }

  function noticeAlarms(page) {
    const waiting = page.s.waiting === "yes" || page.s.doorknock === "yes";
    const icon = waiting ? data.iconKnock : data.icon;
    if (!byId("icon").href.endsWith(icon)) byId("icon").href = icon;
    for (const [kind, [count, stands, quiet]] of Object.entries(page.alerts)) {
      if (count === raised[kind]) { delete waitingSince[kind]; continue; }
      // Its state is still to come; or it was answered while this phone slept.
      if (!stands && count > raised[kind] && Date.now() - (waitingSince[kind] ??= Date.now()) < LATE_MS) continue;
      const fresh = stands && count > raised[kind];
      raised[kind] = count;
      if (fresh && !quiet && !muted.has(kind)) raise(kind);
    }
  }

  function raise(kind) {
    flash(kind);
    play(kind);
    navigator.vibrate?.(ALARMS[kind][1]);
  }

  function flash(kind) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches, el = byId("flash");
    el.className = "";
    void el.offsetWidth;
    el.className = calm ? "soft" : "hit";
    el.dataset.kind = kind;
    setTimeout(() => { el.className = ""; }, calm ? 3000 : 900);
  }

  async function play(kind) {
    if (!sound || !loud) return;
    if (sound.state !== "running") try { await sound.resume(); } catch { return; }
    for (const [at, pitch, long, wave] of ALARMS[kind][0]) {
      const t = sound.currentTime + at, tone = sound.createOscillator(), air = sound.createGain();
      tone.type = wave || "triangle";
      tone.frequency.value = pitch;
      air.gain.setValueAtTime(0.9, t);
      air.gain.setValueAtTime(0.9, t + long * 0.3);
      air.gain.exponentialRampToValueAtTime(0.001, t + long);
      tone.connect(air).connect(sound.destination);
      tone.start(t);
      tone.stop(t + long);
    }
  }

  async function stayAwake() {
    if (!("wakeLock" in navigator) || document.hidden || (lock && !lock.released)) return;
    try { lock = await navigator.wakeLock.request("screen"); } catch { lock = null; }
  }

  // What this phone lacks stands in the line of messages while nothing else does.
  let lastTouch = 0, wentDark = 0;
  const lacks = [];
  function lack(words, once) {
    if (once && stored(once)) return;
    if (once) store(once, "said");
    lacks.push({ words, until: once ? Date.now() + 15000 : Infinity });
    hints();
  }
  function hints() {
    const now = Date.now(), deaf = loud && sound?.state !== "running";
    while (lacks.length && lacks[0].until < now) lacks.shift();
    undone.hidden = !undone.textContent;
    const words = undone.textContent || lacks[0]?.words || (deaf ? data.deaf : "");
    soundKey.classList.toggle("deaf", deaf);
    if (undone.textContent) { hint.lastChild.data = ""; return; }
    if (hint.lastChild.data !== words) hint.lastChild.data = words;
  }

  function used() {
    if (!sound && window.AudioContext) {
      sound = new AudioContext();
      sound.onstatechange = hints;
    }
    lastTouch = Date.now();
    sound?.resume().then(hints, () => {});
    stayAwake();
    if (!("wakeLock" in navigator)) lack(data.dark, "dark");
  }
  for (const touch of ["pointerup", "click", "keydown"]) addEventListener(touch, used);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) {
      sound?.resume().then(hints, () => {});
      if (wentDark && !("wakeLock" in navigator)) lack(data.darkened.replace("%s", span(wentDark)), "darkened");
      wentDark = 0;
    } else if (lastTouch && Date.now() - lastTouch > 9000) wentDark = Date.now() - lastTouch;
  });

  // --- this phone's own switches ------------------------------------------------------------------
  const soundKey = byId("sound"), themeKey = byId("theme");
  soundKey.hidden = themeKey.hidden = false;
  soundKey.setAttribute("aria-pressed", String(loud));
  soundKey.addEventListener("click", () => {
    loud = !loud;
    store("sound", loud ? "on" : "off");
    soundKey.setAttribute("aria-pressed", String(loud));
    if (loud) play("hatch");
    hints();
  });
  document.querySelector(".sounds").hidden = false;
  for (const key of all("[data-kind]")) {
    const kind = key.dataset.kind;
    key.setAttribute("aria-pressed", String(!muted.has(kind)));
    key.addEventListener("click", () => {
      if (!muted.delete(kind)) muted.add(kind);
      store("muted", [...muted].filter(Boolean).join());
      key.setAttribute("aria-pressed", String(!muted.has(kind)));
      if (!muted.has(kind)) play(kind);
    });
  }
  themeKey.addEventListener("click", () => {
    const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "night");
    const next = now === "night" ? "light" : "night";
    root.dataset.theme = next;
    for (const meta of all("meta[name=theme-color]")) meta.content = next === "night" ? "#120e0b" : "#f6ecdb";
    document.cookie = `theme=${next}; path=/; max-age=31536000; samesite=strict`;
  });

  hint.append("");
  setInterval(hints, 1000);
  if ("serviceWorker" in navigator && location.protocol === "https:") navigator.serviceWorker.register("/sw.js").catch(() => {});
  listen();
})();
