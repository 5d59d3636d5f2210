// Two runs side by side: what came out, what they were asked differently, and how many rows differ.
import { dayOf, element, money, moment, number, percent, spelt, table } from "/static/show.js";

const parts = (value) => percent(100 * value);
const FIGURES = [["profit_paise", "Profit", money], ["return_ratio", "Return", parts], ["drawdown_max_ratio", "Deepest fall", parts], ["sharpe", "Sharpe ratio", number],
  ["sortino", "Sortino ratio", number], ["profit_factor", "Profit factor", number], ["trades", "Trades", number], ["win_rate", "Trades won", parts], ["expectancy_paise", "Profit a trade", money],
  ["bars_held_average", "Bars held, on average", number], ["exposure", "Time in the market", parts], ["turnover_ratio", "Turnover, times the capital", number], ["fees_paise", "Charges", money]];
const NAMES = { what: "Figure", first: "First", second: "Second", difference: "Second against first" };

const RIGHT = ["first", "second", "difference"];

const told = (row) => `${spelt(row.strategy)} on ${JSON.parse(row.symbols_json).join(", ")}, ${row.timeframe}, ${dayOf(row.date_from)} to ${dayOf(row.date_to)}, made ${moment(row.created_at_us)}`;

function figures(first, second) {
  const [ours, theirs] = [first, second].map((row) => JSON.parse(row.metrics_json || "{}"));
  return FIGURES.filter(([name]) => [ours, theirs].every((each) => typeof each[name] === "number")).map(([name, what, show]) => ({ what, first: show(ours[name]), second: show(theirs[name]),
    difference: element("span", {}, `${theirs[name] > ours[name] ? "+" : ""}${show(theirs[name] - ours[name])}`) }));
}

// Every single value of what was asked, by where it stands.
function leaves(value, path = "", into = new Map()) {
  let found = value;
  if (typeof value === "string" && /^[{[]/.test(value)) { try { found = JSON.parse(value); } catch { found = value; } }
  if (found && typeof found === "object" && !Array.isArray(found)) for (const [name, each] of Object.entries(found)) leaves(each, path ? `${path} › ${spelt(name)}` : spelt(name), into);
  else into.set(path, Array.isArray(found) ? found.join(", ") : String(found ?? "none"));
  return into;
}

function asked(run) {
  const seen = new Set(), made = [];
  for (const [name, [first, second]] of Object.entries(run)) {
    const [ours, theirs] = [first, second].map((each) => leaves(each, spelt(name.replace(/_json$/, ""))));
    for (const where of new Set([...ours.keys(), ...theirs.keys()])) {
      const last = where.split(" › ").at(-1), pair = `${last}: ${ours.get(where)}: ${theirs.get(where)}`;
      // The parameters stand in the request as well.
      if (ours.get(where) === theirs.get(where) || seen.has(pair)) continue;
      seen.add(pair);
      made.push({ what: where, first: ours.get(where) ?? "none", second: theirs.get(where) ?? "none" });
    }
  }
  return made;
}

export function comparison(found, first, second) {
  if (found.equal) return [element("p", { class: "empty", role: "status" }, "The two runs are equal but for their ids and times.")];
  const stored = Object.entries(found.tables).map(([what, each]) => ({ what: spelt(what), first: number(each.rows[0]), second: number(each.rows[1]), difference: `${number(each.rows_different)} rows differ` }));
  return [element("p", {}, element("strong", {}, "First: "), told(first)), element("p", {}, element("strong", {}, "Second: "), told(second)),
    table(figures(first, second), Object.keys(NAMES), { empty: "The runs have no figures.", caption: "Figures of both runs", names: NAMES, right: RIGHT }),
    element("h3", {}, "Asked differently"), table(asked(found.run), ["what", "first", "second"], { empty: "Both were asked the same.", caption: "Asked differently", names: { ...NAMES, what: "Setting" } }),
    element("details", {}, element("summary", {}, "Rows that differ"), table(stored, Object.keys(NAMES), { empty: "No row differs.", caption: "Rows that differ", right: RIGHT, names: { ...NAMES, what: "Table", difference: "" } }))];
}
