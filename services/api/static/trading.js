// Orders, trades, positions; and what an admin may do with them.
import { element, money, price, section, table } from "/static/show.js";
import { askFor, button, engine, failed, field, paged, rows, settle, symbolFilter } from "/static/forms.js";

export const ORDERS = ["symbol", "side", "quantity", "quantity_filled", "order_type", "price", "price_trigger", "status", "strategy_id", "created_at_us", "reason"];
export const POSITIONS = ["symbol", "quantity", "price_average", "price_mark", "profit_unrealised_paise", "profit_realised_paise", "fees_paise", "strategy_id"];
export const SIGNALS = ["symbol", "signal_type", "strategy_id", "timeframe", "confidence", "timestamp_us"];
const FLAT = ["symbol", "price_mark", "profit_realised_paise", "fees_paise", "strategy_id", "updated_at_us"];
const TRADES = ["symbol", "side", "quantity", "price", "profit_paise", "fees_paise", "strategy_id", "timestamp_us"];
const ALIVE = ["intent", "sent", "acknowledged", "open", "partially_filled", "unknown"];
const AT_WORK = ["acknowledged", "open", "partially_filled"];
const named = (row) => `${row.side} ${row.quantity} ${row.symbol}`;

// The order's terms, to be changed at the broker, or under a new order once the old one is cancelled.
function changing({ ask, redraw }, row) {
  const priced = row.price !== null, stopped = row.price_trigger !== null;
  const fields = [field("quantity", "Shares in all, never more", { type: "number", min: Math.max(1, row.quantity_traded + 1), max: row.quantity, step: 1, value: row.quantity, required: true }),
    priced ? field("price", "Limit", { type: "number", min: 0, step: "any", value: row.price, required: true }) : null,
    stopped ? field("price_trigger", "Trigger", { type: "number", min: 0, step: "any", value: row.price_trigger, required: true }) : null].filter(Boolean);
  const numbers = (given) => Object.fromEntries(Object.entries(given).map(([name, value]) => [name, Number(value)]));
  const modify = async (given) => {
    const terms = numbers(given);
    if (!confirm(`Ask the broker to make it ${terms.quantity} ${row.symbol}${priced ? ` at ${price(terms.price)}` : ""}${stopped ? `, trigger ${price(terms.price_trigger)}` : ""}?`)) return false;
    await engine(ask, "modify", { order_id: row.order_id, ...terms });
    await redraw();
    return true;
  };
  const replace = async (given) => {
    const terms = numbers(given);
    if (!confirm(`Cancel this order, and ask for what it did not trade at ${price(terms.price)}?`)) return false;
    await engine(ask, "replace", { order_id: row.order_id, price: terms.price });
    await redraw();
    return true;
  };
  askFor(`Change: ${named(row)}`, `${row.quantity_filled} of ${row.quantity} filled. The limits of risk hold for the new terms, too.`, fields,
    [["Modify at the broker", "main", modify], ...(priced ? [["Cancel and replace", "danger", replace]] : [])]);
}

// What is open stands first; what is flat again has its profit still, behind a click.
async function positions(ask, only, acts) {
  const found = await rows(ask, `/api/positions?limit=1000&${only.query}`), open = found.filter((row) => row.quantity), flat = found.filter((row) => !row.quantity);
  const sum = (list, name) => money(list.reduce((total, row) => total + row[name], 0));
  return [found.length ? element("p", { class: "muted" }, `${open.length} open, ${sum(open, "profit_unrealised_paise")} unrealised; in all ${sum(found, "profit_realised_paise")} realised before ${sum(found, "fees_paise")} of charges.`) : null,
    table(open, POSITIONS, { empty: only.none("Nothing is held."), acts, caption: "Positions" }),
    flat.length ? element("details", {}, element("summary", {}, `${flat.length} flat again`), table(flat, FLAT, { caption: "Flat again" })) : null];
}

export const trading = { families: "order,trade,position", async draw(context) {
  const { ask, act, session, redraw } = context, admin = session.role === "admin", only = symbolFilter(context, "trading");
  const acts = admin ? (row) => (ALIVE.includes(row.status) ? [
    ...(AT_WORK.includes(row.status) && row.order_type !== "market" ? [element("button", { type: "button", onclick: () => changing(context, row) }, "Change")] : []),
    button("Cancel", act, async () => { if (confirm(`Cancel ${named(row)}?`)) { await engine(ask, "cancel", { order_id: row.order_id }); await redraw(); } }, "danger")] : []) : null;
  const close = admin ? (row) => (row.quantity ? [button("Square off", act, async () => {
    if (confirm(`Close everything in ${row.symbol}?`)) { await engine(ask, "square_off", { symbol: row.symbol }); await redraw(); } }, "danger")] : []) : null;
  return element("div", {}, only.shown,
    section("Positions", ...(await settle(positions(ask, only, close), (error) => [failed(error)]))),
    section("Orders", await paged(context, "/api/orders", ORDERS, { empty: only.none("No order yet."), acts, caption: "Orders" }, only.query)),
    section("Trades", await paged(context, "/api/trades", TRADES, { empty: only.none("No trade yet."), caption: "Trades" }, only.query)));
} };
