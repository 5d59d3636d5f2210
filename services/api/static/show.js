// How values look: INR and IST for people, tables from rows. Text only ever becomes text, never markup.
const rupees = new Intl.NumberFormat("en-IN", { style: "currency", currency: "INR" });
const figures = new Intl.NumberFormat("en-IN", { maximumFractionDigits: 2 });
const moments = new Intl.DateTimeFormat("en-IN", { timeZone: "Asia/Kolkata", dateStyle: "short", timeStyle: "medium", hour12: false });

export const moment = (us) => (us ? moments.format(new Date(us / 1000)) : "");

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function shown(name, value) {
  if (value === null || value === undefined) return "";
  if (name.endsWith("_us")) return moment(value);
  if (name.endsWith("_paise")) return rupees.format(value / 100);
  if (typeof value === "number" && name !== "user_id") return figures.format(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

const heading = (name) => name.replace(/_(us|paise|json)$/, "").replaceAll("_", " ");

// A table of some columns; `acts` gives each row its buttons. No rows: says what that means.
export function table(rows, columns, { empty = "Nothing yet.", acts = null, caption = "" } = {}) {
  if (!rows.length) return element("p", { class: "muted" }, empty);
  const isNumber = (name) => rows.some((row) => typeof row[name] === "number") && !name.endsWith("_us");
  const side = (name) => (isNumber(name) ? "number" : "");
  const head = columns.map((name) => element("th", { scope: "col", class: side(name) }, heading(name)));
  const lines = rows.map((row) => element("tr", {}, ...columns.map((name) => {
    const sign = name.startsWith("profit") && row[name] ? (row[name] > 0 ? " up" : " down") : "";
    return element("td", { class: side(name) + sign }, shown(name, row[name]));
  }), ...(acts ? [element("td", {}, ...acts(row))] : [])));
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption || "table" },
    element("table", {}, element("thead", {}, element("tr", {}, ...head, ...(acts ? [element("th", {}, "")] : []))),
      element("tbody", {}, ...lines)));
}

export const section = (title, ...children) => element("section", {}, element("h2", {}, title), ...children);

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
  const y = (price) => 10 + (300 * (high - price)) / (high - low || 1);
  const step = (width - right) / rows.length;
  rows.forEach(([at, open, top, bottom, close, volume], number) => {
    const x = number * step + step / 2, kind = close >= open ? "up" : "down";
    const group = make("g", { class: kind });
    group.append(make("title", {}, `${moment(at)}  O ${open} H ${top} L ${bottom} C ${close} V ${volume}`));
    group.append(make("line", { x1: x, x2: x, y1: y(top), y2: y(bottom) }));
    group.append(make("rect", { x: x - step * 0.35, width: step * 0.7, y: y(Math.max(open, close)),
      height: Math.max(1, Math.abs(y(open) - y(close))) }));
    group.append(make("rect", { x: x - step * 0.35, width: step * 0.7, y: 395 - (70 * volume) / most,
      height: (70 * volume) / most, opacity: 0.4 }));
    chart.append(group);
  });
  for (const price of [high, (high + low) / 2, low]) chart.append(make("text", { x: width - right + 6, y: y(price) + 4 }, price.toFixed(2)));
  return chart;
}
