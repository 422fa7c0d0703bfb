// Live patterns. EventSource can't send a token, so the stream is read by hand; it comes back by itself, with what was missed.
import { address, headers } from "./api.js";

const LONGEST_WAIT = 30_000;

export class Live {
  #listeners = new Set();
  #states = new Set();
  #last = "";
  #stop = null;

  onpattern(listener) { this.#listeners.add(listener); return () => this.#listeners.delete(listener); }
  onstate(listener) { this.#states.add(listener); }

  restart() {
    this.#stop?.abort();
    this.#stop = new AbortController();
    this.#follow(this.#stop.signal);
  }

  async #follow(signal) {
    let wait = 1000;
    while (!signal.aborted) {
      try {
        const response = await fetch(address("patterns/stream"), {
          headers: headers(this.#last ? { "Last-Event-ID": this.#last } : {}), signal, cache: "no-store",
        });
        if (response.status === 409) this.#last = "";
        if (!response.ok) throw new Error(String(response.status));
        this.#say("on");
        wait = 1000;
        await this.#read(response.body.pipeThrough(new TextDecoderStream()).getReader());
      } catch { /* below */ }
      if (signal.aborted) return;
      this.#say("off");
      await new Promise((go) => setTimeout(go, wait));
      wait = Math.min(2 * wait, LONGEST_WAIT);
    }
  }

  async #read(reader) {
    let held = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      held += value;
      const parts = held.split("\n\n");
      held = parts.pop();
      for (const part of parts) this.#event(part);
    }
  }

  #event(text) {
    const fields = Object.fromEntries(text.split("\n").filter((line) => !line.startsWith(":")).map((line) => line.split(/: (.*)/s)));
    if (!fields.data) return;
    if (fields.id) this.#last = fields.id;
    const pattern = JSON.parse(fields.data);
    for (const listener of this.#listeners) listener(fields.event, pattern);
  }

  #say(state) { for (const listener of this.#states) listener(state); }
}
