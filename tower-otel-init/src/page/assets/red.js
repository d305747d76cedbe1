// Rate, errors and durations by route and host.
import { count, counted, duration, element, rate, short, svg } from "./dom.js";

const INTERVALS = 60;
/** Not shown on narrow screens. */
const WIDE = ["per s", "p95"];
/** Rows of requests whose traces have no route to filter by. */
const WITHOUT_ROUTE = ["overflow"];
const COLUMNS = ["Requests", "per s", "Errors", "p50", "p95", "p99"];

/** Shows the tables. Calls `onRoute` with the route of a row that is chosen. */
export function showRed(parent, metrics, onRoute) {
  if (metrics === null) {
    parent.replaceChildren(element("p", { class: "empty" },
      "No metrics: the page reads those of the recorder for Prometheus, which this process does not use."));
    return;
  }
  if (metrics.tables.length === 0) {
    parent.replaceChildren(element("p", { class: "empty" },
      "No requests yet. Rows appear with the first request through a MetricsLayer."));
    return;
  }
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const head = element("tr", {}, element("th", { scope: "col", class: "group" }, "Route or host"),
    element("th", { scope: "col", class: "spark" }, "Last 5 min"),
    ...COLUMNS.map((name) => element("th", { scope: "col", class: `number ${WIDE.includes(name) ? "wide" : ""}` }, name)));
  const table = element("table", { class: "red" }, element("thead", {}, head),
    ...metrics.tables.map((each) => body(each, onRoute)));
  const notes = [];
  if (metrics.hidden_rows > 0) notes.push(`${counted(metrics.hidden_rows, "more route or host is", "more routes and hosts are")} not shown.`);
  if (metrics.overflowed) notes.push("There are more series than the limit: the others are counted in one series, overflow.");
  parent.replaceChildren(table, ...notes.map((note) => element("p", { class: "note" }, note)));
  if (focused !== undefined) {
    [...parent.querySelectorAll("button")].find((button) => button.dataset.key === focused)?.focus({ preventScroll: true });
  }
}

function body(table, onRoute) {
  const side = table.side === "server" ? "Server" : "Client";
  const title = element("th", { colspan: "8", scope: "rowgroup" }, `${side} `, element("span", { class: "quiet" }, table.protocol),
    element("span", { class: "in-flight", title: "of all routes or hosts together" }, `${count(table.in_flight)} in flight`));
  const rows = [...table.rows].sort((a, b) => b.requests - a.requests || b.total - a.total);
  return element("tbody", {}, element("tr", { class: "title" }, title), ...rows.map((row) => line(table, row, onRoute)));
}

function line(table, row, onRoute) {
  const group = row.group === "" ? "unmatched" : row.group;
  const name = element("button", { type: "button", class: "name", title: `${row.method} ${row.group}`.trim() },
    row.method === "" ? null : element("span", { class: "method" }, row.method), group,
    row.in_flight > 0 ? element("span", { class: "target" }, `${count(row.in_flight)} in flight`) : null);
  name.dataset.key = `${table.side} ${table.protocol} ${row.method} ${row.group}`;
  if (table.side === "server" && !WITHOUT_ROUTE.includes(group)) {
    name.addEventListener("click", () => onRoute(group));
  } else {
    name.disabled = true;
  }
  const share = row.requests > 0 ? row.errors / row.requests : 0;
  const errors = row.errors > 0 ? `${count(row.errors)} · ${percent(share)}` : row.aborted > 0 ? null : "0";
  const isAborted = row.aborted > 0;
  const aborted = isAborted ? `; ${counted(row.aborted, "response was", "responses were")} aborted after the head` : "";
  const number = (text, extra = "") => element("td", { class: `number ${extra}` }, text);
  return element("tr", { class: row.requests === 0 ? "idle" : undefined },
    element("th", { scope: "row" }, name),
    element("td", { class: "spark" }, sparkline(row)),
    number(count(row.requests)),
    number(rate(row.rate), "wide"),
    element("td", { class: `number ${row.errors > 0 ? "bad" : ""}`,
      title: `${count(row.errors)} of ${counted(row.requests, "request")} failed${aborted}` }, errors,
    isAborted ? element("span", { class: "aborted" }, `${count(row.aborted)} aborted`) : null),
    number(quantile(row.p50)), number(quantile(row.p95), "wide"), number(quantile(row.p99)));
}

function percent(share) {
  const value = share * 100;
  return `${value >= 10 ? Math.round(value) : value.toFixed(1)} %`;
}

/** A quantile of too few requests is not known. */
function quantile(value) {
  if (value === null) return "–";
  const text = duration(value.seconds * 1e6);
  return value.bound === "" ? text : `${value.bound} ${short(text)}`;
}

/** Bars of requests, with the failed ones at the bottom. */
function sparkline(row) {
  const [step, height] = [3, 22];
  const most = Math.max(...row.points, 1);
  const label = `requests in each 5 seconds, ${count(Math.max(...row.points, 0))} at most`;
  const picture = svg("svg", { viewBox: `0 0 ${INTERVALS * step} ${height}`, role: "img", "aria-label": label, preserveAspectRatio: "none" });
  const base = svg("rect", { class: "base", x: 0, y: height - 1, width: INTERVALS * step, height: 1 });
  picture.append(base);
  const first = INTERVALS - row.points.length;
  row.points.forEach((requests, index) => {
    if (requests <= 0) return;
    const x = (first + index) * step;
    const bar = (value, name) => {
      const size = Math.max((value / most) * (height - 2), 1.5);
      picture.append(svg("rect", { class: name, x, y: height - size, width: step - 1, height: size }));
    };
    bar(requests, "all");
    const failed = row.failed[index] ?? 0;
    if (failed > 0) bar(failed, "failed");
  });
  return picture;
}
