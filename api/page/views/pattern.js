import { Problem, get, post, token } from "../api.js";
import { lineChart } from "../chart.js";
import { announce, badge, facts, h, panel, table } from "../dom.js";
import { measured, number, percent, seconds, time, words } from "../format.js";
import { method, patternLine } from "./lines.js";

const VERDICTS = [["true_positive", "It is right"], ["false_positive", "False alarm"], ["expected", "Right, but expected"]];
const INNER = new Set(["recent", "earlier", "evidence", "window", "contributors", "input", "partition", "class"]);

export async function pattern(context) {
  const found = await get(`patterns/${encodeURIComponent(context.id)}`, {}, context.signal);
  const impact = found.impact_assessment;
  context.onpattern((kind, one) => { if (one.id === found.id && kind === "pattern" && one.last_observed_at !== found.last_observed_at) dispatchEvent(new HashChangeEvent("hashchange")); });
  const end = found.resolved_at ?? found.last_observed_at;
  return [
    h("p", { class: "crumb" }, h("a", { href: "#/patterns" }, "Patterns"), found.incident_id && [" · part of ", h("a", { href: `#/incidents/${found.incident_id}` }, "an incident")]),
    h("h1", null, found.pattern_name),
    h("div", { class: "badges" }, badge(found.severity), badge(found.is_active ? "low" : "good", found.is_active ? "goes on" : "over"),
      badge("info", words(found.pattern_class)), badge("info", `${percent(found.confidence_score)} sure`)),
    h("div", { class: "grid two" },
      h("div", { class: "panel wide" }, h("h2", null, `${found.measure} of ${found.entity}`), drawnAround(found, end), h("p", null, found.description)),
      judging(found, context),
      panel("In short", facts([
        ["Began", time(found.opened_at)], ["Ended", found.resolved_at ? time(found.resolved_at) : "goes on"],
        ["Lasted", seconds(impact.duration_seconds)], ["Peak", measured(found.measure, impact.peak_value)],
        ["Usual", impact.low !== undefined && impact.high !== undefined ? `${measured(found.measure, impact.low)} to ${measured(found.measure, impact.high)}` : null],
        ["Seen", `${number(found.observation_count)} times`], ["Significance", percent(found.significance_score)], ["Found by", method(found.detection_algorithm)],
        ["Known after", known(found.latency)],
        ["Series", found.series && h("a", { href: `#/series?id=${found.series.series.id}` }, "explore it")]])),
      found.recommendations.length > 0 && panel("What could be changed", h("ul", null, found.recommendations.map((one) => h("li", null, one.description)))),
      evidence(found), history(found),
      found.relations.length > 0 && panel("Related", h("ul", { class: "list" }, found.relations.map((one) => h("li", null,
        h("p", { class: "quiet small" }, `${one.is_parent ? "before this" : "after this"}: ${words(one.relationship_type)}, strength ${percent(one.strength)}`,
          one.offset_seconds !== null && `, ${seconds(Math.abs(one.offset_seconds))} apart`), patternLine(one.pattern))))),
      found.earlier.length > 0 && panel("Earlier ones of this series", h("ul", { class: "list" }, found.earlier.map((one) => patternLine(one)))),
    ),
  ];
}

function drawnAround(found, end) {
  if (!found.series) return h("p", { class: "quiet" }, "Its series can't be drawn: it is of several, or its points are no longer kept.");
  const { low, high, expected } = found.impact_assessment;
  const inside = [low, high].every((value) => Number.isFinite(value)) && high > low;
  return lineChart({
    points: found.series.points, gaps: found.series.gaps, step: found.series.step, measure: found.measure,
    start: Date.parse(found.series.start), end: Date.parse(found.series.end), label: `${found.measure} of ${found.entity}`, height: 300,
    usual: inside ? { low, high } : null,
    levels: !inside && Number.isFinite(expected) ? [{ value: expected, label: found.pattern_type === "threshold" ? "limit" : "expected" }] : found.pattern_type === "threshold" ? [{ value: expected, label: "limit" }] : [],
    marks: [{ start: Date.parse(found.opened_at), end: Date.parse(end), label: "The pattern" }],
  });
}

function judging(found, { askToken, signal }) {
  const said = h("p", { class: "small", role: "status" });
  const section = h("section", { class: "panel" });
  const people = found.judgements.filter((one) => one.human);
  let mine = people.at(-1)?.value ?? null;
  const buttons = h("div", { class: "row" });
  const draw = () => buttons.replaceChildren(...VERDICTS.map(([verdict, text]) =>
    h("button", { type: "button", "aria-pressed": String(mine === verdict), onclick: () => judge(verdict) }, text)));
  async function judge(verdict) {
    if (!token.get() && !(await askToken())) return;
    try {
      const stored = await post("feedback", { pattern_id: found.id, verdict });
      mine = stored.verdict;
      draw();
      said.textContent = `Noted as ${words(verdict)}, signed ${stored.actor}. Detection learns from it within half a minute.`;
      said.className = "small good";
    } catch (problem) {
      if (signal.aborted) return;
      said.className = "small problem";
      said.textContent = problem.message;
      if (problem instanceof Problem && problem.status === 401 && await askToken(problem.message)) await judge(verdict);
    }
    announce(said.textContent);
  }
  draw();
  const before = people.map((one) => h("li", null, `${words(one.value)}, by ${one.by}, `, time(one.at), one.note && `: ${one.note}`));
  section.append(h("h2", null, "Is it right?"), buttons, said, ...(before.length ? [h("ul", { class: "small" }, before)] : [h("p", { class: "quiet small" }, "Nobody has said so yet.")]));
  return section;
}

function known({ event_time: event, written_at: written, ingested_at: read }) {
  if (!event || !written) return null;
  const delay = (Date.parse(written) - Date.parse(event)) / 1000;
  return (Date.parse(read) - Date.parse(event)) / 1000 > 3600 ? "read from history" : seconds(delay);
}

function evidence({ evidence: data, measure }) {
  const rows = Object.entries({ ...data, ...data.evidence }).filter(([name, value]) => !INNER.has(name) && ["number", "string", "boolean"].includes(typeof value));
  const recent = data.evidence?.recent ?? [];
  return panel("Evidence",
    table("What the detector saw, in its own units", [{ head: "Name", cell: ([name]) => words(name) }, { head: "Value", number: true, cell: ([, value]) => (typeof value === "number" ? number(value) : String(value)) }], rows, { stack: false }),
    recent.length > 0 && h("details", null, h("summary", null, `The last ${recent.length} values`), h("ul", { class: "small" }, recent.map((one) => h("li", null, time(one.time), ` ${measured(measure, one.value)}`)))),
    h("details", null, h("summary", null, "All of it, as JSON"), h("pre", { tabindex: "0" }, h("code", null, JSON.stringify(data, null, 1)))));
}

function history(found) {
  if (!found.history.length) return null;
  return panel("History", h("ul", { class: "list" }, found.history.map((one) => h("li", null, h("div", { class: "badges" }, h("strong", null, words(one.evolution_type)), h("span", { class: "quiet small" }, time(one.at)),
    one.current.severity && one.previous.severity !== one.current.severity && badge(one.current.severity))))));
}
