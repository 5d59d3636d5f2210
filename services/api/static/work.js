// Backtests, data, logs, settings: the pages where work is given out.
import { chip, dayOf, element, listed, moment, money, number, percent, section, spelt, table } from "/static/show.js";
import { comparison } from "/static/compare.js";
import { TIMEFRAMES, button, change, failed, field, form, list, paged, parametersOf, rows, select, settle, split, strategyChoice } from "/static/forms.js";

const progress = new Map();
const compared = new Set();
let difference = null, tail = { service: "ingestor", contains: "", level: "" }, told = null;

function runTable(found, { act, ask, session, redraw }) {
  const shown = found.map((row) => ({ ...row, period: `${dayOf(row.date_from)} to ${dayOf(row.date_to)}`,
    strategy: element("span", {}, spelt(row.strategy), element("small", {}, `${listed(row.parameters_json)} · ${row.timeframe} · made ${moment(row.created_at_us)}`)), return_percent: row.return_ratio === null ? "" : 100 * row.return_ratio, fall_percent: row.drawdown_max_ratio === null ? "" : 100 * row.drawdown_max_ratio,
    compare: row.state === "running" ? "" : element("input", { type: "checkbox", "aria-label": `compare the run of ${moment(row.created_at_us)}`, checked: compared.has(row.run_id), onchange: (event) => { if (event.target.checked) compared.add(row.run_id); else compared.delete(row.run_id); } }) }));
  // A run that is not over has no report yet.
  const acts = (row) => [...(row.state === "running" ? [] : [element("a", { href: `/api/runs/${encodeURIComponent(row.run_id)}/report`, target: "_blank", class: "report" }, "Report")]),
    ...(session.role === "admin" ? [button("Delete", act, async () => { if (confirm(`Delete the run of ${spelt(row.strategy)} made ${moment(row.created_at_us)}?`)) { await ask("/api/backtests/delete", { method: "POST", body: { arguments: { run_id: row.run_id } } }); await redraw(); } }, "danger")] : [])];
  return table(shown, ["compare", "strategy", "symbols_json", "period", "state", "profit_paise", "return_percent", "fall_percent", "sharpe", "trades"], { empty: "No run yet.", acts, caption: "Runs" });
}

export const backtests = { families: "backtest",
  hear(news) { for (const each of news) if (each.topic.startsWith("backtest.")) progress.set(each.payload.job_id, each.payload); },
  async draw(context) {
    const { ask, act, session, redraw } = context, made = [];
    if (session.role === "admin") {
      const strategies = await rows(ask, "/api/strategies"), quotes = await settle(rows(ask, "/api/quotes"), () => []);
      const day = new Date((quotes.at(-1)?.timestamp_us ?? Date.now() * 1000) / 1000).toLocaleDateString("en-CA", { timeZone: "Asia/Kolkata" });
      const choice = strategyChoice(strategies, "sma_cross");
      made.push(section("Start one", form(act, [choice.picker, field("symbols", "Symbols", { required: true, value: quotes[0]?.symbol ?? "", size: 24 }), select("timeframe", "Timeframe", TIMEFRAMES, "1m"),
        field("start", "From", { required: true, type: "date", value: day }), field("end", "To", { required: true, type: "date", value: day }), choice.fields], "Start", async (given) => {
        const { strategy, start, end, timeframe } = given;
        await ask("/api/backtests", { method: "POST", body: { arguments: { strategy, start, end, timeframe, symbols: split(given.symbols.toUpperCase()), parameters: parametersOf(choice.find(strategy), given) } } });
        document.activeElement.blur();
        await redraw();
      })));
    }
    const jobs = (await settle(rows(ask, "/api/jobs?limit=10"), () => [])).map((row) => {
      const heard = progress.get(row.job_id), asked = JSON.parse(row.request_json);
      return { ...row, strategy: asked.strategy ?? "", timeframe: asked.timeframe ?? "", symbols: (asked.symbols ?? []).join(", "), done: row.state === "running" && heard?.bars
        ? element("progress", { max: heard.bars, value: heard.bars_done, "aria-label": "bars done" }, `${heard.bars_done} of ${heard.bars}`) : "", equity: heard?.equity_paise ? money(heard.equity_paise) : "" };
    });
    const cancel = session.role === "admin" ? (row) => (["queued", "running"].includes(row.state) ? [button("Cancel", act, async () => {
      await ask("/api/backtests/cancel", { method: "POST", body: { arguments: { job_id: row.job_id } } }); await redraw(); })] : []) : null;
    made.push(section("Asked for", table(jobs, ["requested_at_us", "strategy", "symbols", "state", "done", "equity", "error"], { empty: "No backtest was asked for yet.", acts: cancel, caption: "Jobs" })));
    const runs = await settle(rows(ask, "/api/runs?limit=50"), (error) => error);
    made.push(section("Runs", runs instanceof Error ? failed(runs) : runTable(runs, context),
      element("p", {}, button("Compare the two chosen", act, async () => {
        if (compared.size !== 2) throw new Error(`Choose two runs to compare; ${compared.size} are chosen.`);
        const [first, second] = runs.filter((row) => compared.has(row.run_id)).reverse();  // the older one first
        difference = comparison(await ask(`/api/runs/${first.run_id}/compare/${second.run_id}`), first, second);
        await redraw();
      })), ...(difference ? [element("section", {}, element("h2", {}, "Compared"), ...difference)] : [])));
    return element("div", {}, ...made);
  } };

function calendar(days) {
  if (!days.length) return element("p", { class: "empty" }, "No trading day in this time.");
  const of = (row) => (row.present_percent >= 99.5 ? "full" : row.present_percent > 0 ? "part" : "");
  // The columns are Monday to Friday: the first week begins where its day stands.
  const place = (text) => Math.min(4, (new Date(`${text}T00:00:00Z`).getUTCDay() + 6) % 7);
  const blanks = Array.from({ length: place(days[0].trading_date) }, () => element("span"));
  const made = [];
  days.forEach((row, at) => {
    if (at) for (let gap = place(days[at - 1].trading_date) + 1; gap % 5 !== place(row.trading_date); gap += 1) made.push(element("span"));
    made.push(element("div", { class: `day ${of(row)}` }, element("b", {}, new Date(`${row.trading_date}T00:00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" })), row.present_percent ? `${number(row.present_percent)} %` : "nothing"));
  });
  return element("div", { class: "days", role: "group", "aria-label": "Coverage by trading day, Monday to Friday" }, ...["Mon", "Tue", "Wed", "Thu", "Fri"].map((day) => element("span", { class: "weekday" }, day)), ...blanks, ...made);
}

export const data = { async draw({ ask }) {
  const info = await ask("/api/system/info");
  const stores = Object.entries(info.database.databases).map(([store, state]) => ({ store, state, path: info.database.urls[store] }));
  const days = await settle(rows(ask, "/api/coverage"), failed);
  const columns = ["trading_date", "symbols", "bars_expected", "bars_live", "bars_backfilled", "bars_missing", "late_ticks", "present_percent"];
  const shown = Array.isArray(days) ? [calendar(days), element("details", {}, element("summary", {}, "As a table"), table([...days].reverse(), columns, { caption: "Coverage" }))] : [days];
  return element("div", {}, section("Closed days of the last month", element("p", { class: "muted" }, "How many of the calendar's minutes are stored, all symbols together. Today is not over and is left out."), ...shown),
    section("Stores", table(stores, ["store", "state", "path"], { caption: "Stores" })),
    section("Backups", await list(ask, "/api/backups", ["store", "made_at_us", "files", "bytes", "state", "path"], { empty: "There is no copy yet: `fleet backup all` makes one, ops does it by itself every hour of a session.", caption: "Backups" })));
} };

const clock = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Kolkata", day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false });
const GRAVE = { error: "error", critical: "error", warning: "warning" };

// One line of a log: when (IST), how grave, what, and the rest as it was said; what is no line of ours stays as it is.
function logLine(text) {
  let said = null;
  try { said = JSON.parse(text); } catch { return element("span", { class: GRAVE[/\b(error|critical|warning)\b/i.exec(text)?.[1].toLowerCase()] ?? "" }, `${text}\n`); }
  const { event = "", level = "", timestamp = "", pid: _, service: __, ...rest } = said;
  const when = Date.parse(timestamp) ? clock.format(new Date(timestamp)).replace(",", "") : timestamp;
  const more = Object.entries(rest).map(([name, value]) => `${name}=${typeof value === "string" && !/\s/.test(value) && value ? value : JSON.stringify(value)}`).join(" ");
  return element("span", { class: GRAVE[level] ?? "" }, element("span", { class: "muted" }, `${when} `), `${level.padEnd(8)}`, element("b", {}, event), ` ${more}\n`);
}

const SERVICES = ["ingestor", "scanner", "execution_engine", "backtest", "api", "ops", "watchdog", "exchange_sim"];
export const logs = { async draw({ ask, act, redraw }) {
  const pick = form(act, [select("service", "Service", SERVICES.map((name) => [name, spelt(name)]), tail.service), select("level", "Level", ["any", "info", "warning", "error"], tail.level || "any"), field("contains", "Contains", { value: tail.contains, type: "search" })], "Show",
    async (given) => { tail = { ...given, level: given.level === "any" ? "" : given.level }; await redraw(); });
  pick.querySelectorAll("select").forEach((each) => each.addEventListener("change", () => pick.requestSubmit()));
  const query = new URLSearchParams({ contains: tail.contains, level: tail.level });
  const found = await settle(ask(`/api/logs/${encodeURIComponent(tail.service)}?${query}`).then(({ lines }) => (lines.length
    ? element("pre", { tabindex: "0", role: "log", "aria-label": `Log of ${tail.service}` }, ...lines.reverse().map(logLine))
    : element("p", { class: "empty" }, "No such line."))), failed);
  return element("div", {}, pick, element("p", { class: "muted" }, "Newest first, in IST; new lines appear by themselves."), found);
} };

const removal = ({ ask, act, redraw }, name, text, given) => button("Remove", act, async () => { if (confirm(`Remove ${text}?`)) { await change(ask, name, given); await redraw(); } }, "danger");

async function strategySettings(context) {
  const { ask, act, session, redraw } = context;
  const configured = await rows(ask, "/api/strategy-configs"), admin = session.role === "admin";
  const save = (row, more) => change(ask, "strategy.save", { instance: row.instance, strategy: row.strategy, timeframe: row.timeframe, exchange: row.exchange, symbols: JSON.parse(row.symbols_json ?? "[]"), parameters: JSON.parse(row.parameters_json), is_enabled: Boolean(row.is_enabled), ...more });
  const acts = admin ? (row) => [button(row.is_enabled ? "Switch off" : "Switch on", act, async () => { await save(row, { is_enabled: !row.is_enabled }); await redraw(); }),
    removal(context, "strategy.remove", row.instance, { instance: row.instance })] : null;
  const made = [table(configured, ["instance", "strategy", "is_enabled", "timeframe", "symbols_json", "parameters_json", "version"], { empty: "None is configured here: the scanner runs those of the settings file.", acts, caption: "Strategies" })];
  if (!admin) return made;
  const { rows: strategies, broken } = await ask("/api/strategies");
  if (broken.length) made.push(element("p", { class: "warn" }, `Could not be loaded: ${broken.join("; ")}`));
  const choice = strategyChoice(strategies, "sma_cross");
  const on = element("label", {}, "Switched on", select("is_enabled", "", ["no", "yes"]).querySelector("select"));
  made.push(element("details", {}, element("summary", {}, "Add or change one"), form(act, [field("instance", "Name", { required: true }), choice.picker, select("timeframe", "Timeframe", TIMEFRAMES), field("symbols", "Symbols", { required: true, size: 30 }), on, choice.fields], "Save", async (given) => {
    await change(ask, "strategy.save", { instance: given.instance, strategy: given.strategy, timeframe: given.timeframe, symbols: split(given.symbols.toUpperCase()), parameters: parametersOf(choice.find(given.strategy), given), is_enabled: given.is_enabled === "yes" });
    await redraw();
  })));
  return made;
}

async function people(context) {
  const { ask, act, session, redraw } = context;
  const on = (text, name, given, kind = "") => button(text, act, async () => { if (confirm(`${text}?`)) { await change(ask, name, given); await redraw(); } }, kind);
  const users = await list(ask, "/api/users", ["name", "role", "is_active", "failed_logins", "created_at_us"], { caption: "Users", acts: (row) => [on("End all sessions", "sessions.revoke", { name: row.name }), on(row.role === "admin" ? "Make viewer" : "Make admin", "user.role", { name: row.name, role: row.role === "admin" ? "viewer" : "admin" }), on("Remove", "user.remove", { name: row.name }, "danger")] });
  const add = form(act, [field("name", "Name", { required: true, autocomplete: "off" }), select("role", "Role", ["viewer", "admin"]), field("password", "Password", { required: true, type: "password", autocomplete: "new-password" })], "Add a user", async (given) => { await ask("/api/passwords", { method: "POST", body: given }); await redraw(); });
  const tokens = await list(ask, "/api/tokens", ["name", "token_name", "scopes_json", "created_at_us", "expires_at_us", "used_at_us", "revoked_at_us"], { empty: "No token for a program yet.", caption: "Tokens", acts: (row) => (row.revoked_at_us ? [] : [on("Revoke", "token.revoke", { name: row.name, token_name: row.token_name }, "danger")]) });
  const make = form(act, [field("name", "User", { required: true }), field("token_name", "For", { required: true }), select("scope", "May", ["read", "trade", "config"])], "Make a token", async (given) => { told = (await change(ask, "token.add", { name: given.name, token_name: given.token_name, scopes: [...new Set(["read", given.scope])] })).result.token; await redraw(); });
  const shown = told ? element("p", { class: "empty", role: "status" }, "Shown once: ", element("code", {}, told)) : null;
  told = null;
  return [section("Users", users, add), section("Tokens of programs", tokens, shown, make),
    section("Sessions", await paged(context, "/api/sessions", ["name", "address", "user_agent", "seen_at_us", "expires_at_us", "revoked_at_us"], { caption: "Sessions",
      acts: (row) => (row.revoked_at_us ? [] : row.session_id === session.session_id ? [element("span", { class: "muted" }, "this browser")] : [on("End", "sessions.revoke", { name: row.name, session_id: row.session_id }, "danger")]) })),
    section("Audit log", await paged(context, "/api/audit", ["at_us", "actor", "action", "subject", "subject_key", "reason"], { caption: "Audit log" }))];
}

const TOKEN = { valid: "up", expiring: "warn" };
const ending = (found) => (found.expires_us ? `, until ${moment(found.expires_us)} IST` : "");

async function brokerToken({ ask, act, session, redraw }) {
  const found = await ask("/api/broker");
  const made = [element("p", {}, `Orders go to: ${found.broker === "paper" ? "paper, no real money" : found.broker}. Token: `, chip(found.state, TOKEN[found.state] ?? "down"), ` ${found.detail}${ending(found)}.`)];
  if (found.unanswered) made.push(element("p", { class: "warn" }, `The broker could not be asked about it: ${found.unanswered}`));
  if (session.role !== "admin") return made;
  if (found.login) return [...made, element("div", { class: "empty" }, element("p", {}, "Logging in at the broker from here is not set up yet."),
    element("ol", {}, ...found.steps.map((step) => element("li", {}, step))), element("p", {}, "Settings stand in the file that TRADEFLEET_CONFIG names, or in the environment (upstox.access_token_file is TRADEFLEET_UPSTOX_ACCESS_TOKEN_FILE). Restart the api then: this page has the button from there on."))];
  return [...made, element("p", {}, button("Log in at the broker", act, async () => { location.assign((await ask("/api/broker/login", { method: "POST" })).url); }, found.state === "valid" ? "" : "main"), " ",
    button("Ask the broker about the token", act, async () => { await ask("/api/broker/check", { method: "POST" }); await redraw(); }))];
}

// The broker sent the browser back with a code: it is handed over once and taken out of the address.
let handed = null;
export const broker = { families: "config", redraw: "", async draw({ ask }) {
  const back = element("p", {}, element("a", { href: "/settings" }, "To the settings")), given = new URLSearchParams(location.search);
  if (!handed && !given.get("code")) return element("div", {}, element("p", { class: "empty" }, "The broker sent no code: the login was not finished. Begin it anew under Settings."), back);
  history.replaceState(null, "", "/broker");
  handed ??= ask("/api/broker/token", { method: "POST", body: { code: given.get("code"), state: given.get("state") ?? "" } });
  const found = await settle(handed, (error) => error);
  if (found instanceof Error) return element("div", {}, element("p", { class: "empty warn" }, found.message), back);
  return element("div", {}, element("p", { role: "status" }, "Logged in. Token: ", chip(found.state, TOKEN[found.state] ?? "down"), ` ${found.detail}${ending(found)}.`), back);
} };

async function alerting({ ask, act, redraw }) {
  const { rows: targets, unnamed } = await ask("/api/alert-targets");
  const save = (row, more) => change(ask, "alert.save", { name: row.name, target: row.target, severity_min: row.severity_min, quiet_from: row.quiet_from, quiet_to: row.quiet_to, is_enabled: Boolean(row.is_enabled), ...more });
  const acts = (row) => [button(row.is_enabled ? "Switch off" : "Switch on", act, async () => { await save(row, { is_enabled: !row.is_enabled }); await redraw(); }),
    button("Remove", act, async () => { if (confirm(`Remove the rule ${row.name}?`)) { await change(ask, "alert.remove", { name: row.name }); await redraw(); } }, "danger")];
  const made = [await list(ask, "/api/alert-settings", ["name", "target", "severity_min", "quiet_from", "quiet_to", "is_enabled", "updated_at_us"], { empty: "No rule: every address is told as the settings say.", acts, caption: "Alert rules" })];
  if (!targets.length) return [...made, element("p", { class: "muted" }, `No address has a name${unnamed ? ` (${unnamed} without)` : ""}: give it one in the file of ops.alert_urls_file, \`NAME ADDRESS\` a line.`)];
  return [...made, element("details", {}, element("summary", {}, "Add or change one"), form(act, [field("name", "Name", { required: true }), select("target", "Address", targets.map((each) => each.target)), select("severity_min", "From", ["info", "warning", "critical"], "warning"),
    field("quiet_from", "Quiet from (IST)", { type: "time" }), field("quiet_to", "to", { type: "time" })], "Save", async (given) => { await change(ask, "alert.save", { ...given, quiet_from: given.quiet_from || null, quiet_to: given.quiet_to || null }); await redraw(); }))];
}

let sought = "";
async function instruments({ ask, act, session, redraw }) {
  const query = sought ? `&filter_by=symbol&equals=${encodeURIComponent(sought)}` : "";
  const columns = ["exchange", "symbol", "valid_from", "valid_to", "instrument_type", "lot_size", "tick_size", "freeze_quantity", "instrument_key", "name"];
  const made = [form(act, [field("symbol", "Symbol", { type: "search", value: sought })], "Find", async (given) => { sought = given.symbol.toUpperCase().trim(); await redraw(); }, ""),
    await list(ask, `/api/instruments?limit=20${query}`, columns, { empty: sought ? `No instrument ${sought} is stored.` : "None is stored yet: the ingestor's own file holds.", caption: "Instruments" })];
  if (session.role !== "admin") return made;
  const given = (values) => Object.fromEntries(Object.entries(values).filter(([, value]) => value !== "").map(([name, value]) => [name, ["lot_size", "tick_size", "freeze_quantity"].includes(name) ? Number(value) : value]));
  return [...made, element("p", {}, button("Take the broker's file over", act, async () => { await ask("/api/instruments/import", { method: "POST" }); await redraw(); })),
    element("details", {}, element("summary", {}, "Correct one"), element("p", { class: "muted" }, "Holds from the market's day on, until the broker's file is taken over again; what is left empty stays."),
      form(act, [field("symbol", "Symbol", { required: true, value: sought }), field("lot_size", "Lot", { type: "number", min: 1, step: 1 }), field("tick_size", "Tick", { type: "number", min: 0.0001, step: 0.0001 }), field("freeze_quantity", "Freeze quantity", { type: "number", min: 1, step: 1 })], "Save",
        async (values) => { await change(ask, "instrument.save", given(values)); await redraw(); }))];
}

export const settings = { families: "config", async draw(context) {
  const { ask, act, session, redraw } = context, admin = session.role === "admin";
  const made = [section("Broker", ...(await settle(brokerToken(context), (error) => [failed(error)]))),
    section("Strategies", ...(await settle(strategySettings(context), (error) => [failed(error)]))),
    section("Scans of your own", await list(ask, "/api/scan-configs", ["scan_id", "expression", "timeframe", "is_enabled"], { empty: "No scan is configured.", caption: "Scans", acts: admin ? (row) => [removal(context, "scan.remove", row.scan_id, { scan_id: row.scan_id })] : null }),
      admin ? element("details", {}, element("summary", {}, "Add or change one"), form(act, [field("scan_id", "Name", { required: true }), field("expression", "Expression", { required: true, size: 50, placeholder: "close > sma(20) and rsi(14) < 30" }), select("timeframe", "Timeframe", TIMEFRAMES), select("is_enabled", "Switched on", ["no", "yes"])], "Save",
        async (given) => { await change(ask, "scan.save", { ...given, is_enabled: given.is_enabled === "yes" }); await redraw(); })) : null)];
  if (admin) made.push(section("Who is told of alerts", ...(await settle(alerting(context), (error) => [failed(error)]))));
  made.push(section("Instruments", ...(await settle(instruments(context), (error) => [failed(error)]))));
  if (admin) made.push(...(await people(context)));
  return element("div", {}, ...made);
} };
