// Receives the events of the server, and shows them.
import { bytes, count, counted, element, span } from "./dom.js";
import { showRed } from "./red.js";
import { Settings } from "./settings.js";
import { TraceList } from "./traces.js";
import { Waterfall } from "./waterfall.js";

const byId = (id) => document.getElementById(id);
const waterfall = new Waterfall(byId("trace"));
const traces = new TraceList((id) => { location.hash = id; });
const settings = new Settings(byId("settings"));
const connection = byId("connection");
const pause = byId("pause");
let paused = false;
let overview = null;

/** The trace that is shown is part of the address, so that it stays when the page is loaded again. */
function showSelected() {
  const id = location.hash.slice(1);
  traces.select(id);
  if (id === "") {
    waterfall.clear();
  } else {
    waterfall.show(id);
    if (matchMedia("(max-width: 1000px)").matches) byId("trace").scrollIntoView({ block: "start" });
  }
}

function showOverview() {
  if (overview === null || paused) return;
  document.title = `${overview.service} · telemetry`;
  byId("service").textContent = overview.service;
  byId("uptime").textContent = overview.status === null ? "" : `up ${span(overview.status.uptime)}`;
  showRed(byId("red"), overview.metrics, (route) => {
    traces.filterRoute(route);
    byId("traces-title").scrollIntoView({ block: "start", behavior: "smooth" });
  });
  showState(overview);
  if (overview.status !== null) settings.show(overview.status.settings);
}

function showState({ status, ring }) {
  const facts = [];
  const fact = (name, value, bad = false) => facts.push(element("div", { class: bad ? "bad" : undefined },
    element("dt", {}, name), element("dd", {}, value)));
  const spans = status?.spans;
  if (spans) {
    const lost = spans.queue_full + spans.export_failed + spans.rejected;
    fact("Exported spans", count(spans.delivered));
    fact("Waiting", count(spans.queued + spans.exporting));
    fact("Lost spans", lost === 0 ? "0" : [
      [spans.queue_full, "queue full"], [spans.export_failed, "export failed"], [spans.rejected, "rejected"],
    ].filter(([number]) => number > 0).map(([number, reason]) => `${count(number)} ${reason}`).join(", "), lost > 0);
    if (spans.not_held + spans.keep_limited > 0) {
      fact("Not kept for lack of room", count(spans.not_held + spans.keep_limited));
    }
  }
  fact("On this page", `${count(ring.traces)} of ${counted(ring.seen, "trace")}, ${bytes(ring.bytes)}`);
  const summary = (status?.summary ?? "").replace(/^telemetry of [^:]*: /, "").split("; ").filter((text) => text !== "");
  byId("state").replaceChildren(
    element("dl", { class: "facts" }, ...facts),
    element("ul", { class: "summary" }, ...summary.map((text) => element("li", {}, text))),
    ...[status?.failure ? `Exports of spans fail: ${status.failure}` : null, ...(status?.warnings ?? [])].filter((text) => text !== null).map((warning) => element("p", { class: "error" }, warning)),
    element("p", { class: "quiet" }, "500 traces and 32 MiB stay on this page. Traces with an error and those of a second or more stay longest. Other processes appear when they send their spans to /v1/traces of this address, by OTLP over HTTP."));
}

function setConnection(text, isGood) {
  connection.textContent = text;
  connection.classList.toggle("good", isGood);
}

const events = new EventSource("events");
// The server sends everything first, also after a restart.
events.addEventListener("open", () => {
  traces.clear();
  setConnection("live", true);
});
events.addEventListener("error", () => setConnection("not connected", false));
events.addEventListener("overview", (event) => {
  overview = JSON.parse(event.data);
  showOverview();
});
events.addEventListener("traces", (event) => {
  const changes = JSON.parse(event.data);
  traces.update(changes);
  const selected = location.hash.slice(1);
  if (!paused && changes.changed.some((trace) => trace.id === selected)) waterfall.show(selected);
});

pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Resume" : "Pause";
  traces.pause(paused);
  showOverview();
});
addEventListener("hashchange", showSelected);
showSelected();
