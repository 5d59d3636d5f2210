// What lives: the overview of fleet and market, and the watchlists.
import { card, chip, element, moment, money, number, percent, price, section, table, words } from "/static/show.js";
import { button, change, failed, field, form, list, rows, settle, split } from "/static/forms.js";
import { ORDERS, POSITIONS, SIGNALS } from "/static/trading.js";

const QUOTES = ["symbol", "last", "change", "change_percent", "open_day", "high_day", "low_day", "volume_day", "timestamp_us"];
const INDEXES = ["NIFTY", "NIFTY 50", "BANKNIFTY", "SENSEX"], TILES = 8;
const quotes = new Map();
const changed = (value, base) => (base ? value - base : 0);

// What was heard of a symbol; the day's figures are the api's, the newest price is what came last.
function hear(news) {
  for (const { topic, payload } of news) {
    const known = quotes.get(payload.symbol) ?? {};
    if (topic.startsWith("price.") && known.close !== undefined) {
      quotes.set(payload.symbol, { ...known, close: payload.price, timestamp_us: payload.at_us, volume_day: payload.volume_day || known.volume_day,
        high_day: Math.max(known.high_day ?? payload.price, payload.price), low_day: Math.min(known.low_day ?? payload.price, payload.price) });
    }
    if (!topic.startsWith("candle.")) continue;
    quotes.set(payload.symbol, { ...known, ...payload, high_day: Math.max(known.high_day ?? payload.high, payload.high), low_day: Math.min(known.low_day ?? payload.low, payload.low) });
  }
}
const fetched = async (ask) => { for (const row of await rows(ask, "/api/quotes")) quotes.set(row.symbol, row); };

function quoted(symbol) {
  const row = quotes.get(symbol);
  if (!row) return { symbol };
  const base = row.close_before ?? row.open_day, by = changed(row.close, base);
  return { ...row, last: row.close, change: by, change_percent: base ? (100 * by) / base : 0 };
}

const sign = (value) => (value > 0 ? "▲ " : value < 0 ? "▼ " : "");
const tone = (value) => (value > 0 ? "up" : value < 0 ? "down" : "muted");

// The indexes, then what moves most; chosen when the page is drawn, so that nothing jumps about under the finger.
let chosen = [];
function choose() {
  const moves = (row) => Math.abs(row.change_percent), all = [...quotes.keys()].map(quoted);
  chosen = [...all.filter((row) => INDEXES.includes(row.symbol)), ...all.filter((row) => !INDEXES.includes(row.symbol)).sort((one, other) => moves(other) - moves(one))].slice(0, TILES).map((row) => row.symbol);
}

function tiles() {
  if (chosen.length < TILES) choose();
  const shown = chosen.map(quoted);
  if (!shown.length) return element("p", { class: "empty", id: "tiles" }, "No price was heard yet: the market is closed, or its first minute is not over.");
  return element("div", { class: "tiles", id: "tiles" }, ...shown.map((row) => element("a", { class: "tile", href: `/charts?symbol=${encodeURIComponent(row.symbol)}` },
    element("span", {}, row.symbol), element("strong", {}, price(row.last)), element("span", { class: tone(row.change) }, `${sign(row.change)}${price(Math.abs(row.change))} · ${percent(Math.abs(row.change_percent))}`))));
}

async function services({ ask, act, session, redraw }) {
  const found = (await rows(ask, "/api/services")).map((row) => ({
    service: row.service, state: row.program ? row.program.state : "by hand",
    heartbeat: row.heartbeat ? (row.heartbeat.is_stale ? "stale" : row.heartbeat.state) : row.service === "exchange_sim" ? "sends none" : "never heard",
    age: row.heartbeat ? `${(row.heartbeat.age_ms / 1000).toFixed(1)} s` : "", detail: row.heartbeat?.detail || row.program?.detail || "" }));
  const acts = session.role === "admin" ? (row) => (row.service === "api" ? [] : [button("Restart", act, async () => {
    if (confirm(`Restart ${words(row.service)}?`)) { await ask(`/api/services/${row.service}/restart`, { method: "POST" }); await redraw(); }
  })]) : null;
  return table(found, ["service", "state", "heartbeat", "age", "detail"], { empty: "No service was heard: start the fleet with `fleet up`.", acts, caption: "Services" });
}

async function cards(ask) {
  const [risk, health, states, standing] = await Promise.all([settle(ask("/api/risk"), () => null), ask("/api/health"), settle(rows(ask, "/api/trading-states"), () => []), settle(rows(ask, "/api/alerts"), () => [])]);
  const of = (name) => health.services.find((each) => each.service === name);
  const feed = of("ingestor"), halted = states.find((row) => row.state !== "active");
  const exposure = risk?.rows.find((row) => row.limit_name === "account_exposure_max_rupees");
  const bad = health.services.filter((each) => each.is_stale || each.state !== "green");
  return element("div", { class: "cards" },
    card("Profit today", risk ? money(risk.profit_paise) : "–", "realised and open, after charges", !risk || !risk.profit_paise ? "" : risk.profit_paise > 0 ? "up" : "down"),
    card("Positions", risk ? number(risk.positions) : "–", exposure ? `${money(exposure.used * 100)} at the market` : ""),
    card("Trading", halted ? halted.state : "active", halted ? halted.reason : "new orders are allowed", halted ? "down" : "up"),
    card("Feed", feed && !feed.is_stale ? moment(feed.figures.session_us) || "waiting" : "silent", feed ? `${number(feed.figures.ticks ?? 0)} ticks, ${feed.figures.gaps === 1 ? "1 gap" : `${number(feed.figures.gaps ?? 0)} gaps`}` : "no ingestor was heard", feed && !feed.is_stale ? "" : "down"),
    card("Services", bad.length ? `${bad.length} not well` : health.services.length ? "all well" : "none heard", bad.map((each) => words(each.service)).join(", ") || `${health.services.length} heard`, bad.length ? "down" : "up"),
    card("Alerts", standing.length ? standing[0].title : "none", standing.length ? `${words(standing[0].source)}, since ${moment(standing[0].since_us || standing[0].timestamp_us)}${standing.length > 1 ? `, and ${standing.length - 1} more` : ""}` : "heard since the api started", standing.length ? "warn" : ""));
}

export const overview = { families: "telemetry,order,position,signal,alert,candle,price", redraw: "telemetry,order,position,signal,alert",
  hear(news) {
    hear(news);
    if (news.some(({ topic }) => /^(candle|price)\./.test(topic))) document.getElementById("tiles")?.replaceWith(tiles());
  },
  // The first time each part stands there as soon as it can: nobody waits for the slowest to see the market.
  async draw(context) {
    const { ask } = context, made = parts(context), shown = await (isFirst ? made.map(later) : Promise.all(made));
    isFirst = false;
    const [top, market, held, ordered, said, served, stores] = shown;
    return element("div", {}, top, section("Market", market),
      section("Positions", held, element("p", {}, element("a", { href: "/trading" }, "All positions, orders and trades"))),
      section("Newest orders", ordered), section("Newest signals", said), section("Services", served), section("Stores", stores));
  } };

let isFirst = true;
function later(promise) {
  const place = element("p", { class: "empty" }, "Loading…");
  promise.then((made) => place.replaceWith(made));
  return place;
}

const parts = (context) => [() => cards(context.ask),
  () => fetched(context.ask).then(() => { choose(); return tiles(); }),
  () => rows(context.ask, "/api/positions?limit=8").then((found) => table(found.filter((row) => row.quantity), POSITIONS, { empty: "Nothing is held.", caption: "Positions" })),
  () => list(context.ask, "/api/orders?limit=8", ORDERS.filter((name) => !["price_trigger", "reason"].includes(name)), { empty: "No order yet.", caption: "Orders" }),
  () => list(context.ask, "/api/signals?limit=8", SIGNALS, { empty: "No signal yet.", caption: "Signals" }),
  () => services(context), () => stores(context.ask)].map((part) => settle(part(), failed));

async function stores(ask) {
  const info = await ask("/api/system/info"), { databases, urls } = info.database;
  return element("div", {}, element("p", { class: "stores" }, ...Object.entries(databases).map(([store, state]) => element("span", { title: urls[store] }, `${words(store)} `, chip(state)))),
    element("p", { class: "muted" }, `Version ${info.version}, at ${Object.values(urls).join(", ")}`));
}

let painted = [];
export const watchlist = { families: "candle,price,config", redraw: "config",
  hear(news) {
    hear(news);
    painted = painted.map(([shown, make]) => { const made = make(); shown.replaceWith(made); return [made, make]; });
  },
  async draw({ ask, act, session, redraw }) {
    const [lists] = await Promise.all([rows(ask, "/api/watchlists"), fetched(ask)]);
    const admin = session.role === "admin", made = [], live = [];
    const paint = (symbols, options) => {
      const make = () => table(symbols().map(quoted), QUOTES, options), shown = make();
      live.push([shown, make]);
      return shown;
    };
    for (const each of lists) {
      const symbols = JSON.parse(each.symbols_json);
      const edit = admin ? element("details", {}, element("summary", {}, "Edit"), form(act, [field("symbols", "Symbols", { value: symbols.join(" "), size: 60 })], "Save",
        async (given) => { await change(ask, "watchlist.save", { name: each.name, symbols: split(given.symbols.toUpperCase()) }); await redraw(); }),
        button("Remove the list", act, async () => { if (confirm(`Remove ${each.name}?`)) { await change(ask, "watchlist.remove", { name: each.name }); await redraw(); } }, "danger")) : null;
      made.push(section(each.name, paint(() => symbols, { empty: "The list is empty.", caption: each.name }), edit));
    }
    if (!lists.length) made.push(section("All symbols", element("p", { class: "muted" }, "There is no watchlist yet; this is everything that was heard."), paint(() => [...quotes.keys()].sort(), { empty: "No candle was heard since the api started.", caption: "All symbols" })));
    if (admin) made.push(section("New list", form(act, [field("name", "Name", { required: true, maxlength: 64 }), field("symbols", "Symbols", { required: true, placeholder: "RELIANCE TCS INFY", size: 40 })], "Save",
      async (given, shown) => { await change(ask, "watchlist.save", { name: given.name, symbols: split(given.symbols.toUpperCase()) }); shown.reset(); await redraw(); })));
    painted = live;
    return element("div", {}, ...made);
  } };
