import { get, page } from "../api.js";
import { dayBars } from "../chart.js";
import { SEVERITIES, announce, badge, empty, h, panel } from "../dom.js";
import { number, percent, seconds, time, words } from "../format.js";
import { incidentLine, patternLine } from "./lines.js";

const RECENT = 8;

export async function overview({ signal, every, onpattern }) {
  const [first, ready, incidents, recent, system] = await Promise.all([
    get("overview", {}, signal), health(signal), page("incidents", { statuses: "open", limit: RECENT }, signal),
    page("patterns", { origin: "live", limit: RECENT, confidence_threshold: 0 }, signal), get("system", {}, signal),
  ]);
  const figures = h("div", { class: "grid" });
  const bars = h("div");
  const open = h("ul", { class: "list" });
  const list = h("ul", { class: "list" });
  let before = null;
  let rate = null;

  const draw = (now, healthy, state) => {
    const read = now.quality.read;
    const at = Date.parse(now.quality.updated_at ?? now.now);
    if (before && at > before.at) rate = (read - before.read) / ((at - before.at) / 1000);
    else if (before && Date.parse(now.now) - before.at > 15_000) rate = 0;
    if (!before || at > before.at) before = { read, at };
    figures.replaceChildren(
      panel("Health", healthBadge(healthy, state), h("p", { class: "quiet small" }, flowWords(state))),
      panel("Open incidents", counts(now.open_incidents, "incident")),
      panel("Open patterns", counts(now.open_patterns, "pattern")),
      panel("Events", h("p", { class: "figure" }, rate === null ? "–" : number(Math.round(rate * 10) / 10), h("small", null, " a second")),
        h("p", { class: "quiet small" }, `${number(read)} read so far, the last `, now.quality.updated_at ? time(now.quality.updated_at, { short: true }) : "never")),
      panel("From event to pattern", latency(now, state)),
      panel("Data quality", quality(now.quality)),
    );
    bars.replaceChildren(now.days.length ? dayBars(now.days) : h("p", { class: "quiet" }, "No pattern has been found yet."));
  };
  draw(first, ready, system);
  const fill = (found) => {
    open.replaceChildren(...(found.length ? found.map(incidentLine) : [h("li", { class: "quiet" }, "None is open.")]));
  };
  fill(incidents.items);
  list.replaceChildren(...(recent.items.length ? recent.items.map((one) => patternLine(one)) : [h("li", { class: "quiet" }, "None yet.")]));

  every(5, async () => draw(await get("overview", {}, signal), await health(signal), await get("system", {}, signal)));
  every(15, async () => fill((await page("incidents", { statuses: "open", limit: RECENT }, signal)).items));
  onpattern((kind, one) => {
    if (kind !== "pattern" || one.detection_algorithm.startsWith("nightly: ")) return;
    list.querySelector(`[data-id="${one.id}"]`)?.remove();
    list.prepend(patternLine(one, true));
    while (list.children.length > RECENT) list.lastElementChild.remove();
    if (one.is_active && ["critical", "high"].includes(one.severity)) announce(`New: ${one.severity}: ${one.pattern_name}`);
  });
  if (!first.quality.read && !recent.items.length) {
    return [h("h1", null, "Overview"), figures, empty(h("p", null, "Nothing has been read yet."),
      h("p", null, "Try ", h("code", null, "hindsight up"), " for this machine and its repository, or ", h("code", null, "hindsight stream --input FILE.jsonl"), "."))];
  }
  return [h("h1", null, "Overview"), figures, h("div", { class: "grid two" },
    h("div", { class: "flow" }, panel("Open incidents", open), panel("Patterns by day, up to the last one", bars)),
    panel("Latest patterns", list, h("p", { class: "small" }, h("a", { href: "#/patterns" }, "All patterns"))))];
}

async function health(signal) {
  try { return await get("health/ready", {}, signal); } catch (problem) { return { status: problem.message, checks: {} }; }
}

function healthBadge(ready, { flows, quality }) {
  if (ready.status !== "ok") return h("p", null, badge("critical", ready.status));
  if (quality.total.difference) return h("p", null, badge("high", `${number(quality.total.difference)} records unaccounted for`));
  if (flows.length && !flows.some((flow) => flow.is_up)) return h("p", null, badge("info", "no flow runs"));
  return h("p", null, badge("good", "all well"));
}

function flowWords({ flows }) {
  const up = flows.filter((flow) => flow.is_up).length;
  return flows.length ? `Database reachable; ${up} of ${flows.length} ${flows.length === 1 ? "flow answers" : "flows answer"}.` : "Database reachable.";
}

function counts(by, what) {
  const total = Object.values(by).reduce((sum, n) => sum + n, 0);
  return [h("p", { class: "figure" }, number(total)), h("div", { class: "badges" }, SEVERITIES.filter((one) => by[one]).map((one) =>
    what === "pattern" ? h("a", { href: `#/patterns?active=true&severities=${one}` }, badge(one, `${number(by[one])} ${one}`)) : badge(one, `${number(by[one])} ${one}`)))];
}

function latency(now, { flows }) {
  const live = flows.map((flow) => flow.event_to_pattern).find(Boolean) ?? (now.latency.n ? now.latency : null);
  const rows = flows.map((flow) => flow.event_to_row).find(Boolean);
  return [h("p", { class: "figure" }, live ? seconds(live.p50) : "–", live && h("small", null, ` median, p99 ${seconds(live.p99)}`)),
    h("p", { class: "quiet small" }, live ? `${number(live.n)} live ${live.n === 1 ? "pattern" : "patterns"}. ` : "No live pattern yet: history is not timed. ",
      rows && `Event to row: ${seconds(rows.p50)}, p99 ${seconds(rows.p99)}.`)];
}

function quality(total) {
  const share = total.read ? total.applied / total.read : null;
  const reasons = Object.entries(total.dead_letter_reasons).sort((a, b) => b[1] - a[1]).slice(0, 3).map(([name, n]) => `${words(name)} ${number(n)}`).join(", ");
  return [h("p", { class: "figure" }, percent(share), h("small", null, " applied")),
    h("p", { class: "quiet small" }, `${number(total.late)} late, ${number(total.duplicates)} repeated, `,
      h("a", { href: "#/system" }, `${number(total.dead_letters)} dead letters`), reasons && ` (${reasons})`, ".")];
}
