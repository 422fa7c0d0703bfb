import { get, page } from "../api.js";
import { badge, choice, h, panel, table } from "../dom.js";
import { ago, number, seconds, time, words } from "../format.js";

export async function system({ query, change, signal, every }) {
  const reason = query.get("reason") ?? "";
  const [first, letters] = await Promise.all([get("system", {}, signal), page("dead-letters", { reasons: reason, limit: 20 }, signal)]);
  const place = h("div", { class: "flow" });
  const draw = (now) => place.replaceChildren(conserved(now.quality), flows(now));
  draw(first);
  every(5, async () => draw(await get("system", {}, signal)));
  const reasons = Object.entries(first.quality.total.dead_letter_reasons).sort((a, b) => b[1] - a[1]);
  const rows = h("div");
  let next = null;
  const show = (found) => {
    rows.append(...found.items.map(letter));
    next = found.next;
    more.hidden = !next;
  };
  const more = h("button", { type: "button", onclick: async () => show(await page(next, {}, signal)) }, "Show more");
  show(letters);
  return [h("h1", null, "System"), place, h("section", { class: "panel" }, h("h2", null, "Dead letters"),
    h("p", { class: "quiet small" }, "Records that could not be used, with why, and how they begin. Nothing is dropped silently."),
    reasons.length > 0 && h("div", { class: "row filters" }, choice("Reason", [["", "all"], ...reasons.map(([name, n]) => [name, `${words(name)} (${number(n)})`])], reason, (value) => change({ reason: value }))),
    letters.items.length ? rows : h("p", { class: "good" }, "There is none."), more)];
}

function conserved({ total, inputs }) {
  const row = (head, one) => ({ head, ...one });
  const rows = [...inputs.map((one) => row(one.input, one)), ...(inputs.length > 1 ? [row("All", total)] : [])];
  return h("section", { class: "panel" }, h("h2", null, "What became of the records"),
    h("p", null, total.difference ? badge("critical", `${number(total.difference)} are unaccounted for: that is a bug`) : badge("good", "read = applied + late + dead letters + repeated")),
    inputs.length ? table("By input", [
      { head: "Input", cell: (one) => short(one.head) }, ...["read", "applied", "late", "dead_letters", "duplicates", "patterns", "difference"].map((name) =>
        ({ head: words(name === "duplicates" ? "repeated" : name), number: true, cell: (one) => h("span", { class: name === "difference" && one[name] ? "bad" : null }, number(one[name])) })),
      { head: "Last written", cell: (one) => (one.updated_at ? time(one.updated_at, { short: true }) : "–") }], rows) : h("p", { class: "quiet" }, "Nothing has been read yet."));
}

function flows({ flows: all, streams, now }) {
  const several = all.length > 1;
  return h("section", { class: "panel" }, h("h2", null, "Flows"),
    !all.length && h("p", { class: "quiet" }, "No flow is named: ", h("code", null, "ANALYTICS_API_FLOW_METRICS"), " says where they serve their metrics."),
    all.map((flow) => (flow.is_up ? running(flow, now, several) : h("p", null, badge("info", several ? `flow ${flow.number + 1} does not answer` : "it does not answer"),
      h("span", { class: "quiet small" }, " No flow runs, or ANALYTICS_API_FLOW_METRICS names another address. Watermarks and lag are known to the flow alone.")))),
    h("p", { class: "quiet small" }, `${number(streams)} live ${streams === 1 ? "view is" : "views are"} open.`));
}

function running(flow, now, several) {
  const said = (name, found) => found && `${name}: median ${seconds(found.p50)}, p99 ${seconds(found.p99)}`;
  return h("div", null, h("p", null, badge("good", several ? `flow ${flow.number + 1} runs` : "runs"), " ",
    h("span", { class: "small" }, [`${number(flow.records_read)} records read since it began`, said("event to row", flow.event_to_row), said("event to pattern", flow.event_to_pattern),
      flow.queue_batches !== null && `${number(flow.queue_batches)} batches wait for the database`, flow.correlator_lag_seconds !== null && `incidents lag ${seconds(flow.correlator_lag_seconds)}`].filter(Boolean).join(" · "))),
  flow.partitions.length > 0 && table("Partitions: how far event time is, and what waits", [
    { head: "Input", cell: (one) => [short(one.topic), ` / ${one.partition}`] },
    { head: "Watermark", cell: (one) => (one.watermark_seconds ? time(new Date(one.watermark_seconds * 1000).toISOString()) : "–") },
    { head: "Behind the clock", number: true, cell: (one) => (one.watermark_seconds ? seconds(Math.max(0, Date.parse(now) / 1000 - one.watermark_seconds)) : "–") },
    { head: "Lag", number: true, cell: (one) => (one.lag === null ? "–" : number(one.lag)) }, { head: "Series", number: true, cell: (one) => number(one.series) },
    { head: "Open panes", number: true, cell: (one) => number(one.open_panes) }], flow.partitions));
}

function letter(one) {
  return h("details", { class: "letter" }, h("summary", null, badge("medium", words(one.reason)), " ", h("span", { class: "small" }, one.detail ?? ""), " ", h("span", { class: "quiet small" }, ago(one.received_at))),
    h("p", { class: "quiet small" }, `${one.topic}, partition ${one.partition}, ${one.topic.startsWith("file:") ? "line" : "offset"} ${number(one.record_offset)}; read `, time(one.received_at), one.bytes !== null && `; ${number(one.bytes)} bytes`),
    one.sample === null ? h("p", { class: "quiet" }, "It had no value.") : h("pre", { tabindex: "0" }, h("code", null, one.sample)));
}

// file:/a/b/host.jsonl is host.jsonl to people; the whole is its title.
function short(input) {
  return input.startsWith("file:") ? h("span", { title: input }, input.split("/").at(-1)) : input;
}
