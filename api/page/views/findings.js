import { get, page } from "../api.js";
import { badge, choice, empty, entry, facts, h } from "../dom.js";
import { number, percent, seconds, time, words } from "../format.js";

const SHOWN = 5;

export async function findings({ query, change, signal }) {
  const rows = [];
  const list = h("div", { class: "flow" });
  const more = h("p");
  let next = null;
  async function load() {
    const found = await page(next ?? "findings", next ? {} : { entity_part: query.get("entity"), active: query.get("active") ?? "true", limit: 30 }, signal);
    rows.push(...found.items);
    next = found.next;
    list.replaceChildren(...rows.map(finding));
    more.replaceChildren(...(next ? [h("button", { type: "button", onclick: load }, "Show more")] : []));
  }
  const [nights, quality] = await Promise.all([get("nights", { limit: 1 }, signal), get("nights/quality", { limit: 100 }, signal), load()]);
  if (!rows.length && !query.size && !nights.length) {
    return [h("h1", null, "Nightly findings"), empty(h("p", null, "Nothing has been mined from the history yet."),
      h("p", null, "What keeps going wrong is found at night: what fails together, what follows what, which tests and steps are flaky, what has slowed down. This fills the view, and is best done each night:"),
      h("pre", null, h("code", null, "hindsight nightly")))];
  }
  return [h("h1", null, "Nightly findings"), nights.map(night), data(quality),
    h("form", { class: "row filters", role: "search", onsubmit: (event) => event.preventDefault() },
      entry("Entity contains", query.get("entity") ?? "", (value) => change({ entity: value })),
      choice("Found by the last nights", [["true", "yes"], ["false", "no longer"]], query.get("active") ?? "true", (value) => change({ active: value }))),
    rows.length ? list : empty(h("p", null, "No finding fits.")), more];
}

function night(one) {
  const what = one.status === "finished" ? ["finished ", time(one.finished_at), one.seconds ? ` after ${seconds(one.seconds)}` : ""]
    : one.status === "failed" ? ["failed ", time(one.finished_at), `: ${one.problem}`] : ["began ", time(one.started_at), " and has not ended"];
  return h("p", null, "The last night, over history up to ", time(one.range_end), ", ", ...what,
    one.skipped_parts ? `; ${number(one.skipped_parts)} parts were left out.` : ".");
}

function data(quality) {
  const wrong = quality.filter((one) => one.status !== "good");
  if (!wrong.length) return null;
  return h("details", null, h("summary", null, `What is wrong with its data (${wrong.length})`),
    h("ul", null, wrong.slice(0, 4 * SHOWN).map((one) => h("li", null, `${words(one.table_name)} of ${one.source}: ${one.problems.join("; ")}`))));
}

// One word for where it stands: what the last nights did not find is no longer "confirmed", however it began.
function state(one) {
  if (!one.is_active) return badge("info", "retired");
  if (one.nights_missed) return badge("medium", one.nights_missed === 1 ? "the last night did not find it" : `not found for ${one.nights_missed} nights`);
  if (one.status === "confirmed") return badge("good", "confirmed");
  return one.status && badge("info", "not confirmed yet");
}

function finding(one) {
  return h("section", { class: "panel" }, h("h2", null, one.sentence),
    h("div", { class: "badges" }, badge("info", words(one.kind)), state(one)),
    facts([["Shown by", one.support === null ? null : `${number(one.support)} of ${number(one.total)}`],
      [one.effect_name ? words(one.effect_name) : "Effect", one.effect === null ? null : number(one.effect)],
      ["False discoveries", one.q_value === null ? null : percent(one.q_value)],
      ["Confidence", percent(one.confidence_score)], ["About", `${one.entity} ${one.measure}`],
      ["Seen", h("span", null, time(one.first_seen), " to ", time(one.last_seen))],
      ["Last found by the night up to", one.found_at === null ? null : time(one.found_at)]]),
    one.sql && h("details", null, h("summary", null, "SQL that counts it again"), h("pre", { tabindex: "0" }, h("code", null, one.sql))));
}
