// What each page shows. `draw` gives the page's content; `families` is what it is told of live.
import { candleChart, element, moment, section, table } from "/static/show.js";

const rows = async (ask, path) => (await ask(path)).rows;
const settle = async (promise, otherwise) => { try { return await promise; } catch (error) { return otherwise(error); } };
const failed = (error) => element("p", { class: "warn" }, error.message);
const list = (ask, path, columns, options) => settle(rows(ask, path).then((found) => table(found, columns, options)), failed);
const button = (text, act, work) => {
  const made = element("button", { type: "button" }, text);
  made.addEventListener("click", () => act(made, work));
  return made;
};
const field = (name, label, attributes = {}) => element("label", {}, label, element("input", { name, ...attributes }));
const form = (act, fields, text, work) => {
  const made = element("form", {}, ...fields, element("button", { type: "submit" }, text));
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    act(made.querySelector("button"), () => work(Object.fromEntries(new FormData(made)), made));
  });
  return made;
};
const today = () => 1000 * new Date(new Date().toLocaleDateString("en-CA", { timeZone: "Asia/Kolkata" }) + "T00:00:00+05:30").getTime();
const change = (ask, name, given) => ask(`/api/config/${name}`, { method: "POST", body: { arguments: given } });
const engine = (ask, name, given) => ask(`/api/engine/${name}`, { method: "POST", body: { arguments: given } });
const words = (text) => text.split(/[\s,]+/).filter(Boolean);
const ORDERS = ["created_at_us", "strategy_id", "symbol", "side", "order_type", "quantity", "price", "status"];
const POSITIONS = ["strategy_id", "symbol", "quantity", "price_average", "price_mark", "profit_realised_paise", "profit_unrealised_paise", "fees_paise"];
const SIGNALS = ["timestamp_us", "strategy_id", "symbol", "timeframe", "signal_type", "confidence"];
let chosen = { symbol: "", timeframe: "1m" }, tail = { service: "ingestor", contains: "" };

async function services({ ask, act, session, redraw }) {
  const found = (await rows(ask, "/api/services")).map((row) => ({
    service: row.service, state: row.program ? row.program.state : "by hand", heartbeat: row.heartbeat ? row.heartbeat.state : "never heard",
    age: row.heartbeat ? `${(row.heartbeat.age_ms / 1000).toFixed(1)} s${row.heartbeat.is_stale ? " (stale)" : ""}` : "",
    detail: row.heartbeat ? row.heartbeat.detail : "" }));
  const acts = session.role === "admin" ? (row) => (row.service === "api" ? [] : [button("Restart", act, async () => {
    await ask(`/api/services/${row.service}/restart`, { method: "POST" }); await redraw();
  })]) : null;
  return table(found, ["service", "state", "heartbeat", "age", "detail"], { empty: "No service was heard.", acts });
}

async function switches({ ask, act, session, redraw }) {
  const states = await list(ask, "/api/trading-states", ["scope_kind", "scope", "state", "cause", "reason", "set_by", "since_us"],
    { empty: "Trading is allowed; nothing was ever halted." });
  if (session.role !== "admin") return [states];
  const one = (name, text) => form(act, [field("reason", "Reason", { required: true, maxlength: 500 })], text, async ({ reason }) => {
    if (name === "flatten" && !confirm("Close every position at the market?")) return;
    await engine(ask, name, { reason }); await redraw();
  });
  return [states, one("halt", "Halt trading"), one("resume", "Resume trading"), one("flatten", "Flatten everything")];
}

export const pages = {
  login: { async draw({ ask, act, say }) {
    const secret = location.hash.slice(1);
    const fields = [field("name", "Name", { required: true, autocomplete: "username" }),
      field("password", "Password", { required: true, type: "password", autocomplete: secret ? "new-password" : "current-password" })];
    return form(act, fields, secret ? "Make the first admin" : "Log in", async (given) => {
      if (secret) await ask("/api/first-admin", { method: "POST", body: { secret, ...given } });
      await ask("/api/session", { method: "POST", body: given });
      say("");
      location.assign("/overview");
    });
  } },
  overview: { families: "telemetry,order,position,signal", async draw(context) {
    const { ask } = context, since = today(), info = await ask("/api/system/info");
    const stores = Object.entries(info.database.databases).map(([store, state]) => ({ store, state, path: info.database.urls[store] }));
    const quotes = (await rows(ask, "/api/quotes")).slice(-12).reverse();
    return element("div", {},
      element("p", { class: "muted" }, `Profile ${info.profile}, version ${info.version}`),
      section("Services", await services(context)), section("Stores", table(stores, ["store", "state", "path"])),
      section("Latest candles", table(quotes, ["symbol", "timestamp_us", "open", "high", "low", "close", "volume"], { empty: "No candle was heard since the api started." })),
      section("Positions", await list(ask, "/api/positions?limit=20", POSITIONS, { empty: "Nothing is held." })),
      section("Orders today", await list(ask, `/api/orders?limit=20&from_us=${since}`, ORDERS, { empty: "No order today." })),
      section("Signals today", await list(ask, `/api/signals?limit=20&from_us=${since}`, SIGNALS, { empty: "No signal today." })));
  } },
  charts: { families: "candle", async draw({ ask, act, redraw }) {
    const quotes = await rows(ask, "/api/quotes");
    chosen.symbol ||= quotes.length ? quotes[0].symbol : "";
    const times = element("select", { name: "timeframe" }, ...["1m", "5m", "15m", "1h", "4h", "1d"].map((name) =>
      element("option", { value: name, selected: name === chosen.timeframe }, name)));
    const pick = form(act, [field("symbol", "Symbol", { required: true, value: chosen.symbol }), element("label", {}, "Timeframe", times)], "Show",
      async (given) => { chosen = { ...given, symbol: given.symbol.toUpperCase() }; document.activeElement.blur(); await redraw(); });
    if (!chosen.symbol) return element("div", {}, pick, element("p", { class: "muted" }, "No candle was heard yet; name a symbol."));
    const found = await ask(`/api/candles?limit=150&symbol=${encodeURIComponent(chosen.symbol)}&timeframe=${chosen.timeframe}`);
    const last = found.rows.at(-1);
    return element("div", {}, pick, last ? element("p", {}, `${chosen.symbol}: ${last[4]} at ${moment(last[0])} IST`) : "",
      last ? candleChart(found.rows) : element("p", { class: "muted" }, `No ${chosen.timeframe} candles of ${chosen.symbol}.`));
  } },
  watchlist: { families: "candle,config", async draw({ ask, act, session, redraw }) {
    const [lists, quotes] = [await rows(ask, "/api/watchlists"), await rows(ask, "/api/quotes")];
    const prices = new Map(quotes.map((quote) => [quote.symbol, quote]));
    const made = lists.map((each) => section(each.name, table(JSON.parse(each.symbols_json).map((symbol) => ({ symbol, ...prices.get(symbol) })),
      ["symbol", "close", "volume", "timestamp_us"], { empty: "The list is empty." })));
    if (session.role === "admin") made.push(section("Save a list", form(act, [field("name", "Name", { required: true }), field("symbols", "Symbols", { required: true })], "Save",
      async (given, shown) => { await change(ask, "watchlist.save", { name: given.name, symbols: words(given.symbols.toUpperCase()) }); shown.reset(); document.activeElement.blur(); await redraw(); })));
    return element("div", {}, ...(lists.length ? [] : [element("p", { class: "muted" }, "There is no watchlist yet.")]), ...made);
  } },
  signals: { families: "signal", async draw({ ask }) {
    return element("div", {}, section("Signals", await list(ask, "/api/signals", SIGNALS, { empty: "No signal yet." })),
      section("Scans", await list(ask, "/api/scans", ["timestamp_us", "scan_id", "rank", "symbol", "score", "confidence"], { empty: "No scan found anything yet." })));
  } },
  trading: { families: "order,trade,position", async draw({ ask, act, session, redraw }) {
    const admin = session.role === "admin";
    const alive = ["intent", "sent", "acknowledged", "open", "partially_filled", "unknown"];
    const cancel = admin ? (row) => (alive.includes(row.status) ? [button("Cancel", act, async () => { await engine(ask, "cancel", { order_id: row.order_id }); await redraw(); })] : []) : null;
    const close = admin ? (row) => (row.quantity ? [button("Square off", act, async () => {
      if (confirm(`Close everything in ${row.symbol}?`)) { await engine(ask, "square_off", { symbol: row.symbol }); await redraw(); } })] : []) : null;
    return element("div", {}, section("Positions", await list(ask, "/api/positions", POSITIONS, { empty: "Nothing is held.", acts: close })),
      section("Orders", await list(ask, "/api/orders", ORDERS, { empty: "No order yet.", acts: cancel })),
      section("Trades", await list(ask, "/api/trades", ["timestamp_us", "strategy_id", "symbol", "side", "quantity", "price", "fees_paise", "profit_paise"], { empty: "No trade yet." })));
  } },
  risk: { families: "risk", async draw(context) {
    return element("div", {}, section("Trading", ...(await switches(context))),
      section("Limits changed from the settings", await list(context.ask, "/api/risk-limits", ["scope_kind", "scope", "limit_name", "value", "updated_at_us"], { empty: "None: the settings' limits hold." })),
      section("What risk said", await list(context.ask, "/api/risk-events", ["timestamp_us", "kind", "severity", "check_name", "strategy_id", "symbol", "reason"], { empty: "Nothing yet." })));
  } },
  backtests: { families: "backtest", async draw({ ask, act, session, redraw }) {
    const start = form(act, [field("strategy", "Strategy", { required: true, value: "sma_cross" }), field("symbols", "Symbols", { required: true }),
      field("start", "From", { required: true, type: "date" }), field("end", "To", { required: true, type: "date" })], "Start",
      async (given) => { await ask("/api/backtests", { method: "POST", body: { arguments: { ...given, symbols: words(given.symbols.toUpperCase()) } } }); document.activeElement.blur(); await redraw(); });
    return element("div", {}, session.role === "admin" ? section("Start one", start) : "",
      section("Queue", await list(ask, "/api/jobs", ["requested_at_us", "job_id", "state", "run_id", "error"], { empty: "No job." })),
      section("Runs", await list(ask, "/api/runs", ["run_id", "strategy", "symbols_json", "date_from", "date_to", "state", "profit_paise", "trades", "sharpe"], { empty: "No run yet." })));
  } },
  data: { async draw({ ask }) {
    const health = await ask("/api/health");
    const stores = Object.entries(health.stores).map(([store, state]) => ({ store, state }));
    return element("div", {}, section("Stores", table(stores, ["store", "state"])),
      element("p", { class: "muted" }, "Checks, backups and coverage are in the terminal: fleet health, fleet backups."));
  } },
  logs: { async draw({ ask, act, redraw }) {
    const pick = form(act, [field("service", "Service", { value: tail.service, required: true }), field("contains", "Holds", { value: tail.contains })], "Show",
      async (given) => { tail = given; document.activeElement.blur(); await redraw(); });
    const found = await settle(ask(`/api/logs/${encodeURIComponent(tail.service)}?contains=${encodeURIComponent(tail.contains)}`).then(({ lines }) =>
      (lines.length ? element("pre", { tabindex: "0" }, lines.join("\n")) : element("p", { class: "muted" }, "No such line."))), failed);
    return element("div", {}, pick, found);
  } },
  settings: { families: "config", async draw({ ask, session }) {
    const made = [section("Strategies", await list(ask, "/api/strategy-configs", ["instance", "strategy", "is_enabled", "timeframe", "symbols_json", "parameters_json", "version"], { empty: "No strategy is configured." })),
      section("Scans", await list(ask, "/api/scan-configs", ["scan_id", "expression", "timeframe", "is_enabled"], { empty: "No scan is configured." }))];
    if (session.role === "admin") made.push(
      section("Users", await list(ask, "/api/users", ["name", "role", "is_active", "created_at_us"])),
      section("Sessions", await list(ask, "/api/sessions", ["name", "address", "user_agent", "seen_at_us", "expires_at_us", "revoked_at_us"])),
      section("Audit log", await list(ask, "/api/audit", ["at_us", "actor", "action", "subject", "subject_key", "reason"])));
    return element("div", {}, ...made);
  } },
};
