// The list of recent traces, and its filter.
import { count, counted, duration, element, replaceChildren, time } from "./dom.js";

const MAX_ROWS = 200;

/** The traces that the server has, filtered by the form. */
export class TraceList {
  #traces = new Map();
  #rows = new Map();
  #found = null;
  #searched = "";
  #selected = "";
  #paused = false;
  #onSelect;
  #search;

  constructor(onSelect) {
    this.#onSelect = onSelect;
    this.list = document.getElementById("list");
    this.form = document.getElementById("filter");
    this.fields = Object.fromEntries(["text", "route", "status", "duration"].map((id) => [id, document.getElementById(id)]));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => this.#filterChanged());
    this.form.addEventListener("reset", () => setTimeout(() => this.#filterChanged()));
    this.list.addEventListener("keydown", (event) => this.#move(event));
    this.show();
  }

  /** Applies what has changed on the server. */
  update({ changed, numbers }) {
    const known = new Set(numbers);
    for (const number of [...this.#traces.keys()]) {
      if (!known.has(number)) {
        this.#traces.delete(number);
        this.#rows.delete(number);
      }
    }
    for (const trace of changed) {
      this.#traces.set(trace.number, trace);
      this.#rows.delete(trace.number);
    }
    this.#updateRoutes();
    if (this.#searched !== "" && changed.length > 0) this.#searchSoon();
    if (!this.#paused) this.show();
  }

  /** Forgets everything, as after a restart of the server. */
  clear() {
    this.#traces.clear();
    this.#rows.clear();
  }

  pause(paused) {
    this.#paused = paused;
    if (!paused) this.show();
  }

  select(id) {
    this.#selected = id;
    for (const row of this.#rows.values()) {
      row.setAttribute("aria-current", String(row.dataset.id === id));
    }
  }

  get(id) {
    return [...this.#traces.values()].find((trace) => trace.id === id);
  }

  /** Shows the traces of a route only. */
  filterRoute(route) {
    this.#addRoute(route);
    this.fields.route.value = route;
    this.#filterChanged();
  }

  #filterChanged() {
    const text = this.fields.text.value.trim();
    if (text !== this.#searched) {
      this.#searched = text;
      this.#found = text === "" ? null : this.#found;
      this.#searchSoon();
    }
    this.show();
  }

  /** The server searches, because it has the attributes and the log lines. */
  #searchSoon() {
    clearTimeout(this.#search);
    if (this.#searched === "") return;
    this.#search = setTimeout(async () => {
      const text = this.#searched;
      const response = await fetch(`search?q=${encodeURIComponent(text)}`).catch(() => null);
      if (text !== this.#searched) return;
      if (response?.ok) {
        this.#found = new Set(await response.json());
        this.show();
      } else if (response?.status === 503) {
        // The server runs one search at a time.
        this.#searchSoon();
      }
    }, 150);
  }

  #updateRoutes() {
    for (const trace of this.#traces.values()) {
      if (trace.route !== null) this.#addRoute(trace.route);
    }
  }

  #addRoute(route) {
    const options = this.fields.route.options;
    // Applications can have many routes and call many hosts.
    if (options.length > 200 || [...options].some((option) => option.value === route)) return;
    const option = element("option", {}, route);
    option.value = route;
    const next = [...options].slice(1).find((other) => other.value > route);
    this.fields.route.insertBefore(option, next ?? null);
  }

  #isShown(trace) {
    const { route, status, duration: least } = this.fields;
    return (this.#searched === "" || this.#isFound(trace))
      && (route.value === "" || trace.route === route.value)
      && (status.value === "" || (status.value === "failed" ? trace.errors > 0 : hasStatus(trace, status.value)))
      && trace.duration >= Number(least.value);
  }

  #isFound(trace) {
    return trace.id.includes(this.#searched.toLowerCase()) || (this.#found?.has(trace.number) ?? false);
  }

  show() {
    const all = [...this.#traces.values()];
    const shown = all.filter((trace) => this.#isShown(trace)).sort((a, b) => b.start - a.start);
    const total = document.getElementById("trace-count");
    total.textContent = shown.length === all.length ? count(all.length) : `${count(shown.length)} of ${count(all.length)}`;
    if (shown.length === 0) {
      const text = all.length === 0
        ? "No traces yet. A trace appears within a second of its first span’s end."
        : "No trace matches the filter.";
      this.list.replaceChildren(element("p", { class: "empty" }, text));
      return;
    }
    const longest = Math.max(...shown.map((trace) => trace.duration));
    const rows = shown.slice(0, MAX_ROWS).map((trace) => this.#row(trace, longest));
    if (shown.length > MAX_ROWS) {
      rows.push(element("p", { class: "note" }, `${counted(shown.length - MAX_ROWS, "older trace matches", "older traces match")}, too.`));
    }
    // A trace that has changed has another row.
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.id : undefined;
    replaceChildren(this.list, rows);
    if (focused !== undefined && !this.list.contains(document.activeElement)) {
      rows.find((row) => row.dataset.id === focused)?.focus({ preventScroll: true });
    }
  }

  #row(trace, longest) {
    let row = this.#rows.get(trace.number);
    if (row === undefined) {
      row = this.#build(trace);
      this.#rows.set(trace.number, row);
    }
    // On a logarithmic scale from 100 µs, as durations differ by orders of magnitude.
    const scale = (micros) => Math.log10(Math.max(micros, 100) / 100);
    const share = scale(longest) > 0 ? scale(trace.duration) / scale(longest) : 0;
    row.querySelector(".bar").style.width = `${Math.max(share * 100, 2)}%`;
    return row;
  }

  #build(trace) {
    const { name, method, isQuiet, target } = title(trace);
    const row = element("button", { type: "button", class: "item", "aria-current": String(trace.id === this.#selected) },
      element("span", { class: "at" }, time(trace.start)),
      element("span", { class: isQuiet ? "name quiet" : "name" }, method === "" ? null : element("span", { class: "method" }, method), name,
        target === null ? null : element("span", { class: "target" }, target)),
      status(trace),
      element("span", { class: "duration" }, duration(trace.duration)),
      element("span", { class: "track" }, element("span", { class: "bar" })),
      element("span", { class: "spans" }, counted(trace.spans, "span")));
    if (trace.errors > 0) row.classList.add("failed");
    row.title = [trace.path, trace.target, trace.error, trace.kept === null ? null : `kept: ${trace.kept}`].filter((text) => text !== null).join(" · ");
    row.dataset.id = trace.id;
    row.addEventListener("click", () => this.#onSelect(trace.id));
    return row;
  }

  #move(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const next = step === undefined ? null : document.activeElement?.[step];
    if (next instanceof HTMLButtonElement) {
      event.preventDefault();
      next.focus();
    }
  }
}

/** Splits the method from the name of a span. Without a route, the path or the target of a client stands for it. */
function title({ name, path, target }) {
  const match = /^([A-Z_]{3,10})(?: (.+))?$/su.exec(name);
  if (match === null) return { method: "", name, isQuiet: false, target };
  const [, method, route] = match;
  if (route !== undefined) return { method, name: route, isQuiet: false, target };
  return { method, name: path ?? target ?? "", isQuiet: true, target: path === null ? null : target };
}

/** Whether the status code has this first digit. If the root has no status, those of the other spans count, such as of a client. */
function hasStatus({ code, classes }, digit) {
  return code?.startsWith(digit) ?? classes.includes(digit);
}

/** The status code, and what has failed if that is something else. */
function status({ code, failed, error }) {
  const texts = [code, failed && error !== code ? error : null].filter((text) => text !== null);
  const text = texts.length === 0 && failed ? "error" : texts.join(" ");
  const family = failed ? "s5" : /^[1-5]\d\d$/.test(text) ? `s${text[0]}` : "";
  return element("span", { class: `code ${family}`, title: text }, text);
}
