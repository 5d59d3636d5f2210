// What each page shows. `draw` gives the page's content; `families` is what it is told of live.
import { element, limitName, money, number, percent, section, table } from "/static/show.js";
import { button, change, engine, failed, field, form, paged, rows, select, settle, symbolFilter } from "/static/forms.js";
import { charts } from "/static/charts.js";
import { overview, watchlist } from "/static/market.js";
import { SIGNALS, trading } from "/static/trading.js";
import { backtests, broker, data, logs, settings } from "/static/work.js";

const amount = (row, value) => (row.limit_name.endsWith("_rupees") ? money(100 * value) : row.limit_name.endsWith("_percent") ? percent(value) : row.limit_name.endsWith("_s") ? `${value} s` : row.limit_name.endsWith("_min") ? `${value} min` : number(value));

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

export const pages = {
  backtests, broker, charts, data, logs, overview, settings, trading, watchlist,
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
  signals: { families: "signal", async draw(context) {
    const only = symbolFilter(context, "signals");
    return element("div", {}, only.shown,
      section("Signals", await paged(context, "/api/signals", [...SIGNALS, "stop", "target"], { empty: only.none("No signal yet: strategies need their warm-up first."), caption: "Signals" }, only.query)),
      section("Scans", await paged(context, "/api/scans", ["symbol", "scan_id", "rank", "score", "confidence", "timestamp_us"], { empty: only.none("No scan found anything yet; scans of your own are made under Settings."), caption: "Scans" }, only.query)));
  } },
  risk: { families: "risk,position,trade", async draw(context) {
    const { ask, act, session, redraw } = context, risk = await settle(ask("/api/risk"), () => ({ rows: [] }));
    const limits = risk.rows.map((row) => ({ limit: limitName(row.limit_name), value: Array.isArray(row.value) ? row.value.join(", ") : row.value ? amount(row, row.value) : "no limit",
      used: row.used === null ? "" : amount(row, row.used), use: row.used !== null && row.value ? element("span", { class: "use" }, element("meter", { min: 0, max: row.value, high: row.value * 0.8, value: row.used, "aria-label": limitName(row.limit_name) }, percent((100 * row.used) / row.value)), percent((100 * row.used) / row.value)) : "" }));
    const shown = [section("Trading", ...(await settle(switches(context), (error) => [failed(error)]))),
      section("Used of the account's limits", table(limits.filter((row) => row.used !== ""), ["limit", "value", "used", "use"], { empty: "The trading store is not there yet.", caption: "Limits in use" })),
      section("Limits changed from the settings", await settle(rows(ask, "/api/risk-limits").then((found) => table(found.map((row) => ({ ...row, limit_name: limitName(row.limit_name), value: amount(row, row.value) })), ["scope_kind", "scope", "limit_name", "value", "updated_at_us"], { empty: "None: the settings' limits hold.", caption: "Changed limits" })), failed))];
    if (session.role === "admin") shown.push(form(act, [select("limit_name", "Limit", risk.rows.filter((row) => typeof row.value === "number").map((row) => [row.limit_name, limitName(row.limit_name)])), select("scope_kind", "Applies to", ["account", "strategy", "instrument"]),
      field("scope", "Strategy or exchange:symbol", { placeholder: "empty for the account" }), field("value", "Value (empty: as in the settings)", { type: "number", min: 0, step: 1 })], "Set the limit", async (given) => {
      await change(ask, "limit.save", { ...given, value: given.value === "" ? null : Number(given.value) }); await redraw(); }));
    shown.push(section("All limits of the settings", element("details", {}, element("summary", {}, `${limits.length} limits`), table(limits, ["limit", "value"], { caption: "All limits" }))),
      section("What risk said", await paged(context, "/api/risk-events", ["timestamp_us", "severity", "kind", "check_name", "strategy_id", "symbol", "reason"], { empty: "Nothing yet: no order was refused.", caption: "Risk events" })));
    return element("div", {}, ...shown);
  } },
};
