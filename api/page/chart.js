// Charts as SVG, drawn by hand: few lines, both themes, no style from elsewhere, and a cursor for keys as for the mouse.
import { SEVERITIES, h, s } from "./dom.js";
import { axisUnit, dateText, measured, number } from "./format.js";

const LEFT = 62;
const RIGHT = 12;
const TOP = 12;
const BOTTOM = 26;
const STEPS = [1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2629800, 7889400, 15778800, 31557600, 63115200];

export function niceTicks(low, high, count) {
  const span = high - low || 1;
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step / 1e6; tick += step) ticks.push(Math.abs(tick) < step / 1e6 ? 0 : tick);
  return ticks;
}

function timeTicks(start, end, count) {
  const step = (STEPS.find((size) => size * 1000 * count >= end - start) ?? STEPS.at(-1)) * 1000;
  const shift = new Date(start).getTimezoneOffset() * 60_000;
  const ticks = [];
  for (let tick = Math.ceil((start - shift) / step) * step + shift; tick <= end; tick += step) ticks.push(tick);
  return [ticks, step];
}

function timeLabel(at, step, span) {
  const date = new Date(at);
  const pad = (value) => String(value).padStart(2, "0");
  if (step < 60_000) return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  if (step < 86_400_000 && span < 2 * 86_400_000) return `${pad(date.getHours())}:${pad(date.getMinutes())}`;
  const day = `${date.getDate()} ${date.toLocaleString("en", { month: "short" })}`;
  if (step < 86_400_000) return date.getHours() ? `${pad(date.getHours())}:${pad(date.getMinutes())}` : day;
  return span > 300 * 86_400_000 ? `${date.toLocaleString("en", { month: "short" })} ${date.getFullYear()}` : day;
}

export function lineChart(given) {
  const figure = h("figure", { class: "chart" });
  const caption = h("figcaption", { "aria-live": "off" });
  let width = 0;
  const draw = () => {
    figure.querySelector(":scope > svg")?.remove();
    figure.prepend(drawn(given, Math.max(width, 240), caption));
  };
  figure.append(caption);
  new ResizeObserver(([entry]) => {
    const now = Math.round(entry.contentRect.width);
    if (now && now !== width) { width = now; draw(); }
  }).observe(figure);
  return figure;
}

function drawn(given, width, caption) {
  const { points, measure, label, levels = [], usual = null, marks = [], gaps = [], onzoom = null } = given;
  const height = given.height ?? 260;
  const rows = points.map((point) => ({ ...point, at: Date.parse(point.time) + (given.step ?? 0) * 500 }));
  const start = given.start ?? rows[0]?.at ?? 0;
  const end = Math.max(given.end ?? rows.at(-1)?.at ?? 1, start + 1000);
  const values = [...rows.flatMap((row) => [row.min, row.max]), ...levels.map((level) => level.value), ...(usual ? [usual.low, usual.high] : [])]
    .filter((value) => Number.isFinite(value));
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (!values.length) [low, high] = [0, 1];
  if (low >= 0 && low < 0.5 * high) low = 0;
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  high += room;
  if (low !== 0) low -= room;
  const x = (at) => LEFT + ((at - start) / (end - start)) * (width - LEFT - RIGHT);
  const y = (value) => TOP + (1 - (value - low) / (high - low)) * (height - TOP - BOTTOM);
  const clamp = (at) => Math.min(Math.max(x(at), LEFT), width - RIGHT);

  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: "0", "aria-label": described(given, rows, start, end) });
  const box = (from, to, name) => s("rect", { class: name, x: clamp(from), y: TOP, width: Math.max(clamp(to) - clamp(from), 1.5), height: height - TOP - BOTTOM });
  for (const gap of gaps) if (Date.parse(gap.end) > start && Date.parse(gap.start) < end) svg.append(box(Date.parse(gap.start), Date.parse(gap.end), "gap"));
  if (usual) svg.append(s("rect", { class: "usual", x: LEFT, y: y(usual.high), width: width - LEFT - RIGHT, height: Math.max(y(usual.low) - y(usual.high), 1) }));
  for (const mark of marks) {
    if (mark.end < start || mark.start > end) continue;
    svg.append(box(mark.start, mark.end, "mark"), s("line", { class: "mark-edge", x1: clamp(mark.start), x2: clamp(mark.start), y1: TOP, y2: height - BOTTOM }));
  }
  const unit = axisUnit(measure, Math.max(Math.abs(low), Math.abs(high)));
  for (const tick of niceTicks(low / unit.size, high / unit.size, 4)) {
    const at = y(tick * unit.size);
    svg.append(s("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: at, y2: at }),
      s("text", { x: LEFT - 6, y: at + 4, "text-anchor": "end" }, number(tick) + unit.name));
  }
  const [ticks, step] = timeTicks(start, end, Math.max(2, Math.floor(width / 95)));
  for (const tick of ticks) {
    if (x(tick) > width - RIGHT - 14 || x(tick) < LEFT + 8) continue;
    svg.append(s("line", { class: "axis", x1: x(tick), x2: x(tick), y1: height - BOTTOM, y2: height - BOTTOM + 4 }),
      s("text", { x: x(tick), y: height - 7, "text-anchor": "middle" }, timeLabel(tick, step, end - start)));
  }
  const parts = unbroken(rows, gaps);
  const path = (part, key) => part.map((row, index) => `${index ? "L" : "M"}${x(row.at).toFixed(1)} ${y(row[key]).toFixed(1)}`).join("");
  for (const part of parts) {
    if (part.some((row) => row.max > row.min)) {
      const back = part.toReversed().map((row) => `L${x(row.at).toFixed(1)} ${y(row.min).toFixed(1)}`).join("");
      svg.append(s("path", { class: "band", d: `${path(part, "max")}${back}Z` }));
    }
    if (part.length > 1) svg.append(s("path", { class: "line", d: path(part, "avg") }));
  }
  const dotted = rows.length <= 60 ? rows : parts.filter((part) => part.length === 1).flat();
  svg.append(s("g", { class: "dots" }, dotted.map((row) => s("circle", { cx: x(row.at), cy: y(row.avg), r: rows.length <= 60 ? 2.6 : 1.8 }))));
  for (const level of levels) {
    svg.append(s("line", { class: "level", x1: LEFT, x2: width - RIGHT, y1: y(level.value), y2: y(level.value) }),
      s("text", { x: width - RIGHT - 4, y: y(level.value) - 4, "text-anchor": "end" }, `${level.label} ${measured(measure, level.value)}`));
  }
  cursor(svg, { rows, x, y, start, end, width, height, measure, caption, onzoom, label });
  return svg;
}

function unbroken(rows, gaps) {
  const starts = gaps.map((gap) => Date.parse(gap.start));
  const parts = [];
  let current = [];
  for (const [index, row] of rows.entries()) {
    const before = rows[index - 1];
    if (before && starts.some((at) => at > before.at - 1 && at <= row.at)) { parts.push(current); current = []; }
    current.push(row);
  }
  if (current.length) parts.push(current);
  return parts;
}

function described({ points, measure, label, marks = [], gaps = [] }, rows, start, end) {
  if (!points.length) return `${label}: no values.`;
  const low = Math.min(...points.map((point) => point.min));
  const high = Math.max(...points.map((point) => point.max));
  const iso = (at) => dateText(new Date(at).toISOString());
  const marked = marks.map((mark) => ` ${mark.label} from ${iso(mark.start)} to ${iso(mark.end)}.`).join("");
  return `${label} from ${iso(start)} to ${iso(end)}: ${points.length} points, from ${measured(measure, low)} to ${measured(measure, high)},`
    + ` at last ${measured(measure, points.at(-1).avg)}.${marked}${gaps.length ? ` ${gaps.length} gaps.` : ""} Arrow keys read single points.`;
}

function cursor(svg, { rows, x, y, start, end, width, height, measure, caption, onzoom }) {
  if (!rows.length) { caption.textContent = "No values in this range."; return; }
  const line = s("line", { class: "cursor", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
  const dot = s("circle", { class: "cursor-dot", r: 4, visibility: "hidden" });
  const drag = s("rect", { class: "drag", y: TOP, height: height - TOP - BOTTOM, visibility: "hidden" });
  const plot = s("rect", { class: "plot", x: LEFT, y: TOP, width: width - LEFT - RIGHT, height: height - TOP - BOTTOM, fill: "transparent" });
  svg.append(line, dot, drag, plot);
  let index = rows.length - 1;
  let from = null;
  const show = (row) => {
    for (const [name, value] of [["x1", x(row.at)], ["x2", x(row.at)], ["visibility", "visible"]]) line.setAttribute(name, value);
    for (const [name, value] of [["cx", x(row.at)], ["cy", y(row.avg)], ["visibility", "visible"]]) dot.setAttribute(name, value);
    const spread = row.max > row.min ? ` (${measured(measure, row.min)} to ${measured(measure, row.max)}, ${number(row.n)} values)` : "";
    caption.textContent = `${dateText(row.time)}: ${measured(measure, row.avg)}${spread}`;
  };
  const hide = () => { line.setAttribute("visibility", "hidden"); dot.setAttribute("visibility", "hidden"); caption.textContent = ""; };
  const place = (event) => {
    const box = svg.getBoundingClientRect();
    return start + (((event.clientX - box.left) * (width / box.width) - LEFT) / (width - LEFT - RIGHT)) * (end - start);
  };
  const nearest = (at) => rows.reduce((best, row, place) => (Math.abs(row.at - at) < Math.abs(rows[best].at - at) ? place : best), 0);
  plot.addEventListener("pointermove", (event) => {
    const at = place(event);
    index = nearest(at);
    caption.setAttribute("aria-live", "off");
    show(rows[index]);
    if (from !== null) {
      drag.setAttribute("x", Math.min(x(from), x(at)));
      drag.setAttribute("width", Math.abs(x(at) - x(from)));
      drag.setAttribute("visibility", "visible");
    }
  });
  plot.addEventListener("pointerleave", () => { if (from === null) hide(); });
  if (onzoom) {
    plot.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse") { from = place(event); plot.setPointerCapture(event.pointerId); } });
    plot.addEventListener("pointerup", (event) => {
      const to = place(event);
      drag.setAttribute("visibility", "hidden");
      if (from !== null && Math.abs(x(to) - x(from)) > 8) onzoom(Math.max(Math.min(from, to), start), Math.min(Math.max(from, to), end));
      from = null;
    });
  }
  svg.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: index - 1, ArrowRight: index + 1, Home: 0, End: rows.length - 1, PageUp: index - 10, PageDown: index + 10 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    index = Math.min(Math.max(moves[event.key], 0), rows.length - 1);
    caption.setAttribute("aria-live", "polite");
    show(rows[index]);
  });
  svg.addEventListener("blur", hide);
}

// Bars by day, a part for each severity; `days` are of the API's overview.
export function dayBars(days) {
  const figure = h("figure", { class: "chart" });
  if (!days.length) return figure;
  const sums = new Map();
  for (const { day, severity, n } of days) {
    const at = Date.parse(day);
    if (!sums.has(at)) sums.set(at, {});
    sums.get(at)[severity] = n;
  }
  const last = Math.max(...sums.keys());
  const first = last - 29 * 86_400_000;
  const most = Math.max(...[...sums.values()].map((parts) => Object.values(parts).reduce((a, b) => a + b, 0)));
  const draw = (width) => {
    const height = 170;
    const wide = (width - LEFT - RIGHT) / 30;
    const y = (value) => TOP + (1 - value / most) * (height - TOP - BOTTOM);
    const utc = (at, options) => new Date(at).toLocaleDateString("en-GB", { timeZone: "UTC", ...options });
    const total = [...sums.values()].flatMap((parts) => Object.values(parts)).reduce((a, b) => a + b, 0);
    const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `Patterns by day from ${utc(first)} to ${utc(last)}: ${total}, at most ${most} on a day.` });
    for (const tick of niceTicks(0, most, 3).filter(Number.isInteger)) {
      svg.append(s("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }), s("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, tick));
    }
    for (let index = 0; index < 30; index += 1) {
      const at = first + index * 86_400_000;
      const parts = sums.get(at) ?? {};
      let under = 0;
      for (const severity of SEVERITIES.toReversed()) {
        const n = parts[severity] ?? 0;
        if (!n) continue;
        svg.append(s("rect", { class: `bar-${severity}`, x: LEFT + index * wide + 1, width: Math.max(wide - 2, 1), y: y(under + n), height: y(under) - y(under + n) },
          s("title", null, `${utc(at, { day: "numeric", month: "short", year: "numeric" })}: ${n} ${severity}`)));
        under += n;
      }
      if (index % 7 === 1) svg.append(s("text", { x: LEFT + (index + 0.5) * wide, y: height - 7, "text-anchor": "middle" }, utc(at, { day: "numeric", month: "short" })));
    }
    figure.querySelector(":scope > svg")?.remove();
    figure.prepend(svg);
  };
  figure.append(h("div", { class: "legend" }, SEVERITIES.filter((severity) => days.some((day) => day.severity === severity)).map((severity) =>
    h("span", null, s("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, s("rect", { class: `bar-${severity}`, width: 10, height: 10, rx: 2 })), severity))));
  new ResizeObserver(([entry]) => { if (entry.contentRect.width) draw(Math.round(entry.contentRect.width)); }).observe(figure);
  return figure;
}
