// Not paired, or not any more: go on to the page as soon as this phone is paired (again). A cookie
// that a link from another site left out comes along when the page itself asks.
"use strict";
(() => {
  const to = /^\/(venues|phones|wiring)?$/.test(location.pathname) ? location.pathname : "/";
  let asking = false;
  async function look() {
    if (document.hidden || asking) return;
    asking = true;
    try {
      const answer = await fetch("/api/state", {
        headers: { Accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout?.(5000),
      });
      if (answer.ok) location.replace(to);
    } catch { /* not reached: again in a moment */ }
    asking = false;
  }
  look();
  setInterval(look, 3000);
  document.addEventListener("visibilitychange", look);
})();
