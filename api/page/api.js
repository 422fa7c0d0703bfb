// Asking the API. The browser keeps what has an ETag; a token goes with each question, once there is one.

const KEY = "hindsight-token";
const BASE = new URL("api/v1/", document.baseURI);
const LONGEST = 20_000;

export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail ?? (status ? `The API answers ${status}.` : "The API does not answer."));
    this.status = status;
  }
}

export const token = {
  get: () => localStorage.getItem(KEY) ?? "",
  set: (value) => (value ? localStorage.setItem(KEY, value) : localStorage.removeItem(KEY)),
};

export function headers(more = {}) {
  return token.get() ? { Authorization: `Bearer ${token.get()}`, ...more } : more;
}

export function address(path, given = {}) {
  const url = new URL(path.replace(/^\//, ""), BASE);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === "") continue;
    for (const one of [value].flat()) url.searchParams.append(name, String(one));
  }
  return url;
}

async function asked(url, options) {
  let response;
  try {
    response = await fetch(url, { ...options, headers: headers(options?.headers), signal: AbortSignal.any([AbortSignal.timeout(LONGEST), ...(options?.signal ? [options.signal] : [])]) });
  } catch (problem) {
    if (options?.signal?.aborted) throw problem;
    throw new Problem(0, null);
  }
  if (!response.ok) throw new Problem(response.status, await response.json().catch(() => null));
  return response;
}

export async function get(path, given, signal) {
  return (await asked(address(path, given), { signal })).json();
}

// A page of a list: its items, and the address of the next one or null.
export async function page(path, given, signal) {
  const response = await asked(path instanceof URL ? path : address(path, given), { signal });
  const link = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get("Link") ?? "");
  const query = link ? link[1].split("?")[1] : null;
  const next = query === null ? null : new URL(`${response.url.split("?")[0]}?${query}`);
  return { items: await response.json(), next };
}

export async function post(path, body) {
  return (await asked(address(path), { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } })).json();
}
