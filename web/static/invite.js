// The code ends: back to the list, where the new phone stands by now.
"use strict";
(() => {
  const { lasts, list } = document.querySelector(".link-text").dataset;
  setTimeout(() => location.replace(list), 1000 * lasts);
})();
