// How values look: INR and IST for people, tables from rows. Text only ever becomes text, never markup.
const rupees = new Intl.NumberFormat("en-IN", { style: "currency", currency: "INR" });
const figures = new Intl.NumberFormat("en-IN", { maximumFractionDigits: 2 });
const prices = new Intl.NumberFormat("en-IN", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const moments = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Kolkata", day: "2-digit", month: "short", hour: "2-digit",
  minute: "2-digit", second: "2-digit", hour12: false });
const PRICES = new Set(["open", "high", "low", "close", "price", "price_average", "price_mark", "price_limit", "last"]);
const NAMES = { scope_kind: "Applies to", price_average: "Average", price_mark: "Last", profit_realised: "Realised",
  profit_unrealised: "Unrealised", strategy_id: "Strategy", created_at: "Made", timestamp: "Time", requested_at: "Asked", at: "Time",
  order_type: "Type", signal_type: "Signal", is_enabled: "On", present_percent: "Present %", return_percent: "Return %", fall_percent: "Fall %", date_from: "From", date_to: "To", symbols: "Symbols" };
const GOOD = new Set(["green", "RUNNING", "ok", "filled", "complete", "done", "trading", "enter_long", "exit_short", "buy", "finished", "verified"]);
const BAD = new Set(["red", "FATAL", "BACKOFF", "EXITED", "STOPPED", "corrupt", "rejected", "failed", "halted", "killed", "enter_short", "exit_long", "sell", "error", "critical", "never heard"]);
const WARN = new Set(["amber", "yellow", "missing", "unavailable", "STARTING", "STOPPING", "partial", "reducing", "unknown", "queued", "running", "warning", "stale", "partially_filled"]);
const CHIPS = new Set(["state", "status", "heartbeat", "signal_type", "side", "severity", "role"]);

export const moment = (us) => (us ? moments.format(new Date(us / 1000)).replace(",", "") : "");
export const money = (paise) => rupees.format(paise / 100);
export const number = (value) => figures.format(value);
export const price = (value) => prices.format(value);

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const words = (text) => String(text).replaceAll("_", " ");
export const chip = (text, kind = GOOD.has(text) ? "up" : BAD.has(text) ? "down" : WARN.has(text) ? "warn" : "") =>
  element("span", { class: `chip ${kind}` }, words(text));

function listed(value) {
  const found = JSON.parse(value);
  return Array.isArray(found) ? found.join(", ") : Object.entries(found).map(([name, one]) => `${name} ${one}`).join(", ") || "defaults";
}

export function shown(name, value) {
  if (value === null || value === undefined || value === "") return name.startsWith("price") || name.startsWith("profit") ? "–" : "";
  if (value instanceof Node) return value;
  if (name.endsWith("_us")) return moment(value);
  if (name.endsWith("_paise")) return money(value);
  if (name === "user_agent") return value.match(/(Firefox|Edg|\w*Chrome|Safari)\/\d+/)?.[0] ?? value.slice(0, 40);
  if (name === "bytes") return value < 1e6 ? `${figures.format(value / 1e3)} kB` : `${figures.format(value / 1e6)} MB`;
  if (name.endsWith("_json")) return listed(value);
  if (name.startsWith("is_")) return value ? "yes" : "no";
  if (CHIPS.has(name)) return chip(value);
  if (PRICES.has(name)) return price(value);
  if (typeof value === "number") return figures.format(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function heading(name) {
  const bare = name.replace(/_(us|paise|json)$/, "");
  const text = NAMES[bare] ?? words(bare);
  return text[0].toUpperCase() + text.slice(1);
}

// A table of some columns; `acts` gives each row its buttons. No rows: says what that means.
export function table(rows, columns, { empty = "Nothing yet.", acts = null, caption = "" } = {}) {
  if (!rows.length) return element("p", { class: "empty" }, empty);
  const isNumber = (name) => rows.some((row) => typeof row[name] === "number") && !name.endsWith("_us") && !name.startsWith("is_");
  const numbers = new Set(columns.filter(isNumber));
  const side = (name) => (numbers.has(name) ? "number" : "");
  const head = columns.map((name) => element("th", { scope: "col", class: side(name) }, heading(name)));
  const lines = rows.map((row) => element("tr", {}, ...columns.map((name) => {
    const sign = name.startsWith("profit") && row[name] ? (row[name] > 0 ? " up" : " down") : "";
    return element("td", { class: side(name) + sign }, shown(name, row[name]));
  }), ...(acts ? [element("td", { class: "acts" }, ...acts(row))] : [])));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption || columns.map(heading).join(", ") },
    element("table", {}, element("thead", {}, element("tr", {}, ...head, ...(acts ? [element("td", {}, "")] : []))),
      element("tbody", {}, ...lines)));
}

export const section = (title, ...children) => element("section", {}, element("h2", {}, title), ...children);
export const card = (title, value, note = "", kind = "") =>
  element("section", { class: "card" }, element("h2", {}, title), element("p", { class: kind }, value), note ? element("small", {}, note) : null);

// Candles as a plain drawing: rows are [timestamp_us, open, high, low, close, volume].
export function candleChart(rows) {
  const space = "http://www.w3.org/2000/svg";
  const make = (tag, attributes, text = "") => {
    const made = document.createElementNS(space, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.textContent = text;
    return made;
  };
  const [width, height, right] = [1000, 400, 60];
  const chart = make("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${rows.length} candles, last close ${rows.at(-1)[4]}` });
  const high = Math.max(...rows.map((row) => row[2])), low = Math.min(...rows.map((row) => row[3]));
  const most = Math.max(1, ...rows.map((row) => row[5]));
  const y = (value) => 10 + (300 * (high - value)) / (high - low || 1);
  // A few candles do not fill the width: they would be walls.
  const step = Math.min(14, (width - right) / rows.length);
  rows.forEach(([at, open, top, bottom, close, volume], place) => {
    const x = width - right - (rows.length - place) * step + step / 2, kind = close >= open ? "up" : "down";
    const group = make("g", { class: kind });
    group.append(make("title", {}, `${moment(at)}  O ${open} H ${top} L ${bottom} C ${close} V ${volume}`));
    group.append(make("line", { x1: x, x2: x, y1: y(top), y2: y(bottom) }));
    group.append(make("rect", { x: x - step * 0.35, width: step * 0.7, y: y(Math.max(open, close)),
      height: Math.max(1, Math.abs(y(open) - y(close))) }));
    group.append(make("rect", { x: x - step * 0.35, width: step * 0.7, y: 395 - (70 * volume) / most,
      height: (70 * volume) / most, opacity: 0.4 }));
    chart.append(group);
  });
  for (const value of [high, (high + low) / 2, low]) chart.append(make("text", { x: width - right + 6, y: y(value) + 4 }, value.toFixed(2)));
  return chart;
}
