// The dashboard: asks the API, is told of changes, and says so when it no longer is.
import { chip, element } from "/static/show.js";
import { pages } from "/static/pages.js";

const page = document.body.dataset.page;
const at = (id) => document.getElementById(id);
const content = at("content"), live = at("live"), notice = at("notice");
let session = null, heard = 0, feed = null;

export function say(text) {
  notice.hidden = !text;
  notice.textContent = text;
}

export async function ask(path, { method = "GET", body = null } = {}) {
  const headers = { accept: "application/json" };
  if (body) headers["content-type"] = "application/json";
  if (session) headers["x-csrf-token"] = session.csrf_token;
  let answer;
  try { answer = await fetch(path, { method, headers, body: body ? JSON.stringify(body) : null }); } catch {
    throw new Error("The api does not answer; is it running? (fleet status)");
  }
  const told = await answer.json();
  if (answer.ok) return told;
  if (answer.status === 401 && page !== "login") location.assign("/login");
  throw new Error(told.error ? told.error.message : `HTTP ${answer.status}`);
}

// Do something, with its button out of reach until it is done; errors stand at the top of the page.
export async function act(button, work) {
  button.disabled = true;
  say("");
  try { await work(); } catch (error) { say(error.message); notice.scrollIntoView({ block: "center" }); } finally { button.disabled = false; }
}

const context = { ask, act, say, redraw: () => draw(true), get session() { return session; } };
const reachable = () => [...content.querySelectorAll("a,button,input,select,textarea,summary,[tabindex]")];

// Put the new content in place of the old one, with the focus, the scrolled tables and the opened parts as they were.
function replace(made) {
  const place = reachable().indexOf(document.activeElement);
  const scrolled = [...content.querySelectorAll(".scroll, pre")].map((each) => [each.scrollLeft, each.scrollTop]);
  const opened = [...content.querySelectorAll("details")].map((each) => each.open);
  content.replaceChildren(made);
  content.querySelectorAll("details").forEach((each, number) => { each.open = opened[number] ?? each.open; });
  content.querySelectorAll(".scroll, pre").forEach((each, number) => { [each.scrollLeft, each.scrollTop] = scrolled[number] ?? [0, 0]; });
  if (place >= 0) reachable()[place]?.focus({ preventScroll: true });
}

async function draw(asked = false) {
  try {
    const made = await pages[page].draw(context);
    // Somebody who is filling in a form is not disturbed by news.
    const busy = !asked && content.contains(document.activeElement) && document.activeElement.closest("form");
    if (!busy) replace(made);
    content.setAttribute("aria-busy", "false");
  } catch (error) {
    say(error.message);
    if (content.textContent === "Loading…") content.replaceChildren(element("p", { class: "empty" }, "This could not be loaded."));
  }
}

async function showState() {
  try {
    const [info, states, broker] = await Promise.all([ask("/api/system/info"), ask("/api/trading-states"), ask("/api/broker")]);
    const worst = states.rows.find((row) => row.scope_kind === "account") ?? { state: "active" };
    const halted = states.rows.some((row) => row.state !== "active");
    at("state").replaceChildren(chip(info.profile, info.profile === "live" ? "warn" : ""),
      chip(halted ? worst.state === "active" ? "partly halted" : worst.state : "trading", halted ? "down" : "up"),
      // On paper nobody needs to see that all is well with the broker's token.
      ...(broker.broker === "paper" && broker.state === "valid" ? [] : [chip(`broker ${broker.state}`, { valid: "up", expiring: "warn" }[broker.state] ?? "down")]));
  } catch { at("state").replaceChildren(); }
}

// How far what stands on the page can be trusted: what the header says, its colour, and what is to be said besides.
function condition(now) {
  const seconds = (since) => `${Math.round((now - since) / 1000)} s`;
  if (!heard) return ["connecting…", "", ""];
  if (now - heard > 5000) return [`stale for ${seconds(heard)}`, "down", "Nothing has come from the api for a while: what you see may be old. Reconnecting…"];
  if (!feed) return ["no feed", "warn", ""];
  if (now - feed.heard > feed.limit) return [`feed silent for ${seconds(feed.heard)}`, "down", "The ingestor has not been heard for a while: prices may be old (fleet logs ingestor)."];
  return ["live", "up", ""];
}

// A heartbeat is no reason to hurry: what it changes is drawn now and then, what is traded at once.
const SOON_MS = 1000, NOW_AND_THEN_MS = 3000;

function listen({ families = "telemetry", hear = null, redraw = families }) {
  const stream = new EventSource(`/api/live?families=${families},risk,config`), own = families.split(","), drawn = redraw ? redraw.split(",") : [];
  let waiting = null, due = Infinity;
  const drawIn = (wait_ms) => {
    if (Date.now() + wait_ms >= due) return;
    clearTimeout(waiting);
    due = Date.now() + wait_ms;
    waiting = setTimeout(() => { due = Infinity; draw(); }, wait_ms);
  };
  const heartbeat = () => { heard = Date.now(); };
  stream.addEventListener("beat", (event) => {
    heartbeat();
    const { feed_age_ms: age, feed_stale_ms: limit } = JSON.parse(event.data);
    feed = age === null ? null : { heard: heard - age, limit };
  });
  stream.addEventListener("ended", () => location.assign("/login"));
  stream.addEventListener("news", (event) => {
    heartbeat();
    const news = JSON.parse(event.data);
    if (news.some((each) => /^(risk\.|config\.broker)/.test(each.topic))) showState();
    const concerned = news.filter((each) => own.includes(each.topic.split(".")[0]));
    if (!concerned.length) return;
    if (hear) hear(concerned, context);
    const changes = concerned.map((each) => each.topic.split(".")[0]).filter((family) => drawn.includes(family));
    if (changes.length) drawIn(changes.every((family) => family === "telemetry") ? NOW_AND_THEN_MS : SOON_MS);
  });
  // A page that was left may be kept for the way back, with its stream; a browser has six connections to one host.
  addEventListener("pagehide", () => stream.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  // Reconnects by itself; the clock below says how old the page is meanwhile.
  setInterval(() => {
    const [text, kind, warning] = condition(Date.now());
    live.textContent = text;
    live.className = `chip ${kind}`;
    document.body.classList.toggle("is-stale", Boolean(warning));
    at("stale").hidden = !warning;
    if (at("stale").textContent !== warning) at("stale").textContent = warning;
  }, 1000);
}

async function start() {
  if (page === "login") { live.hidden = true; return draw(); }
  try { session = await ask("/api/session"); } catch (error) { say(error.message); return; }
  const leave = element("button", { type: "button" }, "Log out");
  leave.addEventListener("click", () => act(leave, async () => { await ask("/api/session", { method: "DELETE" }); location.assign("/login"); }));
  at("who").append(element("span", { class: "name" }, `${session.name} · ${session.role}`), leave);
  listen(pages[page]);
  setInterval(showState, 60_000);  // a token comes to its end without anybody saying so
  await Promise.all([showState(), draw()]);
}

start();
