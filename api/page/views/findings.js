import { page } from "../api.js";
import { badge, choice, empty, entry, facts, h } from "../dom.js";
import { number, percent, time, words } from "../format.js";

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
  await load();
  if (!rows.length && !query.size) {
    return [h("h1", null, "Nightly findings"), empty(h("p", null, "Nothing has been mined from the history yet."),
      h("p", null, "What keeps going wrong is found at night: what fails together, what follows what, which tests and steps are flaky, what has slowed down. This fills the view, and is best done each night:"),
      h("pre", null, h("code", null, "hindsight nightly")))];
  }
  return [h("h1", null, "Nightly findings"),
    h("form", { class: "row filters", role: "search", onsubmit: (event) => event.preventDefault() },
      entry("Entity contains", query.get("entity") ?? "", (value) => change({ entity: value })),
      choice("Found by the last nights", [["true", "yes"], ["false", "no longer"]], query.get("active") ?? "true", (value) => change({ active: value }))),
    rows.length ? list : empty(h("p", null, "No finding fits.")), more];
}

function finding(one) {
  return h("section", { class: "panel" }, h("h2", null, one.sentence),
    h("div", { class: "badges" }, badge("info", words(one.kind)), badge("info", `${percent(one.confidence_score)} sure`), one.status && badge(one.status === "confirmed" ? "good" : "info", one.status)),
    facts([["Shown by", one.support === null ? null : `${number(one.support)} of ${number(one.total)}`],
      [one.effect_name ? words(one.effect_name) : "Effect", one.effect === null ? null : number(one.effect)],
      ["False discoveries", one.q_value === null ? null : percent(one.q_value)], ["About", `${one.entity} ${one.measure}`],
      ["Seen", h("span", null, time(one.first_seen), " to ", time(one.last_seen))]]),
    one.sql && h("details", null, h("summary", null, "SQL that counts it again"), h("pre", { tabindex: "0" }, h("code", null, one.sql))));
}
