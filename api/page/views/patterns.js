import { page } from "../api.js";
import { SEVERITIES, announce, badge, choice, empty, entry, h, table } from "../dom.js";
import { percent, seconds, time, words } from "../format.js";

const TYPES = ["threshold", "spike", "novelty", "trend", "drift", "correlation", "sequence", "burst", "missing", "flatline", "multivariate"];
const PERIODS = [["", "any time"], ["1", "last day"], ["7", "last week"], ["30", "last month"], ["365", "last year"]];
const AT_ONCE = 50;

export async function patterns({ query, change, signal, onpattern }) {
  const [by, way] = (query.get("sort") ?? "detected_at:desc").split(":");
  const days = query.get("days") ?? "";
  const given = {
    origin: "live", limit: AT_ONCE, order: by, descending: way !== "asc", confidence_threshold: query.get("confidence") ?? 0,
    severities: query.get("severities"), pattern_types: query.get("types"), categories: query.get("categories"),
    active: query.get("active"), entity_part: query.get("entity"),
    // To the minute: the same question again is answered from what is there.
    start_date: days ? new Date(Math.floor(Date.now() / 60000) * 60000 - days * 86400e3).toISOString() : null,
  };
  const filters = h("form", { class: "row filters", role: "search", onsubmit: (event) => event.preventDefault() },
    entry("Entity contains", query.get("entity") ?? "", (value) => change({ entity: value })),
    choice("Severity", [["", "all"], ...SEVERITIES.map((one) => [one, one])], query.get("severities") ?? "", (value) => change({ severities: value })),
    choice("Kind", [["", "all"], ...TYPES.map((one) => [one, one])], query.get("types") ?? "", (value) => change({ types: value })),
    choice("State", [["", "all"], ["true", "going on"], ["false", "over"]], query.get("active") ?? "", (value) => change({ active: value })),
    choice("Confidence", [["0", "any"], ["0.7", "0.7 or more"], ["0.9", "0.9 or more"]], query.get("confidence") ?? "0", (value) => change({ confidence: value === "0" ? "" : value })),
    choice("Found", PERIODS, days, (value) => change({ days: value })),
    choice("Sort by", [["detected_at:desc", "newest first"], ["detected_at:asc", "oldest first"], ["significance_score:desc", "significance"], ["confidence_score:desc", "confidence"], ["last_observed_at:desc", "last seen"]],
      `${by}:${way ?? "desc"}`, (value) => change({ sort: value })));
  const news = h("p", { role: "status", class: "quiet small" });
  const rows = [];
  const place = h("div");
  const more = h("p");
  let next = null;
  const draw = () => {
    place.replaceChildren(rows.length ? h("div", { class: "panel" }, shown(rows, { by, way, change })) : empty(h("p", null, "No pattern fits."),
      h("p", null, query.size ? h("a", { href: "#/patterns" }, "Take the filters away") : "They appear here within a minute of what shows them.")));
    more.replaceChildren(...(next ? [h("button", { type: "button", onclick: load }, "Show more")] : []));
  };
  async function load() {
    const found = await page(next ?? "patterns", next ? {} : given, signal);
    const before = rows.length;
    rows.push(...found.items);
    next = found.next;
    draw();
    if (before) announce(`${found.items.length} more`);
  }
  await load();
  const changed = new Set();
  onpattern((kind, one) => {
    const known = rows.findIndex((row) => row.id === one.id);
    if (kind === "pattern" && known >= 0) { rows[known] = one; draw(); return; }
    if (kind === "pattern" && !one.detection_algorithm.startsWith("nightly: ")) changed.add(one.id);
    if (changed.size) news.replaceChildren(`${changed.size} new since you opened this. `, h("button", { type: "button", onclick: () => dispatchEvent(new HashChangeEvent("hashchange")) }, "Show"));
  });
  return [h("h1", null, "Patterns"), filters, news, place, more];
}

function shown(rows, { by, way, change }) {
  const sorted = { by, descending: way !== "asc" };
  const onsort = (name) => change({ sort: `${name}:${by === name && way !== "asc" ? "asc" : "desc"}` });
  return table(`${rows.length} patterns, times in your zone`, [
    { head: "Pattern", text: true, cell: (row) => h("a", { href: `#/patterns/${row.id}` }, row.pattern_name) },
    { head: "Severity", cell: (row) => badge(row.severity) },
    { head: "Found", sort: "detected_at", cell: (row) => time(row.detected_at) },
    { head: "State", nowrap: true, cell: (row) => (row.is_active ? "going on" : `over after ${seconds(row.impact_assessment.duration_seconds)}`) },
    { head: "Kind", cell: (row) => words(row.pattern_type) },
    { head: "Entity", cell: (row) => row.entity },
    { head: "Confidence", number: true, sort: "confidence_score", cell: (row) => percent(row.confidence_score) },
  ], rows, { sorted, onsort });
}
