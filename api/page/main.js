// The frame: views by the address behind #, the theme, the token, and what comes live.
import { Problem, token } from "./api.js";
import { announce, h } from "./dom.js";
import { Live } from "./live.js";
import { findings } from "./views/findings.js";
import { incident } from "./views/incident.js";
import { overview } from "./views/overview.js";
import { pattern } from "./views/pattern.js";
import { patterns } from "./views/patterns.js";
import { recommendations } from "./views/recommendations.js";
import { series } from "./views/series.js";
import { system } from "./views/system.js";
import { work } from "./views/work.js";

const VIEWS = [
  ["", "Overview", overview], ["patterns", "Patterns", patterns], ["series", "Series", series], ["work", "Pipelines and tasks", work],
  ["findings", "Nightly findings", findings], ["recommendations", "Recommendations", recommendations], ["system", "System", system],
];
const DETAILS = { patterns: ["Pattern", pattern], incidents: ["Incident", incident] };
const main = document.getElementById("main");
const live = new Live();
let leave = null;
let shown = "";

document.getElementById("nav").append(h("ul", null, VIEWS.map(([path, title]) => h("li", null, h("a", { href: `#/${path}`, "data-path": path }, title)))));

// What a view is given: its part of the address, a signal that ends with it, and the means to change the address.
async function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, id] = path.split("/");
  const detail = id ? DETAILS[name] : null;
  const [, title, view] = detail ? [name, ...detail] : VIEWS.find(([key]) => key === name) ?? VIEWS[0];
  leave?.abort();
  leave = new AbortController();
  const { signal } = leave;
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.dataset.path === (name === "incidents" ? "patterns" : name)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const context = {
    id: id ? decodeURIComponent(id) : null, signal, live, main, askToken,
    query: new URLSearchParams(query),
    // Filters change the address and are read from it again, so that a view can be sent to somebody.
    change(changes) {
      const next = new URLSearchParams(query);
      for (const [key, value] of Object.entries(changes)) value === null || value === "" ? next.delete(key) : next.set(key, value);
      location.hash = `#/${path}${next.size ? `?${next}` : ""}`;
    },
    every(seconds, act) {
      const timer = setInterval(() => { if (!document.hidden) act().catch(() => {}); }, seconds * 1000);
      signal.addEventListener("abort", () => clearInterval(timer));
    },
    onpattern(listener) { signal.addEventListener("abort", live.onpattern(listener)); },
  };
  const fresh = shown !== path;
  shown = path;
  document.title = `${title} – Hindsight`;
  const focused = document.activeElement?.id;
  try {
    const content = await view(context);
    if (signal.aborted) return;
    main.replaceChildren(...[content].flat(2).filter(Boolean));
    if (fresh) { main.focus({ preventScroll: true }); window.scrollTo(0, 0); announce(title); }
    else if (focused) {
      const again = document.getElementById(focused);
      again?.focus();
      if (again?.setSelectionRange && again.type === "search") again.setSelectionRange(again.value.length, again.value.length);
    }
  } catch (problem) {
    if (signal.aborted) return;
    main.replaceChildren(h("h1", null, title), failed(problem, route));
  }
}

function failed(problem, again) {
  if (!(problem instanceof Problem)) console.error(problem);
  const said = problem instanceof Problem ? problem.message : "This page has stumbled; the browser's console says over what.";
  return h("div", { class: "panel empty", role: "alert" }, h("p", { class: "problem" }, said), h("div", { class: "badges" },
    h("button", { type: "button", onclick: again }, "Try again"),
    problem.status === 401 && h("button", { type: "button", class: "primary", onclick: () => askToken().then(again) }, "Give a token")));
}

// The token, by a dialog; resolves when it closes.
export function askToken(said = "") {
  const dialog = document.getElementById("token-dialog");
  const input = document.getElementById("token-value");
  document.getElementById("token-problem").textContent = said;
  input.value = token.get();
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => {
    if (dialog.returnValue === "save") token.set(input.value.trim());
    if (dialog.returnValue === "forget") token.set("");
    input.value = "";
    known();
    live.restart();
    done(token.get());
  }, { once: true }));
}

function known() {
  document.getElementById("token").textContent = token.get() ? "Token ✓" : "Token";
}

function theme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("hindsight-theme", root.dataset.theme);
}

// `hindsight up` prints an address with a token behind #: it is kept, and taken out of sight and of the history.
const brought = /^#token=(hs_[A-Za-z0-9_-]+)$/.exec(location.hash);
if (brought) {
  token.set(brought[1]);
  history.replaceState(null, "", location.pathname + location.search);
}
const kept = localStorage.getItem("hindsight-theme");
if (kept) document.documentElement.dataset.theme = kept;
document.getElementById("theme").addEventListener("click", theme);
document.getElementById("token").addEventListener("click", () => askToken().then(route));
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
live.onstate((state) => {
  document.getElementById("live").className = `live ${state}`;
  document.getElementById("live-text").textContent = state === "on" ? "live" : "not live, trying again";
});
addEventListener("hashchange", route);
known();
live.restart();
route();
