// The dashboard: asks the API, is told of changes, and says so when it no longer is.
import { element } from "/static/show.js";
import { pages } from "/static/pages.js";

const page = document.body.dataset.page;
const content = document.getElementById("content"), live = document.getElementById("live"), notice = document.getElementById("notice");
let session = null, heard = 0;

export function say(text) {
  notice.hidden = !text;
  notice.textContent = text;
}

export async function ask(path, { method = "GET", body = null } = {}) {
  const headers = { accept: "application/json" };
  if (body) headers["content-type"] = "application/json";
  if (session) headers["x-csrf-token"] = session.csrf_token;
  const answer = await fetch(path, { method, headers, body: body ? JSON.stringify(body) : null });
  const told = await answer.json();
  if (answer.ok) return told;
  if (answer.status === 401 && page !== "login") location.assign("/login");
  throw new Error(told.error ? told.error.message : `HTTP ${answer.status}`);
}

// Do something, with its button out of reach until it is done; errors stand at the top of the page.
export async function act(button, work) {
  button.disabled = true;
  say("");
  try { await work(); } catch (error) { say(error.message); } finally { button.disabled = false; }
}

async function draw() {
  try {
    const made = await pages[page].draw({ ask, act, say, session, redraw: draw });
    const kept = document.activeElement && content.contains(document.activeElement) && document.activeElement.closest("form");
    if (!kept) content.replaceChildren(made);
  } catch (error) {
    say(error.message);
    if (content.textContent === "Loading…") content.replaceChildren(element("p", { class: "muted" }, "This could not be loaded."));
  }
}

function listen(families) {
  const stream = new EventSource(`/api/live?families=${families}`);
  let waiting = null;
  const hear = () => { heard = Date.now(); };
  stream.addEventListener("beat", hear);
  stream.addEventListener("ended", () => location.assign("/login"));
  stream.addEventListener("news", () => {
    hear();
    waiting ??= setTimeout(() => { waiting = null; draw(); }, 1000);
  });
  // Reconnects by itself; the clock below says how old the page is meanwhile.
  setInterval(() => {
    const age = Math.round((Date.now() - heard) / 1000), stale = age > 5;
    live.textContent = !heard ? "connecting…" : stale ? `stale for ${age} s` : "live";
    live.className = stale ? "down" : "up";
  }, 1000);
}

async function start() {
  if (page === "login") { live.hidden = true; return draw(); }
  try { session = await ask("/api/session"); } catch (error) { say(error.message); return; }
  const leave = element("button", { type: "button" }, "Log out");
  leave.addEventListener("click", () => act(leave, async () => { await ask("/api/session", { method: "DELETE" }); location.assign("/login"); }));
  document.getElementById("who").append(`${session.name} (${session.role}) `, leave);
  await draw();
  listen(pages[page].families || "telemetry");
}

start();
