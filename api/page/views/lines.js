// One pattern, or one incident, as a line of a list.
import { badge, h } from "../dom.js";
import { time } from "../format.js";

export function patternLine(one, fresh = false) {
  return h("li", { class: fresh && "new", "data-id": one.id },
    h("div", { class: "head" }, badge(one.severity), h("a", { href: `#/patterns/${one.id}` }, one.pattern_name),
      h("span", { class: "quiet small" }, time(one.detected_at, { short: true }), one.is_active ? ", goes on" : "")));
}

export function incidentLine(one) {
  return h("li", null, h("div", { class: "head" }, badge(one.severity), h("a", { href: `#/incidents/${one.id}` }, one.title),
    h("span", { class: "quiet small" }, time(one.started_at, { short: true }), `, ${one.patterns} ${one.patterns === 1 ? "pattern" : "patterns"}`)));
}

// Some detectors name their method at length behind the name: people want the name.
export const method = (text) => text.split(":")[0];
