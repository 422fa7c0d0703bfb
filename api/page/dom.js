// Elements are made from data only, never from HTML text: names in events are written by others.

const SVG = "http://www.w3.org/2000/svg";

function made(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const h = (tag, attributes, ...children) => made(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => made(document.createElementNS(SVG, tag), attributes, children);

export function announce(text) {
  document.getElementById("announce").textContent = text;
}

const SIGNS = { critical: "▲▲", high: "▲", medium: "◆", low: "●", info: "i", good: "✓", fail: "✕" };
export const SEVERITIES = ["critical", "high", "medium", "low", "info"];

export function badge(severity, text = severity) {
  return h("span", { class: `badge ${severity}` }, h("span", { "aria-hidden": "true" }, SIGNS[severity] ?? "●"), text);
}

// columns: [{head, cell(row), number?, sort?}]; the first cell of a row is its header.
export function table(caption, columns, rows, { stack = true, sorted = null, onsort = null } = {}) {
  const head = columns.map((column) => {
    const mine = sorted && column.sort === sorted.by;
    const label = column.sort && onsort
      ? h("button", { type: "button", onclick: () => onsort(column.sort) }, column.head, mine ? (sorted.descending ? " ↓" : " ↑") : "")
      : column.head;
    return h("th", { scope: "col", class: column.number && "number", "aria-sort": mine ? (sorted.descending ? "descending" : "ascending") : null }, label);
  });
  const body = rows.map((row) => h("tr", null, columns.map((column, index) => {
    const attributes = { class: [column.number && "number", column.text && "text", column.nowrap && "nowrap"].filter(Boolean).join(" ") || null };
    if (index === 0) return h("th", { scope: "row", ...attributes }, column.cell(row));
    return h("td", { ...attributes, "data-label": column.head }, column.cell(row));
  })));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", { class: stack && "stack" }, h("caption", null, caption), h("thead", null, h("tr", null, head)), h("tbody", null, body)));
}

export function panel(title, ...children) {
  return h("section", { class: "panel" }, title && h("h2", null, title), children);
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
}

export function choice(label, options, value, onchange, attributes = {}) {
  const id = `c${label.replace(/\W/g, "")}`;
  const select = h("select", { id, onchange: () => onchange(select.value) },
    options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
  return h("div", attributes, h("label", { for: id }, label), select);
}

export function entry(label, value, onchange, { wait = 350, ...attributes } = {}) {
  const id = `e${label.replace(/\W/g, "")}`;
  let timer = null;
  const input = h("input", { id, type: "search", value, ...attributes,
    oninput: () => { clearTimeout(timer); timer = setTimeout(() => onchange(input.value.trim()), wait); } });
  return h("div", { class: "grow" }, h("label", { for: id }, label), input);
}

export function empty(...children) {
  return h("div", { class: "panel empty" }, children);
}
