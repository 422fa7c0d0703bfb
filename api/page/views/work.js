import { get, page } from "../api.js";
import { badge, choice, empty, h, panel, table } from "../dom.js";
import { dateText, number, percent, seconds, time, words } from "../format.js";

const SPANS = [["1", "1 day"], ["7", "1 week"], ["30", "30 days"], ["365", "1 year"], ["7300", "all of it"]];
const GOOD = new Set(["success", "skipped"]);

export async function work({ query, change, signal, every }) {
  const days = query.get("days") ?? "30";
  const found = await get("work", { days }, signal);
  const { run, attempt, exchange } = found.last;
  if (!run && !attempt && !exchange) {
    return [h("h1", null, "Pipelines and tasks"), empty(h("p", null, "No run, no task and no exchange between systems has been seen yet."),
      h("p", null, "docs/events.md shows how a pipeline, a tracker or a webhook sends them."))];
  }
  const pipeline = query.get("pipeline") ?? found.pipelines[0]?.name;
  const end = run && new Date(Date.parse(run) + 1000).toISOString();
  const start = run && new Date(Date.parse(end) - days * 86400e3).toISOString();
  const runs = pipeline ? page("runs", { pipeline_name: pipeline, end_date: end, limit: 15 }, signal) : null;
  const steps = pipeline ? get("steps", { pipeline_name: pipeline, start_date: start, end_date: end }, signal) : null;
  every(30, async () => {
    const { last } = await get("work", { days }, signal);
    if (Object.keys(last).some((kind) => last[kind] !== found.last[kind])) dispatchEvent(new HashChangeEvent("hashchange"));
  });
  return [h("h1", null, "Pipelines and tasks"),
    h("div", { class: "row filters" }, choice("Range up to the last of each", SPANS, days, (value) => change({ days: value }))),
    found.pipelines.length > 0 && panel("Pipelines", pipelines(found.pipelines, (row) => h("a", { href: `#/work?days=${days}&pipeline=${encodeURIComponent(row.name)}`, "aria-current": row.name === pipeline && "true" }, row.name), `Runs by pipeline up to ${dateText(run)}, the most failures first`)),
    pipeline && h("div", { class: "grid two" }, panel(`Latest runs of ${pipeline}`, latest((await runs).items), h("p", { class: "small" }, h("a", { href: `#/series?kind=pipeline&entity=${encodeURIComponent(pipeline)}` }, "Its series"))),
      panel(`Steps of ${pipeline}`, (await steps).length ? pipelines(await steps, (row) => row.name, "Steps in the same range") : h("p", { class: "quiet" }, "Its runs name no steps."))),
    found.tasks.length > 0 && panel("Tasks", table(`Attempts by project up to ${dateText(attempt)}`, [
      { head: "Project", cell: (row) => row.project_name ?? "without a project" }, { head: "Attempts", number: true, cell: (row) => number(row.attempts) },
      { head: "Failed", number: true, cell: (row) => share(row.failures, row.attempts) }, { head: "Median", number: true, cell: (row) => seconds(row.median_seconds) },
      { head: "95th percentile", number: true, cell: (row) => seconds(row.p95_seconds) }], found.tasks)),
    found.integrations.length > 0 && panel("Between systems", table(`Exchanges by systems and type up to ${dateText(exchange)}`, [
      { head: "From → to", cell: (row) => `${row.source_system} → ${row.target_system ?? "–"}` }, { head: "Type", cell: (row) => row.event_type },
      { head: "Events", number: true, cell: (row) => number(row.events) }, { head: "Failed", number: true, cell: (row) => share(row.failed, row.events) },
      { head: "Median", number: true, cell: (row) => seconds(row.median_ms === null ? null : row.median_ms / 1000) },
      { head: "95th percentile", number: true, cell: (row) => seconds(row.p95_ms === null ? null : row.p95_ms / 1000) }, { head: "Last", cell: (row) => time(row.last_at) }], found.integrations)),
  ].filter(Boolean);
}

function share(failed, of) {
  return h("span", { class: failed ? "bad" : null }, `${number(failed)} (${percent(of ? failed / of : null)})`);
}

function pipelines(rows, name, caption) {
  return table(caption, [
    { head: "Name", cell: name }, { head: "Runs", number: true, cell: (row) => number(row.runs) },
    { head: "Failed", number: true, cell: (row) => share(row.failed, row.judged) }, { head: "Median", number: true, cell: (row) => seconds(row.median_seconds) },
    { head: "95th percentile", number: true, cell: (row) => seconds(row.p95_seconds) }, { head: "Last start", cell: (row) => time(row.last_start) }], rows);
}

function latest(rows) {
  if (!rows.length) return h("p", { class: "quiet" }, "None in this range.");
  return table("The latest first", [
    { head: "Started", cell: (row) => time(row.execution_start) },
    { head: "Outcome", cell: (row) => badge(GOOD.has(row.status) ? "good" : row.status === "running" ? "low" : "fail", words(row.status)) },
    { head: "Took", number: true, cell: (row) => seconds(row.duration_seconds) }, { head: "By", cell: (row) => row.trigger_type }], rows);
}
