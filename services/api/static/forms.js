// Forms, buttons and lists, as all pages use them.
import { element, spelt, table } from "/static/show.js";

export const rows = async (ask, path) => (await ask(path)).rows;
export const settle = async (promise, otherwise) => { try { return await promise; } catch (error) { return otherwise(error); } };
export const failed = (error) => element("p", { class: "empty warn" }, error.message);
export const list = (ask, path, columns, options) => settle(rows(ask, path).then((found) => table(found, columns, options)), failed);
// A long list, a page at a time; `redraw` shows another.
const PAGE = 25, offsets = new Map();
export async function paged({ ask, act, redraw }, path, columns, options, query = "") {
  const offset = offsets.get(path) ?? 0;
  const found = await settle(ask(`${path}?limit=${PAGE}&offset=${offset}${query && `&${query}`}`), (error) => error);
  if (found instanceof Error) return failed(found);
  const shown = table(found.rows, columns, offset ? { ...options, empty: "Nothing older." } : options);
  if (!offset && found.next_offset === null) return shown;
  const turn = (text, to) => button(text, act, async () => { offsets.set(path, to); await redraw(); });
  return element("div", {}, shown, element("nav", { class: "pager", "aria-label": `Pages of ${options.caption}` }, offset ? turn("Newer", Math.max(0, offset - PAGE)) : null,
    element("span", { class: "muted" }, `${offset + 1} to ${offset + found.rows.length}`), found.next_offset === null ? null : turn("Older", found.next_offset)));
}
// The lists of a page, narrowed to one symbol; `query` goes to their addresses.
const sought = new Map();
export function symbolFilter({ act, redraw }, page) {
  const given = sought.get(page) ?? "";
  const shown = form(act, [field("symbol", "Only symbol", { type: "search", value: given, placeholder: "all", autocomplete: "off", maxlength: 64 })], "Show", async ({ symbol }) => {
    sought.set(page, symbol.toUpperCase().trim());
    offsets.clear();
    document.activeElement.blur();
    await redraw();
  }, "");
  shown.setAttribute("role", "search");
  // A cross in the field empties it; that is an answer, too.
  shown.querySelector("input").addEventListener("search", (event) => { if (!event.target.value && given) shown.requestSubmit(); });
  return { shown, given, query: given ? `filter_by=symbol&equals=${encodeURIComponent(given)}` : "", none: (text) => (given ? `Nothing of ${given}.` : text) };
}
// A window of its own: what is asked for, why, and what may be done with it. It stays until it is done or left.
export function askFor(title, note, fields, actions) {
  const wrong = element("p", { role: "alert", class: "down" }), heading = element("h2", { id: "asked" }, title);
  const buttons = actions.map(([text, kind, work]) => element("button", { type: "button", class: kind, onclick: async () => {
    if (!shown.reportValidity()) return;
    buttons.forEach((each) => { each.disabled = true; });
    wrong.textContent = "";
    try { if (await work(Object.fromEntries(new FormData(shown))) !== false) made.close(); } catch (error) { wrong.textContent = error.message; }
    buttons.forEach((each) => { each.disabled = false; });
  } }, text));
  const shown = element("form", { onsubmit: (event) => { event.preventDefault(); buttons[0].click(); } }, ...fields,
    element("p", { class: "answers" }, ...buttons, element("button", { type: "button", onclick: () => made.close() }, "Leave it as it is")));
  const made = element("dialog", { "aria-labelledby": "asked", onclose: () => made.remove() }, heading, element("p", { class: "muted" }, note), shown, wrong);
  document.body.append(made);
  made.showModal();
}
export const button = (text, act, work, kind = "") => {
  const made = element("button", { type: "button", class: kind }, text);
  made.addEventListener("click", () => act(made, work));
  return made;
};
export const field = (name, label, attributes = {}) => element("label", {}, label, element("input", { name, ...attributes }));
export const select = (name, label, options, chosen = "") => element("label", {}, label, element("select", { name },
  ...options.map((option) => (Array.isArray(option) ? option : [option, option])).map(([value, text]) => element("option", { value, selected: value === chosen }, text))));
export const form = (act, fields, text, work, kind = "main") => {
  const made = element("form", {}, ...fields, element("button", { type: "submit", class: kind }, text));
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    act(made.querySelector("button[type=submit]"), () => work(Object.fromEntries(new FormData(made)), made));
  });
  return made;
};
export const change = (ask, name, given) => ask(`/api/config/${name}`, { method: "POST", body: { arguments: given } });
export const engine = (ask, name, given) => ask(`/api/engine/${name}`, { method: "POST", body: { arguments: given } });
export const split = (text) => text.split(/[\s,]+/).filter(Boolean);
export const TIMEFRAMES = ["1m", "5m", "15m", "1h", "4h", "1d"];

// The parameters of a strategy as fields, with the ranges it would refuse anyway.
export function parameterFields(strategy, given = {}) {
  return strategy.parameters.map((each) => {
    const value = given[each.name] ?? each.default, name = `parameter.${each.name}`;
    if (each.choices.length) return select(name, spelt(each.name), each.choices.map((choice) => [String(choice), { true: "yes", false: "no" }[choice] ?? String(choice)]), String(value));
    const range = { min: each.minimum, max: each.maximum, step: each.kind === "int" ? 1 : "any" };
    return field(name, spelt(each.name), { type: "number", value, required: true, ...range });
  });
}

export function parametersOf(strategy, given) {
  const found = {};
  for (const each of strategy.parameters) {
    const text = given[`parameter.${each.name}`];
    const choice = each.choices.find((one) => String(one) === text);
    found[each.name] = choice !== undefined ? choice : Number(text);
  }
  return found;
}

// A choice of strategy, with the fields of the one that is chosen below it.
export function strategyChoice(strategies, chosen, given = {}) {
  const find = (name) => strategies.find((each) => each.strategy === name) ?? strategies[0];
  const fields = element("fieldset", { class: "parameters" });
  const picker = select("strategy", "Strategy", strategies.map((each) => [each.strategy, spelt(each.strategy)]), chosen);
  const show = (name, values) => fields.replaceChildren(element("legend", {}, find(name).purpose), ...parameterFields(find(name), values));
  picker.querySelector("select").addEventListener("change", (event) => show(event.target.value));
  show(chosen, given);
  return { picker, fields, find };
}
