import { get } from "../api.js";
import { badge, facts, h, panel } from "../dom.js";
import { number, percent, time, words } from "../format.js";
import { patternLine } from "./lines.js";

export async function incident({ id, signal, every }) {
  const found = await get(`incidents/${encodeURIComponent(id)}`, {}, signal);
  every(20, async () => { if ((await get(`incidents/${id}`, {}, signal)).updated_at !== found.updated_at) dispatchEvent(new HashChangeEvent("hashchange")); });
  return [
    h("p", { class: "crumb" }, h("a", { href: "#/" }, "Overview"), " · incident"),
    h("h1", null, found.title),
    h("div", { class: "badges" }, badge(found.severity), badge(found.status === "open" ? "low" : "good", found.status), badge("info", words(found.pattern_class))),
    h("div", { class: "grid two" },
      h("div", { class: "panel wide" }, h("p", null, found.summary)),
      panel("In short", facts([["Began", time(found.started_at)], ["Last change", time(found.updated_at)], ["Ended", found.ended_at ? time(found.ended_at) : null],
        ["Patterns", number(found.patterns)], ["Series", number(found.series)], ["Confidence", percent(found.confidence)],
        ["Reopened", found.reopened ? `${found.reopened} times` : null], ["Quiet because", found.inhibited],
        ["Merged into", found.merged_into && h("a", { href: `#/incidents/${found.merged_into}` }, "another incident")]])),
      found.contributors.length > 0 && panel("What it is made of", h("ul", null, found.contributors.map(([name, share]) => h("li", null, `${name}: ${percent(share)}`)))),
      found.known_changes.length > 0 && panel("Changed shortly before", h("ul", null, found.known_changes.map((one) => h("li", null, one)))),
      found.earlier.length > 0 && panel("Something like it, earlier", h("ul", null, found.earlier.map((one) => h("li", null, time(one.opened), ` ${one.ending ?? ""} `, one.pattern_id && h("a", { href: `#/patterns/${one.pattern_id}` }, "the pattern"))))),
      h("div", { class: "panel wide" }, h("h2", null, "Patterns"), h("ul", { class: "list" }, found.members.map((one) => patternLine(one))))),
  ];
}
