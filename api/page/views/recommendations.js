import { page } from "../api.js";
import { badge, empty, facts, h } from "../dom.js";
import { number, percent, time, words } from "../format.js";

const EFFORT = { low: "good", medium: "medium", high: "high" };

export async function recommendations({ signal }) {
  const { items, next } = await page("recommendations", { priority_threshold: 0, limit: 100 }, signal);
  if (!items.length) {
    return [h("h1", null, "Recommendations"), empty(h("p", null, "There is no recommendation yet."),
      h("p", null, "What is worth changing first is worked out at night from what keeps going wrong. Until then, the ", h("a", { href: "#/patterns?sort=significance_score:desc" }, "most significant patterns"), " are a good beginning."),
      h("pre", null, h("code", null, "hindsight nightly")))];
  }
  return [h("h1", null, "Recommendations"), h("p", { class: "quiet" }, "The most worthwhile first."), items.map((one) => h("section", { class: "panel" },
    h("h2", null, one.description),
    h("div", { class: "badges" }, badge("info", words(one.recommendation_type)), badge(EFFORT[one.effort_estimate] ?? "info", `${one.effort_estimate} effort`), badge("info", words(one.status))),
    facts([["About", one.component_name], ["Priority", percent(one.priority_score)], ["Could gain", `${number(one.potential_improvement)} %`], ["Since", time(one.identified_at)]]),
    one.implementation_steps.length > 0 && h("ol", null, one.implementation_steps.map((step) => h("li", null, step))))),
  next && h("p", { class: "quiet" }, "There are more: GET /recommendations has them all.")];
}
