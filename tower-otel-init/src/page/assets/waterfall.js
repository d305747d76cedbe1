// One trace: its spans as a waterfall, and one span in detail.
import { counted, duration, element, time } from "./dom.js";

/** More rows would make the page slow. */
const MAX_ROWS = 1000;
const COLORS = 8;

/** Loads and shows traces. */
export class Waterfall {
  #parent;
  #shown = null;
  #openSpan = "";
  #loads = 0;

  constructor(parent) {
    this.#parent = parent;
    parent.addEventListener("keydown", (event) => this.#move(event));
    this.clear();
  }

  clear() {
    this.#shown = null;
    this.#parent.replaceChildren(element("p", { class: "empty" }, "Choose a trace to see its spans."));
  }

  /** Shows a trace, or what has become of the one that is shown. */
  async show(id) {
    const isNew = this.#shown !== id;
    if (isNew) this.#openSpan = "";
    this.#shown = id;
    const load = ++this.#loads;
    const response = await fetch(`traces/${encodeURIComponent(id)}`).catch(() => null);
    if (load !== this.#loads || this.#shown !== id) return;
    if (!response?.ok) {
      if (isNew) {
        const text = response === null ? "The process does not respond." : "This trace is gone: newer ones have taken its place.";
        this.#parent.replaceChildren(element("p", { class: "empty" }, text));
      }
      return;
    }
    const trace = await response.json();
    if (load === this.#loads && this.#shown === id) this.#draw(id, trace);
  }

  #draw(id, { spans, dropped }) {
    const tree = order(spans);
    const start = Math.min(...spans.map((span) => span.start));
    const end = Math.max(...spans.map((span) => span.start + span.duration));
    const scale = (micros) => (end > start ? ((micros - start) / (end - start)) * 100 : 0);
    const critical = criticalPath(tree);
    const colors = palette(spans);
    const root = tree[0].span;
    const errors = spans.filter(isFailed).length;
    const facts = [duration(end - start), counted(spans.length, "span")];
    if (errors > 0) facts.push(counted(errors, "error"));
    facts.push(time(start));
    const head = element("div", { class: "trace-head" },
      element("h3", {}, root.name),
      element("p", { class: "quiet" }, facts.join(" · ")),
      element("p", { class: "id" }, element("code", {}, id), copyButton(id, "Copy trace id")));
    const legend = element("ul", { class: "legend" }, ...[...colors.names].map(([name, color]) =>
      element("li", {}, element("span", { class: `swatch c${color}` }), name)),
      element("li", {}, element("span", { class: "swatch critical" }), "critical path"));
    const axis = element("div", { class: "axis", "aria-hidden": "true" }, element("span", {}),
      element("span", {}, element("span", {}, "0"), element("span", {}, duration((end - start) / 2)), element("span", {}, duration(end - start))));
    const rows = tree.slice(0, MAX_ROWS).map((node) => this.#row(node, scale, colors, critical));
    const notes = [];
    if (tree.length > MAX_ROWS) notes.push(`${counted(tree.length - MAX_ROWS, "more span is", "more spans are")} not shown.`);
    if (dropped > 0) notes.push(`${counted(dropped, "span")} did not fit into the 4 MiB of a trace.`);
    if (root.parent !== "" && !root.remote) notes.push("The root has not ended, or was not recorded.");
    if (root.remote) notes.push("The parent is in another process, whose spans this page does not have.");
    const list = element("div", { class: "rows" }, axis, ...rows);
    const detail = element("div", { class: "detail" });
    const focused = document.activeElement?.dataset.span;
    this.#parent.replaceChildren(head, legend, list, ...notes.map((note) => element("p", { class: "note" }, note)), detail);
    const open = spans.find((span) => span.id === this.#openSpan) ?? spans.find(isFailed) ?? root;
    this.#open(open, start);
    for (const row of rows) {
      const span = row.dataset.span;
      row.addEventListener("click", () => this.#open(spans.find((each) => each.id === span), start));
      if (span === focused) row.focus({ preventScroll: true });
    }
  }

  #row({ span, depth }, scale, colors, critical) {
    const failed = isFailed(span);
    const bar = element("span", { class: `span-bar c${failed ? "error" : colors.of(span)}` });
    bar.style.left = `${Math.min(scale(span.start), 99.6)}%`;
    bar.style.width = `max(${scale(span.start + span.duration) - scale(span.start)}%, 2px)`;
    const segments = (critical.get(span) ?? []).map(([from, to]) => {
      const segment = element("span", { class: "segment" });
      segment.style.left = `${scale(from)}%`;
      segment.style.width = `max(${scale(to) - scale(from)}%, 1px)`;
      return segment;
    });
    const name = element("span", { class: "span-name" }, span.name, target(span));
    name.style.paddingInlineStart = `${Math.min(depth, 12) * 0.9}em`;
    const row = element("button", { type: "button", class: `row ${failed ? "failed" : ""}`, "aria-pressed": "false",
      title: `${span.name} · ${span.service} · ${span.kind} · ${duration(span.duration)}` },
      name, element("span", { class: "lane" }, bar, ...segments), element("span", { class: "duration" }, duration(span.duration)));
    row.dataset.span = span.id;
    return row;
  }

  #open(span, start) {
    this.#openSpan = span.id;
    for (const row of this.#parent.querySelectorAll(".row")) {
      row.setAttribute("aria-pressed", String(row.dataset.span === span.id));
    }
    this.#parent.querySelector(".detail").replaceChildren(...details(span, start));
  }

  #move(event) {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const next = step === undefined ? null : document.activeElement?.[step];
    if (next instanceof HTMLButtonElement && next.classList.contains("row")) {
      event.preventDefault();
      next.focus();
      next.click();
    }
  }
}

function details(span, start) {
  const offset = span.start - start;
  const facts = [span.kind, span.service, duration(span.duration), offset > 0 ? `${duration(offset)} after the start` : ""];
  const parts = [element("h4", {}, span.name), element("p", { class: "quiet" }, facts.filter((text) => text !== "").join(" · "))];
  if (span.status === "error") parts.push(element("p", { class: "error" }, failure(span)));
  if (span.events.length > 0) {
    parts.push(element("h5", {}, "Events and log lines"), element("ol", { class: "events" }, ...span.events.map((event) => line(event, start))));
  }
  parts.push(element("h5", {}, "Attributes"));
  parts.push(span.attributes.length === 0 ? element("p", { class: "quiet" }, "none") : attributes(span.attributes));
  if (span.links.length > 0) {
    parts.push(element("h5", {}, "Links"), ...span.links.map((link) =>
      element("div", {}, element("code", {}, link.traceparent), attributes(link.attributes))));
  }
  if (span.dropped > 0) parts.push(element("p", { class: "note" }, `Over the limits, ${counted(span.dropped, "attribute, event or link is", "attributes, events or links are")} missing.`));
  parts.push(element("p", { class: "id" }, element("span", {}, "traceparent"), element("code", {}, span.traceparent), copyButton(span.traceparent, "Copy traceparent")));
  return parts;
}

/** Returns the kind of an error and its description. */
function failure(span) {
  const kind = span.attributes.find(([name]) => name === "error.type")?.[1];
  const texts = [kind === undefined ? "" : String(kind), span.message].filter((text) => text !== "");
  return texts.length === 0 ? "The span failed." : texts.join(": ");
}

function line(event, start) {
  const of = (key) => event.attributes.find(([name]) => name === key)?.[1];
  const level = of("level");
  const others = event.attributes.filter(([name]) => !["level", "target"].includes(name));
  return element("li", {},
    element("span", { class: "at" }, `+${duration(Math.max(event.at - start, 0))}`),
    level === undefined ? null : element("span", { class: `level ${String(level).toLowerCase()}` }, String(level)),
    element("span", { class: "message" }, event.name),
    ...others.map(([name, value]) => element("span", { class: "field" }, element("span", { class: "quiet" }, `${name}=`), show(value))));
}

function attributes(pairs) {
  const rows = pairs.map(([key, value]) => element("tr", {}, element("th", { scope: "row" }, ...breakable(key)), element("td", {}, show(value))));
  return element("table", { class: "attributes" }, element("tbody", {}, ...rows));
}

function show(value) {
  return Array.isArray(value) ? value.map(String).join(", ") : String(value);
}

function copyButton(text, label) {
  const button = element("button", { type: "button", class: "copy", "aria-label": label }, "Copy");
  button.addEventListener("click", async () => {
    const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
    button.textContent = copied ? "Copied" : "Select it";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return button;
}

/** Where a client span goes: its name has the method only. */
function target(span) {
  const of = (key) => span.attributes.find(([name]) => name === key)?.[1];
  const address = of("server.address");
  if (span.kind !== "client" || address === undefined) return null;
  const port = of("server.port");
  return element("span", { class: "target" }, port === undefined ? String(address) : `${address}:${port}`);
}

/** Returns a key with places for line breaks. */
function breakable(key) {
  return key.split(/(?<=[._])/).flatMap((part) => [part, element("wbr")]).slice(0, -1);
}

function isFailed(span) {
  return span.status === "error";
}

/** Returns the spans in the order of a tree, with their depths and children. A span without its parent is a root. */
function order(spans) {
  const nodes = new Map();
  for (const span of spans) {
    // An id that occurs twice is forged or sent again.
    if (!nodes.has(span.id)) nodes.set(span.id, { span, depth: 0, children: [], parent: null });
  }
  const roots = [];
  for (const node of nodes.values()) {
    const parent = nodes.get(node.span.parent);
    if (parent === undefined || parent === node) {
      roots.push(node);
    } else {
      node.parent = parent;
      parent.children.push(node);
    }
  }
  const ordered = [];
  const seen = new Set();
  const byStart = (a, b) => a.span.start - b.span.start;
  const visit = (first) => {
    const stack = [first];
    while (stack.length > 0) {
      const node = stack.pop();
      if (seen.has(node)) continue;
      seen.add(node);
      node.depth = node.parent === null || !seen.has(node.parent) ? 0 : node.parent.depth + 1;
      ordered.push(node);
      stack.push(...node.children.sort(byStart).toReversed());
    }
  };
  roots.sort((a, b) => (a.span.parent === "" ? 0 : 1) - (b.span.parent === "" ? 0 : 1) || byStart(a, b)).forEach(visit);
  // Spans that are each other’s parents.
  [...nodes.values()].filter((node) => !seen.has(node)).forEach(visit);
  return ordered;
}

/** Returns the times in which a span, and none of its children, is what its trace waits for: from the end of the root back to its start. */
function criticalPath(tree) {
  const path = new Map();
  const stack = [[tree[0], tree[0].span.start + tree[0].span.duration]];
  const seen = new Set();
  while (stack.length > 0) {
    const [node, end] = stack.pop();
    if (seen.has(node)) continue;
    seen.add(node);
    const { start } = node.span;
    let cursor = Math.min(end, start + node.span.duration);
    const segments = [];
    const children = [...node.children].sort((a, b) => b.span.start + b.span.duration - a.span.start - a.span.duration);
    for (const child of children) {
      const childEnd = Math.min(child.span.start + child.span.duration, cursor);
      if (child.span.start >= cursor || childEnd <= start) continue;
      if (cursor > childEnd) segments.push([childEnd, cursor]);
      stack.push([child, childEnd]);
      cursor = Math.max(child.span.start, start);
    }
    if (cursor > start) segments.push([start, cursor]);
    path.set(node.span, segments);
  }
  return path;
}

/** Colors by service, or by kind if there is one service only. */
function palette(spans) {
  const services = new Set(spans.map((span) => span.service));
  const of = services.size > 1 ? (span) => span.service : (span) => span.kind;
  const names = new Map();
  for (const span of spans.toSorted((a, b) => a.start - b.start)) {
    if (!names.has(of(span))) names.set(of(span), names.size % COLORS);
  }
  return { names, of: (span) => names.get(of(span)) };
}
