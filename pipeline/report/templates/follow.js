"use strict";
const EVERY_MS = 2000;
const state = document.getElementById("state");
let seen = "";

function put(id, html) {
  const place = document.getElementById(id);
  const open = new Map();
  for (const one of place.querySelectorAll("details")) open.set(one.dataset.key, one.open);
  const focused = place.contains(document.activeElement)
    ? document.activeElement.closest("details")?.dataset.key : undefined;
  place.innerHTML = html;
  for (const one of place.querySelectorAll("details")) {
    if (open.has(one.dataset.key)) one.open = open.get(one.dataset.key);
    if (one.dataset.key === focused) one.querySelector("summary").focus({ preventScroll: true });
  }
}

async function follow() {
  try {
    const answer = await fetch(`/now?seen=${encodeURIComponent(seen)}`);
    if (answer.status === 200) {
      const now = await answer.json();
      if (now.wrong) {
        state.textContent = now.wrong;
      } else {
        for (const [id, html] of Object.entries(now.parts)) put(id, html);
        seen = now.version;
        state.textContent = `Following; last change at ${new Date().toLocaleTimeString()}.`;
      }
    }
  } catch (error) {
    state.textContent = "The server has ended; these are the last numbers.";
    return;
  }
  setTimeout(follow, EVERY_MS);
}

follow();
