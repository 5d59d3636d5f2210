// The chart: candles and volume, indicators, what was traded and said; further back as one scrolls.
import { candleChart, element, moment, price, section, table, words } from "/static/show.js";
import { TIMEFRAMES, field, rows, select, settle } from "/static/forms.js";

// Candles that begin at whole multiples of their length since the session opened, which is itself one.
const FORMING_US = { "1m": 6e7, "5m": 3e8, "15m": 9e8 };
const IST_S = 19800, PAGE = 400, MARKS = 500;
const CHOICES = { "SMA 20": "sma:period=20", "EMA 50": "ema:period=50", Bollinger: "bollinger", VWAP: "vwap", Supertrend: "supertrend", "RSI 14": "rsi:period=14", MACD: "macd" };
const BELOW = ["rsi", "macd"];
const LINES = ["#4c8dff", "#d98a1f", "#9a6bd6", "#2aa198", "#c7568f", "#7a8794", "#b58900"];
const wanted = { symbol: "", timeframe: "1m", indicators: new Set(["SMA 20"]) };
let drawn = null;

// What the address asks for; where it asks for nothing, what was looked at last.
async function choose(ask) {
  const kept = location.search ? null : await settle(ask("/api/preferences").then((each) => each.charts), () => null);
  const given = new URLSearchParams(kept ?? location.search);
  wanted.symbol = given.get("symbol") ?? wanted.symbol;
  wanted.timeframe = TIMEFRAMES.includes(given.get("timeframe")) ? given.get("timeframe") : wanted.timeframe;
  if (given.has("indicators")) wanted.indicators = new Set(given.get("indicators").split(",").filter(Boolean));
}

const query = (more = "") => `/api/candles?symbol=${encodeURIComponent(wanted.symbol)}&timeframe=${wanted.timeframe}` +
  `&indicators=${encodeURIComponent([...wanted.indicators].map((name) => CHOICES[name]).filter(Boolean).join(","))}${more}`;
// The library knows no zones: what it takes for UTC is IST here.
const seconds = (us) => Math.floor(us / 1e6) + IST_S;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function look() {
  return { layout: { background: { color: colour("--card") }, textColor: colour("--muted"), attributionLogo: false },
    localization: { locale: "en-IN", priceFormatter: price },
    grid: { vertLines: { color: colour("--soft") }, horzLines: { color: colour("--soft") } },
    timeScale: { timeVisible: true, secondsVisible: false, borderColor: colour("--line") }, rightPriceScale: { borderColor: colour("--line") } };
}

class Chart {
  constructor(library, place, found, ask) {
    Object.assign(this, { library, place, ask, rows: found.rows, columns: found.columns, lines: [], over: false, loading: false });
    this.chart = library.createChart(place, { autoSize: true, ...look() });
    const [up, down] = [colour("--up"), colour("--down")];
    this.candles = this.chart.addSeries(library.CandlestickSeries, { upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false });
    this.volume = this.chart.addSeries(library.HistogramSeries, { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
    let pane = 0;
    const panes = new Map();
    this.columns.slice(6).forEach((name, number) => {
      if (/direction/.test(name)) { this.lines.push(null); return; }
      const family = name.split(/[:.]/)[0];
      if (BELOW.includes(family) && !panes.has(family)) panes.set(family, pane += 1);
      this.lines.push(this.chart.addSeries(library.LineSeries, { color: LINES[number % LINES.length], lineWidth: 1, title: name.replace(/\w+=/g, "").replace(":", " "), priceLineVisible: false, lastValueVisible: false }, panes.get(family) ?? 0));
    });
    this.marks = library.createSeriesMarkers(this.candles, []);
    this.fill();
    // It has a width only once it is on the page.
    new ResizeObserver((_, observer) => {
      if (!place.clientWidth) return;
      observer.disconnect();
      this.chart.timeScale().setVisibleLogicalRange({ from: this.rows.length - Math.max(40, Math.min(130, place.clientWidth / 8, this.rows.length)), to: this.rows.length + 4 });
    }).observe(place);
    this.chart.timeScale().subscribeVisibleLogicalRangeChange((range) => { if (range && range.from < 30) this.back(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.chart.applyOptions(look()));
  }

  bar([us, open, high, low, close]) { return { time: seconds(us), open, high, low, close }; }
  amount([us, open, , , close, volume]) { return { time: seconds(us), value: volume, color: colour(close >= open ? "--up" : "--down") + "66" }; }
  point(row, number) { const value = row[6 + number]; return value === null ? { time: seconds(row[0]) } : { time: seconds(row[0]), value }; }

  fill() {
    this.candles.setData(this.rows.map(this.bar));
    this.volume.setData(this.rows.map(this.amount));
    this.lines.forEach((line, number) => line?.setData(this.rows.map((row) => this.point(row, number))));
  }

  newer(found) {
    for (const row of found) {
      const last = this.rows.at(-1)[0];
      if (row[0] < last) continue;
      if (row[0] === last) this.rows[this.rows.length - 1] = row; else this.rows.push(row);
      if (this.isForming()) continue;
      this.candles.update(this.bar(row));
      this.volume.update(this.amount(row));
      this.lines.forEach((line, number) => line?.update(this.point(row, number)));
    }
    // The library takes nothing that is older than its newest candle, and that one is not over yet.
    if (this.isForming()) { this.fill(); this.draw(this.forming.row); }
  }

  isForming() { return Boolean(this.forming) && this.forming.row[0] > this.rows.at(-1)[0]; }
  draw(row) { this.candles.update(this.bar(row)); this.volume.update(this.amount(row)); }

  // The candle that is not over: what traded in it so far, then each price as it comes; the stored one takes its place.
  async form({ price: value, volume_day: volume, at_us: at }) {
    const start = Math.floor(at / FORMING_US[wanted.timeframe]) * FORMING_US[wanted.timeframe];
    if (start <= this.rows.at(-1)[0] || this.seeding === start) return;
    if (this.forming?.row[0] !== start) {
      this.seeding = start;
      const span = Math.ceil((at - start) / 1e6) + 1, query = `/api/ticks?symbol=${encodeURIComponent(wanted.symbol)}&seconds=${Math.max(1, span)}&before_us=${at + 1}&limit=5000`;
      const before = (await settle(this.ask(query).then((each) => each.rows), () => [])).filter((row) => row[0] >= start);
      this.seeding = null;
      const prices = [...before.map((row) => row[1]), value], from = before.length ? before[0][5] - before[0][2] : volume;
      this.forming = { row: [start, prices[0], Math.max(...prices), Math.min(...prices), value, 0], from };
    }
    const { row, from } = this.forming;
    Object.assign(row, { 2: Math.max(row[2], value), 3: Math.min(row[3], value), 4: value, 5: Math.max(0, volume - from) });
    if (!this.isForming()) return;  // it closed while its ticks were asked for
    this.draw(row);
    this.quote.replaceChildren(...quoteLine(row));
  }

  async back() {
    if (this.loading || this.over) return;
    this.loading = true;
    const range = this.chart.timeScale().getVisibleLogicalRange();
    const found = await settle(this.ask(query(`&limit=${PAGE}&before_us=${this.rows[0][0]}`)).then((each) => each.rows), () => []);
    this.over = found.length < PAGE;
    if (found.length) {
      this.rows = [...found, ...this.rows];
      this.fill();
      if (this.isForming()) this.draw(this.forming.row);
      this.chart.timeScale().setVisibleLogicalRange({ from: range.from + found.length, to: range.to + found.length });
      await this.mark();
    }
    this.loading = false;
  }

  // A mark stands at the candle it happened in.
  candleOf(us) {
    let low = 0, high = this.rows.length;
    while (low < high) { const middle = (low + high) >> 1; if (this.rows[middle][0] <= us) low = middle + 1; else high = middle; }
    return low ? seconds(this.rows[low - 1][0]) : null;
  }

  async mark() {
    const where = `?limit=${MARKS}&filter_by=symbol&equals=${encodeURIComponent(wanted.symbol)}`;
    const [trades, signals] = await Promise.all(["/api/trades", "/api/signals"].map((path) => settle(rows(this.ask, path + where), () => [])));
    const made = [];
    const add = (us, shape, position, kind, text) => { const time = this.candleOf(us); if (time) made.push({ time, shape, position, color: colour(kind), text }); };
    for (const one of signals) add(one.timestamp_us, "circle", one.signal_type.endsWith("long") === one.signal_type.startsWith("enter") ? "belowBar" : "aboveBar", "--warn", "");
    for (const one of trades) add(one.timestamp_us, one.side === "buy" ? "arrowUp" : "arrowDown", one.side === "buy" ? "belowBar" : "aboveBar", one.side === "buy" ? "--up" : "--down", this.place.clientWidth < 600 ? "" : `${one.quantity}`);
    this.marks.setMarkers(made.sort((one, other) => one.time - other.time));
    return made.length;
  }
}

function quoteLine(last) {
  const rise = last[4] - last[1];
  return [element("strong", {}, wanted.symbol), element("span", { class: rise < 0 ? "down" : "up" }, price(last[4])),
    element("span", { class: "muted" }, `O ${price(last[1])}  H ${price(last[2])}  L ${price(last[3])}  V ${last[5].toLocaleString("en-IN")} · ${moment(last[0])} IST`)];
}

function picker(symbols, ask) {
  const names = element("datalist", { id: "symbols" }, ...symbols.map((symbol) => element("option", { value: symbol })));
  const made = element("form", {}, field("symbol", "Symbol", { required: true, value: wanted.symbol, list: "symbols", autocomplete: "off" }), names, select("timeframe", "Timeframe", TIMEFRAMES, wanted.timeframe),
    element("fieldset", {}, element("legend", {}, "Indicators"), ...Object.keys(CHOICES).map((name) =>
      element("label", {}, element("input", { type: "checkbox", name: "indicators", value: name, checked: wanted.indicators.has(name) }), name))),
    element("button", { type: "submit", class: "main" }, "Show"));
  const go = async (event) => {
    event.preventDefault();
    const chosen = new FormData(made);
    const query = String(new URLSearchParams({ symbol: String(chosen.get("symbol")).toUpperCase().trim(), timeframe: chosen.get("timeframe"), indicators: chosen.getAll("indicators").join(",") }));
    await settle(ask("/api/preferences", { method: "POST", body: { key: "charts", value: query } }), () => null);
    location.search = query;
  };
  made.addEventListener("submit", go);
  made.addEventListener("change", (event) => { if (event.target.name !== "symbol" || symbols.includes(event.target.value)) go(event); });
  return made;
}

export const charts = { families: "candle,price,signal,trade", redraw: "",
  async draw({ ask }) {
    if (!wanted.symbol) await choose(ask);
    const symbols = (await rows(ask, "/api/quotes")).map((quote) => quote.symbol).sort();
    const known = [...new Set(symbols)];
    // What was last said something about is worth a look.
    wanted.symbol ||= (await settle(rows(ask, "/api/signals?limit=1"), () => []))[0]?.symbol ?? known[0] ?? "";
    if (!wanted.symbol) return element("div", {}, picker(known, ask), element("p", { class: "empty" }, "No candle was heard yet: name a symbol, or wait for the market's first minute."));
    const found = await ask(query(`&limit=${PAGE}`));
    if (!found.rows.length) return element("div", {}, picker(known, ask), element("p", { class: "empty" }, `There are no ${wanted.timeframe} candles of ${wanted.symbol} yet.`));
    const place = element("div", { class: "chart", role: "img", "aria-label": `Candles of ${wanted.symbol}, ${wanted.timeframe}; the newest stand in the table below` });
    const quote = element("p", { class: "quote" }, ...quoteLine(found.rows.at(-1)));
    const library = await settle(import("/static/lightweight-charts.js"), () => null);
    const made = element("div", {}, picker(known, ask), quote, place, element("div", { id: "newest" }));
    if (library) {
      drawn = new Chart(library, place, found, ask);
      drawn.quote = quote;
      await drawn.mark();
      made.append(element("p", { class: "muted" }, "Arrows: our trades, with their quantity. Dots: signals. Drag the candles to the right for history. Charts by ",
        element("a", { href: "https://www.tradingview.com/", rel: "noreferrer", target: "_blank" }, "TradingView Lightweight Charts"), "."));
    } else {
      place.replaceWith(candleChart(found.rows.slice(-150)));
      drawn = { plain: true, quote };
      made.append(element("p", { class: "muted" }, "A plain drawing: lightweight-charts is not installed (`make setup` on a machine with npm, or one that can install it, does)."));
    }
    made.append(section("Newest candles", newest(found.rows)));
    return made;
  },
  // A candle closed: only what is new is asked for. A price moves the candle that is being made.
  async hear(all, { ask }) {
    if (!drawn) return;
    const own = all.filter((each) => each.payload.symbol === wanted.symbol), news = own.filter((each) => !each.topic.startsWith("price."));
    const told = own.find((each) => each.topic.startsWith("price."))?.payload;
    if (told && !drawn.plain && FORMING_US[wanted.timeframe]) await drawn.form(told);
    if (!news.length) return;
    const found = await settle(ask(query(`&limit=${drawn.plain ? 150 : 3}`)).then((each) => each.rows), () => []);
    if (!found.length) return;
    drawn.quote.replaceChildren(...quoteLine(found.at(-1)));
    if (drawn.plain) document.querySelector("svg.chart")?.replaceWith(candleChart(found));
    else drawn.newer(found);
    document.querySelector("#content section:last-of-type .scroll")?.replaceWith(newest(drawn.plain ? found : drawn.rows));
    if (!drawn.plain && news.some((each) => /^(trade|signal)\./.test(each.topic))) await drawn.mark();
  } };

function newest(all) {
  const columns = ["timestamp_us", "open", "high", "low", "close", "volume"];
  return table(all.slice(-8).reverse().map((row) => Object.fromEntries(columns.map((name, number) => [name, row[number]]))), columns, { caption: words("Newest candles") });
}
