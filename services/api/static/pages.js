// What each page shows. `draw` gives the page's content; `families` is what it is told of live.
import { card, chip, element, moment, money, number, price, section, table } from "/static/show.js";
import { button, change, engine, failed, field, form, list, paged, rows, select, settle, split } from "/static/forms.js";
import { charts } from "/static/charts.js";
import { backtests, broker, data, logs, settings } from "/static/work.js";

const ORDERS = ["created_at_us", "strategy_id", "symbol", "side", "order_type", "quantity", "quantity_filled", "price", "status", "reason"];
const POSITIONS = ["strategy_id", "symbol", "quantity", "price_average", "price_mark", "profit_realised_paise", "profit_unrealised_paise", "fees_paise"];
const SIGNALS = ["timestamp_us", "strategy_id", "symbol", "timeframe", "signal_type", "confidence"];
const ALIVE = ["intent", "sent", "acknowledged", "open", "partially_filled", "unknown"];
const link = (symbol) => element("a", { href: `/charts?symbol=${encodeURIComponent(symbol)}` }, symbol);
const rise = (by) => element("span", { class: by < 0 ? "down" : by > 0 ? "up" : "" }, `${by < 0 ? "▼" : by > 0 ? "▲" : ""} ${price(Math.abs(by))}`);
const amount = (row, value) => (row.limit_name.endsWith("_rupees") ? money(100 * value) : value);
const linked = (found) => found.map((row) => ({ ...row, symbol: link(row.symbol) }));

async function services({ ask, act, session, redraw }) {
  const found = (await rows(ask, "/api/services")).map((row) => ({
    service: row.service, state: row.program ? row.program.state : "by hand",
    heartbeat: row.heartbeat ? (row.heartbeat.is_stale ? "stale" : row.heartbeat.state) : row.service === "exchange_sim" ? "sends none" : "never heard",
    age: row.heartbeat ? `${(row.heartbeat.age_ms / 1000).toFixed(1)} s` : "", detail: row.heartbeat?.detail || row.program?.detail || "" }));
  const acts = session.role === "admin" ? (row) => (row.service === "api" ? [] : [button("Restart", act, async () => {
    if (confirm(`Restart ${row.service}?`)) { await ask(`/api/services/${row.service}/restart`, { method: "POST" }); await redraw(); }
  })]) : null;
  return table(found, ["service", "state", "heartbeat", "age", "detail"], { empty: "No service was heard: start the fleet with `fleet up`.", acts, caption: "Services" });
}

async function switches({ ask, act, session, redraw }) {
  const found = await rows(ask, "/api/trading-states");
  const states = found.length ? table(found, ["scope_kind", "scope", "state", "cause", "reason", "set_by", "since_us"], { caption: "Trading states" })
    : element("p", { class: "empty" }, "Trading is allowed; nothing was ever halted.");
  if (session.role !== "admin") return [states];
  const one = (name, text, kind) => button(text, act, async () => {
    const reason = reasons.querySelector("input").value.trim();
    if (!reason) throw new Error("Say why first: the reason stands in the audit log.");
    if (name === "flatten" && !confirm("Close every position at the market?")) return;
    await engine(ask, name, { reason });
    await redraw();
  }, kind);
  const reasons = element("form", { onsubmit: (event) => event.preventDefault() }, field("reason", "Reason", { required: true, maxlength: 500, size: 40 }),
    one("halt", "Halt trading", "danger"), one("reduce", "Exits only"), one("resume", "Resume trading", "main"), one("flatten", "Flatten everything", "danger"));
  return [states, reasons];
}

async function cards(ask) {
  const [risk, health, states, alerts] = await Promise.all([settle(ask("/api/risk"), () => null), ask("/api/health"), settle(rows(ask, "/api/trading-states"), () => []), settle(rows(ask, "/api/alerts"), () => [])]);
  const of = (name) => health.services.find((each) => each.service === name);
  const feed = of("ingestor"), halted = states.find((row) => row.state !== "active"), standing = alerts.filter((each) => !each.is_over);
  const exposure = risk?.rows.find((row) => row.limit_name === "account_exposure_max_rupees");
  const bad = health.services.filter((each) => each.is_stale || each.state !== "green");
  return element("div", { class: "cards" },
    card("Profit today", risk ? money(risk.profit_paise) : "–", "realised and open, after charges", !risk || !risk.profit_paise ? "" : risk.profit_paise > 0 ? "up" : "down"),
    card("Positions", risk ? number(risk.positions) : "–", exposure ? `${money(exposure.used * 100)} at the market` : ""),
    card("Trading", halted ? halted.state : "active", halted ? halted.reason : "new orders are allowed", halted ? "down" : "up"),
    card("Feed", feed && !feed.is_stale ? moment(feed.figures.session_us) || "waiting" : "silent", feed ? `${number(feed.figures.ticks ?? 0)} ticks, ${feed.figures.gaps === 1 ? "1 gap" : `${number(feed.figures.gaps ?? 0)} gaps`}` : "no ingestor was heard", feed && !feed.is_stale ? "" : "down"),
    card("Services", bad.length ? `${bad.length} not well` : health.services.length ? "all well" : "none heard", bad.map((each) => each.service).join(", ") || `${health.services.length} heard`, bad.length ? "down" : "up"),
    card("Alerts", standing.length ? standing[0].title : "none", standing.length ? `${standing[0].source}, ${moment(standing[0].timestamp_us)}` : "since the api started", standing.length ? "warn" : ""));
}

export const pages = {
  charts, backtests, broker, data, logs, settings,
  login: { async draw({ ask, act, say }) {
    const secret = location.hash.slice(1);
    const fields = [field("name", "Name", { required: true, autocomplete: "username", autofocus: true }),
      field("password", "Password", { required: true, type: "password", autocomplete: secret ? "new-password" : "current-password" })];
    const shown = form(act, fields, secret ? "Make the first admin" : "Log in", async (given) => {
      if (secret) await ask("/api/first-admin", { method: "POST", body: { secret, ...given } });
      await ask("/api/session", { method: "POST", body: given });
      say("");
      location.assign("/overview");
    });
    return element("div", {}, shown, element("p", { class: "muted" }, secret ? "This link works once." : "No account yet? On this machine: fleet user add NAME --role admin"));
  } },
  overview: { families: "telemetry,order,position,signal,alert", async draw(context) {
    const { ask } = context, info = await ask("/api/system/info");
    const stores = Object.entries(info.database.databases);
    return element("div", {}, await cards(ask), section("Services", await settle(services(context), failed)),
      section("Positions", await list(ask, "/api/positions?limit=8", POSITIONS, { empty: "Nothing is held.", caption: "Positions" }), element("p", {}, element("a", { href: "/trading" }, "All positions, orders and trades"))),
      section("Newest orders", await list(ask, "/api/orders?limit=8", ORDERS.slice(0, 9), { empty: "No order yet.", caption: "Orders" })),
      section("Newest signals", await list(ask, "/api/signals?limit=8", SIGNALS, { empty: "No signal yet.", caption: "Signals" })),
      section("Stores", element("p", {}, ...stores.flatMap(([store, state]) => [element("span", { title: info.database.urls[store] }, `${store} `), chip(state), " "])),
        element("p", { class: "muted" }, `Version ${info.version}, at ${Object.values(info.database.urls).join(", ")}`)));
  } },
  watchlist: { families: "candle,config", async draw({ ask, act, session, redraw }) {
    const [lists, quotes] = [await rows(ask, "/api/watchlists"), await rows(ask, "/api/quotes")];
    const prices = new Map(quotes.map((quote) => [quote.symbol, quote]));
    const admin = session.role === "admin", made = [];
    const live = (symbols) => linked(symbols.map((symbol) => ({ symbol, ...prices.get(symbol) })).map((row) => ({ ...row,
      change: row.close === undefined ? "" : rise(row.close - row.open) })));
    for (const each of lists) {
      const symbols = JSON.parse(each.symbols_json);
      const edit = admin ? element("details", {}, element("summary", {}, "Edit"), form(act, [field("symbols", "Symbols", { value: symbols.join(" "), size: 60 })], "Save",
        async (given) => { await change(ask, "watchlist.save", { name: each.name, symbols: split(given.symbols.toUpperCase()) }); await redraw(); }),
        button("Remove the list", act, async () => { if (confirm(`Remove ${each.name}?`)) { await change(ask, "watchlist.remove", { name: each.name }); await redraw(); } }, "danger")) : null;
      made.push(section(each.name, table(live(symbols), ["symbol", "close", "change", "high", "low", "volume", "timestamp_us"], { empty: "The list is empty.", caption: each.name }), edit));
    }
    if (!lists.length) made.push(element("p", { class: "empty" }, "There is no watchlist yet; below is everything that was heard."), section("All symbols", table(live([...prices.keys()].sort()), ["symbol", "close", "change", "high", "low", "volume", "timestamp_us"], { empty: "No candle was heard since the api started.", caption: "All symbols" })));
    if (admin) made.push(section("New list", form(act, [field("name", "Name", { required: true, maxlength: 64 }), field("symbols", "Symbols", { required: true, placeholder: "RELIANCE TCS INFY", size: 40 })], "Save",
      async (given, shown) => { await change(ask, "watchlist.save", { name: given.name, symbols: split(given.symbols.toUpperCase()) }); shown.reset(); await redraw(); })));
    return element("div", {}, ...made);
  } },
  signals: { families: "signal", async draw(context) {
    return element("div", {}, section("Signals", await paged(context, "/api/signals", SIGNALS, { empty: "No signal yet: strategies need their warm-up first.", caption: "Signals" })),
      section("Scans", await paged(context, "/api/scans", ["timestamp_us", "scan_id", "rank", "symbol", "score", "confidence"], { empty: "No scan found anything yet; scans of your own are made under Settings.", caption: "Scans" })));
  } },
  trading: { families: "order,trade,position", async draw(context) {
    const { ask, act, session, redraw } = context, admin = session.role === "admin";
    const cancel = admin ? (row) => (ALIVE.includes(row.status) ? [button("Cancel", act, async () => { await engine(ask, "cancel", { order_id: row.order_id }); await redraw(); })] : []) : null;
    const close = admin ? (row) => (row.quantity ? [button("Square off", act, async () => {
      if (confirm(`Close everything in ${row.symbol}?`)) { await engine(ask, "square_off", { symbol: row.symbol }); await redraw(); } }, "danger")] : []) : null;
    return element("div", {}, section("Positions", await list(ask, "/api/positions", POSITIONS, { empty: "Nothing is held.", acts: close, caption: "Positions" })),
      section("Orders", await paged(context, "/api/orders", ORDERS, { empty: "No order yet.", acts: cancel, caption: "Orders" })),
      section("Trades", await paged(context, "/api/trades", ["timestamp_us", "strategy_id", "symbol", "side", "quantity", "price", "fees_paise", "profit_paise"], { empty: "No trade yet.", caption: "Trades" })));
  } },
  risk: { families: "risk,position,trade", async draw(context) {
    const { ask, act, session, redraw } = context, risk = await settle(ask("/api/risk"), () => ({ rows: [] }));
    const limits = risk.rows.map((row) => ({ limit: row.limit_name.replaceAll("_", " "), value: Array.isArray(row.value) ? row.value.join(", ") : row.value ? amount(row, row.value) : "no limit",
      used: row.used === null ? "" : amount(row, row.used), use: row.used !== null && row.value ? element("meter", { min: 0, max: row.value, high: row.value * 0.8, value: row.used, "aria-label": row.limit_name }, `${number((100 * row.used) / row.value)} %`) : "" }));
    const shown = [section("Trading", ...(await settle(switches(context), (error) => [failed(error)]))),
      section("Used of the account's limits", table(limits.filter((row) => row.used !== ""), ["limit", "value", "used", "use"], { empty: "The trading store is not there yet.", caption: "Limits in use" })),
      section("Limits changed from the settings", await list(ask, "/api/risk-limits", ["scope_kind", "scope", "limit_name", "value", "updated_at_us"], { empty: "None: the settings' limits hold.", caption: "Changed limits" }))];
    if (session.role === "admin") shown.push(form(act, [select("limit_name", "Limit", risk.rows.filter((row) => typeof row.value === "number").map((row) => row.limit_name)), select("scope_kind", "Applies to", ["account", "strategy", "instrument"]),
      field("scope", "Strategy or exchange:symbol", { placeholder: "empty for the account" }), field("value", "Value (empty: as in the settings)", { type: "number", min: 0, step: 1 })], "Set the limit", async (given) => {
      await change(ask, "limit.save", { ...given, value: given.value === "" ? null : Number(given.value) }); await redraw(); }));
    shown.push(section("All limits of the settings", element("details", {}, element("summary", {}, `${limits.length} limits`), table(limits, ["limit", "value"], { caption: "All limits" }))),
      section("What risk said", await paged(context, "/api/risk-events", ["timestamp_us", "kind", "severity", "check_name", "strategy_id", "symbol", "reason"], { empty: "Nothing yet: no order was refused.", caption: "Risk events" })));
    return element("div", {}, ...shown);
  } },
};
