// Times in the browser's zone with the exact UTC time as a title; numbers with four digits that matter.
import { h } from "./dom.js";

const UNITS = [["year", 31557600], ["month", 2629800], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const shortDate = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
const sameYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const whole = new Intl.NumberFormat("en");

export function ago(text) {
  const seconds = (Date.parse(text) - Date.now()) / 1000;
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return relative.format(Math.round(seconds / size), unit);
}

export function dateText(text) {
  const date = new Date(text);
  return (date.getFullYear() === new Date().getFullYear() ? sameYear : shortDate).format(date);
}

export function time(text, { short = false } = {}) {
  if (!text) return "–";
  const old = Math.abs(Date.parse(text) - Date.now()) > 7 * 86400e3;
  return h("time", { datetime: text, title: `${text} (${ago(text)})` }, short && !old ? ago(text) : dateText(text));
}

export function number(value) {
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e12) return whole.format(value);
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e9 || size < 1e-3)) return value.toExponential(2);
  return whole.format(Number(value.toPrecision(size >= 1000 ? Math.ceil(Math.log10(size + 1)) : 4)));
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0) return `-${seconds(-value)}`;
  if (value === 0) return "0 s";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 60) return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;
  const total = Math.round(value);
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = parts.findIndex(([, size]) => total >= size);
  return parts.slice(first, first + 2).map(([name, size], index) => {
    const count = index ? Math.floor((total % parts[first][1]) / size) : Math.floor(total / size);
    return index && !count ? "" : `${count} ${name}`;
  }).filter(Boolean).join(" ");
}

export function percent(share) {
  if (share > 0 && share < 0.0005) return "< 0.1 %";
  return share === null || share === undefined || Number.isNaN(share) ? "–" : `${(share * 100).toFixed(share && share < 0.1 ? 1 : 0)} %`;
}

export function words(name) {
  return name ? name.replaceAll("_", " ") : "–";
}

const LENGTHS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1], ["ms", 0.001]];

// What ticks of an axis are counted in, by the greatest value on it: a factor and a name.
export function axisUnit(measure, high) {
  const factor = DURATION.test(measure) ? 1 : /_ms$/.test(measure) ? 1000 : 0;
  if (!factor) return { size: 1, name: /_(usage|percent)$/.test(measure) ? " %" : "" };
  const [name, size] = LENGTHS.find(([, length]) => Math.abs(high) / factor >= 2 * length) ?? LENGTHS.at(-1);
  return { size: size * factor, name: ` ${name}` };
}

const DURATION = /(^|_)s$|response_time|duration$/;

// A measure whose name ends in _s or _ms is a duration, one that is a share or a percentage says so.
export function measured(measure, value) {
  if (value === null || value === undefined) return "–";
  if (DURATION.test(measure)) return seconds(value);
  if (/_ms$/.test(measure)) return seconds(value / 1000);
  if (/_(usage|percent)$/.test(measure)) return `${number(value)} %`;
  return number(value);
}
