// How values look: INR and IST for people, tables from rows. Text only ever becomes text, never markup.
const rupees = new Intl.NumberFormat("en-IN", { style: "currency", currency: "INR" });
const figures = new Intl.NumberFormat("en-IN", { maximumFractionDigits: 2 });
const prices = new Intl.NumberFormat("en-IN", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const moments = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Kolkata", day: "2-digit", month: "short", hour: "2-digit",
  minute: "2-digit", second: "2-digit", hour12: false });
const days = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "2-digit", month: "short", year: "numeric" });
const DAYS = new Set(["date_from", "date_to", "trading_date", "valid_from", "valid_to"]);
const PRICES = new Set(["open", "high", "low", "close", "price", "price_average", "price_mark", "price_limit", "last", "change", "open_day", "high_day", "low_day", "stop", "target"]);
const NAMES = { scope_kind: "Applies to", scope: "Which", price_average: "Average", price_mark: "Last", price_trigger: "Trigger", profit_realised: "Realised",
  profit_unrealised: "Unrealised", fees: "Charges", strategy_id: "Strategy", scan_id: "Scan", created_at: "Made", timestamp: "Time", requested_at: "Asked", at: "Time",
  order_type: "Type", signal_type: "Signal", quantity_filled: "Filled", is_enabled: "On", is_active: "Active", present_percent: "Present", return_percent: "Return", change_percent: "Change %",
  fall_percent: "Deepest fall", date_from: "From", date_to: "To", symbols: "Symbols", check_name: "Check", set_by: "By", since: "Since", seen_at: "Last seen", expires_at: "Ends",
  revoked_at: "Ended", used_at: "Last used", made_at: "Made", updated_at: "Changed", user_agent: "Browser", subject_key: "Which", trading_date: "Day", limit_name: "Limit",
  store: "Store", path: "Where", bytes: "Size", severity_min: "From", token_name: "For", scopes: "May", parameters: "Parameters", volume_day: "Volume", open_day: "Open", high_day: "High", low_day: "Low" };
// What the machine says, in a trader's words.
const SAYS = { green: "healthy", amber: "degraded", yellow: "degraded", red: "failing", "sends none": "none expected", exchange_sim: "exchange simulator",
  historical: "history", live_buffer: "today", backtest_index: "backtests", sl: "stop limit", sl_m: "stop", market_data: "market data" };
const GOOD = new Set(["green", "RUNNING", "ok", "filled", "complete", "done", "trading", "enter_long", "exit_short", "buy", "finished", "verified", "whole", "active", "valid"]);
const BAD = new Set(["red", "FATAL", "BACKOFF", "EXITED", "STOPPED", "corrupt", "rejected", "failed", "halted", "killed", "enter_short", "exit_long", "sell", "error", "critical", "never heard"]);
const WARN = new Set(["amber", "yellow", "missing", "unavailable", "STARTING", "STOPPING", "partial", "reducing", "unknown", "queued", "running", "warning", "stale", "partially_filled"]);
const CHIPS = new Set(["state", "status", "heartbeat", "signal_type", "side", "severity", "role"]);
// Columns that hold a word of the machine's: it is spelt out, and the word itself stays in the tooltip.
const WORDS = new Set(["strategy_id", "strategy", "instance", "check_name", "kind", "cause", "scope_kind", "order_type", "scan_id", "service", "store", "subject"]);

export const dayOf = (text) => days.format(new Date(`${text}T00:00:00Z`));
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

const SHORT = /\b(adx|api|atr|ema|macd|rsi|sma|vwap)\b/g;
export const words = (text) => SAYS[text] ?? (/^[A-Z]+$/.test(text) ? text.toLowerCase() : String(text).replaceAll("_", " ").replace(SHORT, (found) => found.toUpperCase()));
export const spelt = (text) => { const found = words(text); return found[0].toUpperCase() + found.slice(1); };
// account_loss_day_max_rupees: Account loss a day.
export const limitName = (name) => spelt(name.replace(/_(rupees|percent|s|min)$/, "").replace(/_max$|_max(?=_)/, "").replace(/_day\b/, "_a_day"));
export const percent = (value) => `${prices.format(value)} %`;
export const chip = (text, kind = GOOD.has(text) ? "up" : BAD.has(text) ? "down" : WARN.has(text) ? "warn" : "") =>
  element("span", { class: `chip ${kind}` }, words(text));

export function listed(value) {
  const found = JSON.parse(value);
  return Array.isArray(found) ? found.join(", ") : Object.entries(found).map(([name, one]) => `${words(name)} ${{ true: "yes", false: "no" }[one] ?? one}`).join(", ") || "defaults";
}

export function shown(name, value) {
  if (value === null || value === undefined || value === "") return name.startsWith("price") || name.startsWith("profit") ? "–" : "";
  if (value instanceof Node) return value;
  if (name.endsWith("_us")) return moment(value);
  if (name.endsWith("_paise")) return money(value);
  if (name === "symbol") return element("a", { href: `/charts?symbol=${encodeURIComponent(value)}` }, value);
  if (WORDS.has(name)) return element("span", { title: value }, spelt(value));
  if (DAYS.has(name)) return dayOf(value);
  if (name.endsWith("_percent")) return percent(value);
  if (name === "confidence") return `${figures.format(100 * value)} %`;
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
  return NAMES[bare] ?? spelt(bare);
}

// Columns that stand only where a row has something in them.
const RARE = new Set(["price_trigger", "reason", "stop", "target", "error", "equity", "done", "scope", "detail", "revoked_at_us", "freeze_quantity", "valid_to"]);

// A table of some columns; `acts` gives each row its buttons. No rows: says what that means.
export function table(rows, wanted, { empty = "Nothing yet.", acts = null, caption = "", names = {}, right = [] } = {}) {
  if (!rows.length) return element("p", { class: "empty" }, empty);
  const columns = wanted.filter((name) => !RARE.has(name) || rows.some((row) => row[name] !== null && row[name] !== undefined && row[name] !== ""));
  const isNumber = (name) => rows.some((row) => typeof row[name] === "number") && !name.endsWith("_us") && !name.startsWith("is_");
  const numbers = new Set(columns.filter((name) => isNumber(name) || right.includes(name)));
  const side = (name) => (numbers.has(name) ? "number" : "");
  const head = columns.map((name) => element("th", { scope: "col", class: side(name) }, names[name] ?? heading(name)));
  const lines = rows.map((row) => element("tr", {}, ...columns.map((name) => {
    const sign = /^(profit|change)/.test(name) && row[name] ? (row[name] > 0 ? " up" : " down") : "";
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
