import { get, page } from "../api.js";
import { lineChart } from "../chart.js";
import { choice, empty, entry, h, panel, table } from "../dom.js";
import { measured, number, seconds, time, words } from "../format.js";

const KINDS = ["metric", "resource", "pipeline", "step", "task", "integration", "code"];
const SPANS = [["3600", "1 hour"], ["21600", "6 hours"], ["86400", "1 day"], ["604800", "1 week"], ["2629800", "1 month"], ["31557600", "1 year"], ["all", "all of it"]];
const FEW = 12;
const ALL = 20 * 31557600;

export async function series(context) {
  const { query, change, signal } = context;
  const id = query.get("id");
  const found = await page("series", { entity_part: query.get("entity"), kinds: query.get("kind"), limit: 200 }, signal);
  const chosen = id ?? (found.items.find((one) => one.measure !== "failed") ?? found.items[0])?.id;
  const filters = h("form", { class: "row filters", role: "search", onsubmit: (event) => event.preventDefault() },
    entry("Entity contains", query.get("entity") ?? "", (value) => change({ entity: value, id: null, start: null, end: null })),
    choice("Kind", [["", "all"], ...KINDS.map((one) => [one, one])], query.get("kind") ?? "", (value) => change({ kind: value, id: null, start: null, end: null })),
    found.items.length > 0 && choice("Series", [...(found.items.some((one) => one.id === chosen) ? [] : [[chosen, "the one that is shown"]]), ...found.items.map((one) => [one.id, `${one.entity}  ·  ${one.measure}`])], chosen,
      (value) => change({ id: value, start: null, end: null }), { class: "grow" }));
  const note = found.next && h("p", { class: "quiet small" }, "There are more than 200: name a part of the entity.");
  if (!chosen) {
    return [h("h1", null, "Series"), filters, empty(h("p", null, query.size ? "No series fits." : "There is no series yet."), h("p", null, "Each thing that is measured over time is one: a metric, a machine's CPU, how long a pipeline takes."))];
  }
  return [h("h1", null, "Series"), filters, note, await explored(chosen, context)];
}

async function explored(id, { query, change, signal, every }) {
  let span = query.get("span") ?? "86400";
  const path = `series/${id}/points`;
  // In steps, so that people with windows of other sizes ask the same.
  const wide = Math.min(Math.max(200 * Math.round(document.getElementById("main").clientWidth / 400), 200), 600);
  const ask = async () => {
    const given = { start_date: query.get("start"), end_date: query.get("end"), width: wide };
    if (given.start_date) return get(path, given, signal);
    const day = await get(path, { width: wide }, signal);
    if (span === "86400" && (query.get("span") || day.points.length >= FEW)) return day;
    const back = (length) => get(path, { width: length === "all" ? 5000 : wide, end_date: day.end,
      start_date: new Date(Date.parse(day.end) - (length === "all" ? ALL : Number(length)) * 1000).toISOString() }, signal);
    if (query.get("span")) return back(span);
    // A series of a few values a week is shown over as long as it takes.
    for (span of ["604800", "2629800", "31557600", "all"]) {
      const found = await back(span);
      if (found.points.length >= FEW || span === "all") return found;
    }
    return day;
  };
  const place = h("div", { class: "flow" });
  const draw = (found) => {
    const { entity, measure, kind } = found.series;
    const all = span === "all" && !query.get("start") && found.points.length;
    const start = all ? Date.parse(found.points[0].time) : Date.parse(found.start);
    const end = Date.parse(found.end);
    const length = end - start;
    const go = (from, to) => change({ start: new Date(Math.round(from)).toISOString(), end: new Date(Math.round(to)).toISOString() });
    const button = (text, from, to) => h("button", { type: "button", onclick: () => go(from, to) }, text);
    place.replaceChildren(
      h("div", { class: "panel" }, h("h2", null, `${measure} of ${entity}`),
        h("div", { class: "row" }, choice("Range up to the last value", [...SPANS, ...(query.get("start") ? [["own", "as chosen"]] : [])], query.get("start") ? "own" : span, (value) => change({ span: value, start: null, end: null })),
          button("← Earlier", start - length, end - length), button("Later →", start + length, end + length),
          button("Zoom in", start + length / 4, end - length / 4), button("Zoom out", start - length / 2, end + length / 2)),
        h("p", { class: "quiet small" }, `A ${words(kind)} series; drag over the chart to zoom. A point is ${seconds(found.step)}.`),
        lineChart({ points: found.points, gaps: found.gaps, step: found.step, measure, start, end, label: `${measure} of ${entity}`, height: 340, onzoom: go })),
      h("div", { class: "grid two" }, summary(found), patternsOf(found)),
    );
  };
  const found = await ask();
  draw(found);
  if (!query.get("start")) every(15, async () => { const now = await ask(); if (now.end !== found.end) { found.end = now.end; draw(now); } });
  return place;

  function patternsOf({ series: one }) {
    const list = panel("Its patterns", h("p", { class: "quiet" }, "Looking …"));
    page("patterns", { entity: one.entity, measure: one.measure, limit: 10, confidence_threshold: 0 }, signal).then(async ({ items }) => {
      const { patternLine } = await import("./lines.js");
      list.lastChild.replaceWith(items.length ? h("ul", { class: "list" }, items.map((item) => patternLine(item))) : h("p", { class: "quiet" }, "None was found."));
    }).catch(() => {});
    return list;
  }
}

function summary({ series: { measure }, points, gaps }) {
  if (!points.length) return panel("In this range", h("p", { class: "quiet" }, "There are no values in this range."));
  const n = points.reduce((sum, point) => sum + point.n, 0);
  const mean = points.reduce((sum, point) => sum + point.avg * point.n, 0) / n;
  return panel("In this range",
    h("p", null, `${number(n)} ${n === 1 ? "value" : "values"} from ${measured(measure, Math.min(...points.map((point) => point.min)))} to ${measured(measure, Math.max(...points.map((point) => point.max)))}, on average ${measured(measure, mean)}; ${gaps.length} ${gaps.length === 1 ? "gap" : "gaps"}.`),
    h("details", null, h("summary", null, "As a table"), table("The points, the latest first", [
      { head: "From", cell: (point) => time(point.time) }, { head: "Mean", number: true, cell: (point) => measured(measure, point.avg) },
      { head: "Least", number: true, cell: (point) => measured(measure, point.min) }, { head: "Greatest", number: true, cell: (point) => measured(measure, point.max) },
      { head: "Values", number: true, cell: (point) => number(point.n) }], points.toReversed().slice(0, 200), { stack: false })));
}
