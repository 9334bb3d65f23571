// The status page: asks for what is new each second, and draws it. While nobody sees the page it asks for nothing.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

let points = [];
let kept = 300;
let pid = null;

// So many seconds are shown: whole minutes, as many as are known.
const span = () => Math.min(Math.max(Math.ceil(points.length / 60), 1) * 60, kept);

// Numbers as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const count = (value) => (value < 10 ? tenth : whole).format(value);

function scaled(value, step, units) {
  let at = 0;
  while (value >= step && at + 1 < units.length) {
    value /= step;
    at += 1;
  }
  return [(value < 100 && (at > 0 || value % 1 !== 0) ? tenth : whole).format(value), units[at]];
}

// Two or three digits.
const short = (value) => {
  const [number, unit] = scaled(value, 1000, ["", "k", "M", "G"]);
  return number + unit;
};
const inBytes = (value) => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
const inTime = (us) => scaled(us, 1000, ["µs", "ms", "s"]);
const bytes = (value) => inBytes(value).join(" ");
const time = (us) => (us === null || us === undefined ? "–" : inTime(us).join(" "));

function lasted(seconds) {
  const [days, hours, minutes] = [seconds / 86400, (seconds / 3600) % 24, (seconds / 60) % 60].map(Math.floor);
  const two = (value) => String(value).padStart(2, "0");
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${two(minutes)} min`;
  return minutes > 0 ? `${minutes} min ${two(seconds % 60)} s` : `${seconds} s`;
}

function svg(name, attributes = {}, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Scales: a value to a part of the height, and where lines are drawn.

function linear(most, least, step) {
  const top = Math.max(most, least);
  const power = step ? 0 : 10 ** Math.floor(Math.log10(top / 4));
  const unit = step ? step(top) : [1, 2, 5, 10].map((one) => one * power).find((one) => top / one <= 4.5);
  const end = Math.ceil(top / unit) * unit;
  const ticks = [];
  for (let at = 0; at <= end + unit / 2; at += unit) ticks.push(at);
  return { part: (value) => value / end, ticks };
}

// Bytes have steps of their own: halves and quarters of powers of two.
const binary = (top) => 2 ** Math.ceil(Math.log2(top / 4));

// Times differ by powers of ten: a logarithmic scale, between round numbers.
function logarithmic(least, most) {
  const steps = [1, 2, 5, 10];
  const power = (value) => 10 ** Math.floor(Math.log10(value));
  const low = power(least) * steps.findLast((step) => step * power(least) <= least * 1.001);
  const high = Math.max(power(most) * steps.find((step) => step * power(most) >= most * 0.999), low * 10);
  const ticks = [];
  for (let decade = power(low); decade <= high; decade *= 10) {
    const wanted = high / low > 1000 ? [1] : high / low > 20 ? [1, 3] : [1, 2, 5];
    for (const step of wanted) if (decade * step >= low * 0.999 && decade * step <= high * 1.001) ticks.push(decade * step);
  }
  return { part: (value) => Math.log(value / low) / Math.log(high / low), ticks, hasBase: false };
}

// A plot: lines over the last minutes, a cursor that follows pointer or arrow keys, and what it says there.

class Plot {
  constructor(id, lines, options) {
    this.lines = lines;
    this.options = options;
    this.cursor = null;
    const figure = byId(id);
    const caption = figure.querySelector("figcaption");
    this.title = caption.textContent;
    const key = caption.appendChild(document.createElement("span"));
    key.className = "key";
    this.values = lines.map((line) => {
      const entry = key.appendChild(document.createElement("span"));
      if (line.name) {
        const sample = entry.appendChild(svg("svg", { viewBox: "0 0 18 8", "aria-hidden": "true" }));
        sample.append(svg("path", { d: "M1 4H17", class: `line ${line.class}` }));
        entry.append(line.name);
      }
      return entry.appendChild(document.createElement("b"));
    });
    this.chart = figure.appendChild(svg("svg", { class: "chart", role: "img", tabindex: "0" }));
    this.said = figure.appendChild(document.createElement("p"));
    this.said.className = "hidden";
    this.said.setAttribute("aria-live", "polite");
    this.chart.addEventListener("pointermove", (event) => this.point(event));
    this.chart.addEventListener("pointerleave", () => this.move(null));
    this.chart.addEventListener("blur", () => this.move(null));
    this.chart.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: 1, ArrowRight: -1, PageUp: 30, PageDown: -30 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const ago = Math.min(Math.max((this.cursor ?? 0) + step, 0), Math.max(points.length - 1, 0));
      this.move(ago);
      this.said.textContent = this.words(ago);
    });
    new ResizeObserver(() => this.draw()).observe(this.chart);
  }

  // The cursor stands so many seconds before the end.
  move(ago) {
    this.cursor = ago;
    this.draw();
  }

  point(event) {
    const { left, width } = this.box;
    const x = event.clientX - this.chart.getBoundingClientRect().left;
    const ago = Math.round(((left + width - x) / width) * (span() - 1));
    this.move(ago >= 0 && ago < points.length ? ago : null);
  }

  words(ago) {
    const point = points[points.length - 1 - ago];
    if (!point) return "";
    const values = this.lines.map((line) => `${line.name || this.title} ${this.options.format(line.read(point) ?? null)}`);
    return `${values.join(", ")}, ${ago} seconds ago`;
  }

  draw() {
    const { width: all, height: tall } = this.chart.getBoundingClientRect();
    if (all === 0) return;
    const box = { left: 52, top: 8, width: all - 52 - 4, height: tall - 8 - 20 };
    this.box = box;
    const read = this.lines.map((line) => points.map((point) => line.read(point) ?? null));
    const known = read.flat().filter((value) => value !== null);
    const scale = this.options.scale(known);
    const x = (at) => box.left + box.width * (1 - (points.length - 1 - at) / (span() - 1));
    const y = (value) => box.top + box.height * (1 - Math.min(Math.max(scale.part(value), 0), 1));
    const parts = [this.grid(scale, y)];
    this.lines.forEach((line, number) => {
      const values = read[number];
      for (const [first, last] of runs(values)) {
        const path = values.slice(first, last).map((value, at) => `${x(first + at).toFixed(1)} ${y(value).toFixed(1)}`);
        // A second alone is a dot.
        const d = path.length > 1 ? `M${path.join("L")}` : `M${path[0]}h0.01`;
        if (line.fill && path.length > 1) {
          const bottom = (box.top + box.height).toFixed(1);
          const under = `${d}L${x(last - 1).toFixed(1)} ${bottom}L${x(first).toFixed(1)} ${bottom}Z`;
          parts.push(svg("path", { d: under, class: `area ${line.class}` }));
        }
        parts.push(svg("path", { d, class: `line ${line.class}` }));
      }
    });
    const shown = points.length - 1 - (this.cursor ?? 0);
    if (this.cursor !== null && shown >= 0) {
      const at = x(shown).toFixed(1);
      parts.push(svg("line", { x1: at, x2: at, y1: box.top, y2: box.top + box.height, class: "cursor" }));
      const anchor = x(shown) > box.left + box.width / 2 ? "end" : "start";
      const when = this.cursor === 0 ? "now" : `${this.cursor} s ago`;
      parts.push(svg("text", { x: x(shown) + (anchor === "end" ? -6 : 6), y: box.top + 10, "text-anchor": anchor }, when));
    }
    this.chart.replaceChildren(...parts);
    this.chart.setAttribute("viewBox", `0 0 ${all} ${tall}`);
    const point = points[shown];
    this.lines.forEach((line, number) => {
      this.values[number].textContent = point ? this.options.format(line.read(point) ?? null) : "–";
    });
    this.chart.setAttribute("aria-label", `${this.title}. ${this.words(0)}. Arrow keys go through the seconds before.`);
  }

  grid(scale, y) {
    const { left, top, width, height } = this.box;
    const grid = svg("g", { class: "grid" });
    scale.ticks.forEach((tick, number) => {
      const at = y(tick).toFixed(1);
      grid.append(svg("line", { x1: left, x2: left + width, y1: at, y2: at, class: number === 0 && scale.hasBase !== false ? "base" : "" }));
      grid.append(svg("text", { x: left - 8, y: Number(at) + 3.5, "text-anchor": "end" }, this.options.tick(tick)));
    });
    const seconds = span();
    let step = seconds <= 60 ? 15 : seconds <= 120 ? 30 : 60;
    // The outermost stand beside their lines, so two need more than a word's width between them.
    while (step < seconds && (width * step) / seconds < 68) step *= 2;
    for (let ago = 0; ago <= seconds; ago += step) {
      const at = left + width * (1 - Math.min(ago / (seconds - 1), 1));
      const anchor = ago === 0 ? "end" : ago >= seconds ? "start" : "middle";
      const text = ago === 0 ? "now" : ago % 60 === 0 ? `−${ago / 60} min` : `−${ago} s`;
      grid.append(svg("text", { x: at, y: top + height + 15, "text-anchor": anchor }, text));
    }
    return grid;
  }
}

// Where values are known: pairs of a beginning and an end.
function runs(values) {
  const found = [];
  values.forEach((value, at) => {
    if (value === null) return;
    const last = found[found.length - 1];
    if (last && last[1] === at) last[1] = at + 1;
    else found.push([at, at + 1]);
  });
  return found;
}

const upTo = (least, step) => (known) => linear(known.reduce((most, one) => Math.max(most, one), 0), least, step);

const plots = [
  new Plot("plot-requests", [{ name: "", class: "ochre", fill: true, read: (point) => point.requests }], {
    scale: upTo(4),
    tick: short,
    format: (value) => (value === null ? "–" : count(value)),
  }),
  new Plot(
    "plot-latency",
    [
      { name: "p50", class: "blue", read: (point) => point.p50_us },
      { name: "p90", class: "violet dash", read: (point) => point.p90_us },
      { name: "p99", class: "ochre", read: (point) => point.p99_us },
    ],
    {
      scale: (known) =>
        known.length ? logarithmic(known.reduce((a, b) => Math.min(a, b)), known.reduce((a, b) => Math.max(a, b))) : logarithmic(10, 10000),
      tick: time,
      format: time,
    },
  ),
  new Plot(
    "plot-connections",
    [
      { name: "open", class: "blue", fill: true, read: (point) => point.connections },
      { name: "new a second", class: "green dash", read: (point) => point.accepted },
    ],
    { scale: upTo(4), tick: short, format: (value) => (value === null ? "–" : count(value)) },
  ),
  new Plot("plot-bytes", [{ name: "", class: "violet", fill: true, read: (point) => point.bytes }], {
    scale: upTo(1024, binary),
    tick: bytes,
    format: (value) => (value === null ? "–" : bytes(value)),
  }),
];

// Cores: each with its load of the last minute.

const CORE_SECONDS = 60;

function drawCores(now) {
  const list = byId("cores");
  while (list.children.length > now.cores.length) list.lastChild.remove();
  now.cores.forEach((core, number) => {
    const row = list.children[number] ?? list.appendChild(coreRow(number));
    const loads = points.slice(-CORE_SECONDS).map((point) => point.loads[number] ?? 0);
    const last = loads[loads.length - 1] ?? 0;
    row.querySelector(".load").textContent = `${Math.round(last * 100)} %`;
    const x = (at) => 100 - ((loads.length - 1 - at) / (CORE_SECONDS - 1)) * 100;
    const line = loads.map((load, at) => `${x(at).toFixed(1)} ${(27 - load * 25).toFixed(1)}`).join("L");
    row.querySelector(".line").setAttribute("d", line ? `M${line}` : "");
    row.querySelector(".area").setAttribute("d", line ? `M${x(0).toFixed(1)} 28L${line}L100 28Z` : "");
    const meter = row.querySelector("svg");
    meter.setAttribute("aria-valuenow", Math.round(last * 100));
    row.querySelector(".more").textContent =
      `${whole.format(core.ready)} ready · ${short(core.dispatches)} switches · ${short(core.steals)} taken over · ${short(core.preemptions)} preempted`;
  });
  const sum = (points[points.length - 1]?.loads ?? []).reduce((all, load) => all + load, 0);
  byId("cores-sum").textContent = `${tenth.format(sum)} of ${now.cores.length} busy`;
}

function coreRow(number) {
  const row = document.createElement("li");
  row.className = "core";
  const part = (name, text) => {
    const element = row.appendChild(document.createElement("span"));
    element.className = name;
    element.textContent = text;
  };
  part("name", `Core ${number}`);
  const meter = row.appendChild(
    svg("svg", { viewBox: "0 0 100 28", preserveAspectRatio: "none", role: "meter", "aria-label": `load of core ${number}, in percent`, "aria-valuemin": 0, "aria-valuemax": 100 }),
  );
  meter.append(svg("path", { class: "area green" }), svg("path", { class: "line green", "vector-effect": "non-scaling-stroke" }));
  part("load", "");
  part("more", "");
  return row;
}

// Tables.

function fill(id, rows) {
  byId(id).replaceChildren(
    ...rows.map(([name, value, percent, part, kind]) => {
      const row = document.createElement("tr");
      const head = row.appendChild(document.createElement("th"));
      head.scope = "row";
      head.textContent = name;
      for (const text of percent === undefined ? [value] : [value, percent]) {
        const cell = row.appendChild(document.createElement("td"));
        cell.className = text === "0" ? "n zero" : "n";
        cell.textContent = text;
      }
      if (part !== undefined) {
        const cell = row.appendChild(document.createElement("td"));
        cell.className = "bar";
        const bar = cell.appendChild(svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" }));
        // However few there are, they are seen.
        const width = part > 0 ? Math.max(part * 100, 1.5) : 0;
        bar.append(svg("rect", { width: 100, height: 8 }), svg("rect", { width, height: 8, class: `c${kind}` }));
      }
      return row;
    }),
  );
}

function drawTables(now) {
  const all = Object.values(now.by_class).reduce((sum, one) => sum + one, 0);
  const names = { "1xx": "1xx, informational", "2xx": "2xx, success", "3xx": "3xx, redirection", "4xx": "4xx, client error", "5xx": "5xx, server error" };
  const classes = Object.entries(now.by_class).filter(([name, value]) => name !== "1xx" || value > 0);
  fill("answers", classes.map(([name, value]) => {
    const part = all ? value / all : 0;
    return [names[name], whole.format(value), part > 0 && part < 0.001 ? "< 0.1 %" : `${tenth.format(part * 100)} %`, part, name];
  }));
  const kinds = { malformed: "malformed requests", refused: "refused connections", too_slow: "clients too slow", handler_panic: "handlers that panicked", broken_off: "answers broken off" };
  const troubles = Object.entries(now.errors).map(([kind, value]) => [kinds[kind] ?? kind, whole.format(value)]);
  if (now.handshakes) troubles.push(["failed TLS handshakes", whole.format(now.handshakes.failed)]);
  if (now.log_lines_lost !== undefined) troubles.push(["lines missing in the access log", whole.format(now.log_lines_lost)]);
  fill("troubles", troubles);
  const rows = [
    ["threads", whole.format(now.threads)],
    ["kernel threads for them", whole.format(now.workers)],
    ["of these, blocked in the kernel", whole.format(now.workers_blocked)],
  ];
  if (now.memory_bytes !== undefined) rows.push(["memory", bytes(now.memory_bytes)]);
  if (now.descriptors !== undefined) rows.push(["descriptors", `${whole.format(now.descriptors)} of ${whole.format(now.descriptors_max)}`]);
  if (now.cpu_s !== undefined) rows.push(["processor time", `${tenth.format(now.cpu_s)} s`]);
  if (now.handshakes) rows.push(["TLS handshakes, resumed", `${whole.format(now.handshakes.done)}, ${whole.format(now.handshakes.resumed)}`]);
  fill("threads", rows);
}

// All of it.

function pair(id, [number, unit], more) {
  byId(id).textContent = number;
  byId(`${id}-unit`).textContent = unit + more;
}

function draw(now) {
  const point = points[points.length - 1];
  byId("where").textContent = now.listening.join(" · ");
  byId("uptime").textContent = lasted(now.uptime_s);
  byId("version").textContent = now.version;
  byId("pid").textContent = now.pid;
  tell(now.state);
  byId("now-connections").textContent = whole.format(now.connections);
  if (point) {
    byId("now-requests").textContent = count(point.requests);
    pair("now-p99", point.p99_us === null ? ["–", ""] : inTime(point.p99_us), "");
    pair("now-bytes", inBytes(point.bytes), " a second");
    byId("now-errors").textContent = count(point.errors);
    byId("tile-errors").classList.toggle("bad", point.errors > 0);
  }
  plots.forEach((plot) => plot.draw());
  drawCores(now);
  drawTables(now);
  byId("updated").textContent = `Updated at ${new Date().toLocaleTimeString()}.`;
}

// Said only when it changes: it is read aloud.
function tell(state) {
  const pill = byId("state");
  if (pill.dataset.state === state) return;
  pill.dataset.state = state;
  pill.textContent = { serving: "serving", draining: "draining: it is about to end", gone: "no answer" }[state];
}

async function ask() {
  const last = points[points.length - 1]?.number ?? 0;
  const answer = await fetch(`status.json?after=${last}`, { signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(answer.statusText);
  const now = await answer.json();
  if (pid !== now.pid) {
    // Another process: what was before is not its own.
    const isFirst = pid === null;
    pid = now.pid;
    points = [];
    if (!isFirst) return ask();
  }
  kept = now.kept;
  points.push(...now.points);
  points.splice(0, Math.max(points.length - kept, 0));
  draw(now);
}

let timer = null;
let isAsking = false;

async function turn() {
  clearTimeout(timer);
  if (document.hidden || isAsking) return;
  isAsking = true;
  try {
    await ask();
  } catch {
    tell("gone");
  }
  isAsking = false;
  timer = setTimeout(turn, 1000);
}

document.addEventListener("visibilitychange", turn);
turn();
