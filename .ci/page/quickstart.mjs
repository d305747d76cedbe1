// What somebody does with the page while the quickstart runs: node quickstart.mjs PAGE SHOP [DIRECTORY FOR SCREENSHOTS]
import { setTimeout as pause } from "node:timers/promises";
import { Browser, assert } from "./browser.mjs";

const [page, shop, screenshots] = process.argv.slice(2);

async function send(method, path) {
  const response = await fetch(`${shop}${path}`, { method, headers: { connection: "close" } });
  await response.text();
  return response.status;
}

/** Returns an expression that is the first element of a selector with a text. */
const withText = (selector, text) =>
  `[...document.querySelectorAll(${JSON.stringify(selector)})].find((node) => node.textContent.includes(${JSON.stringify(text)}))`;

const browser = await Browser.start();
try {
  await browser.resize(1280, 1180, "light");
  await browser.open(page);
  await browser.until("the stream is connected", "document.getElementById('connection').textContent === 'live'");
  await browser.until("the service", "document.querySelector('h1').textContent === 'quickstart'");

  // A live update: the row of a route counts a request that is sent now, and its trace appears.
  const requests = `Number(${withText(".red tr", "/orders/{sku}")}?.cells[2].textContent)`;
  const before = await browser.until("the row of a route", requests);
  assert((await send("POST", "/orders/lamp")) === 201, "the order failed");
  await browser.until("one more request in the row", `${requests} === ${before + 1}`);
  await browser.until("the errors of a route", `${withText(".red tr", "/reports/{year}")}?.cells[4].textContent === "1 · 100 %"`);
  await browser.until("the aborted response of a route", `${withText(".red tr", "/exports/{lines}")}?.cells[4].textContent === "1 aborted"`);
  for (const [route, status] of [["/exports/{lines}", "200 aborted"], ["/reports/{year}", "cancelled"]]) {
    await browser.until(`the error of ${route}`, `${withText(".item", route)}?.querySelector(".code").textContent === ${JSON.stringify(status)}`);
  }
  await browser.until("no p99 of few requests", `${withText(".red tr", "/orders/{sku}")}?.cells[7].textContent === "–"`);

  // The trace by keyboard, and its waterfall.
  await browser.evaluate(`document.getElementById("route").value = "/orders/{sku}"; document.getElementById("filter").dispatchEvent(new Event("input")); true`);
  await browser.until("the traces of a route only", "[...document.querySelectorAll('.item .name')].every((name) => name.textContent.includes('/orders/'))");
  await browser.evaluate("document.querySelector('.item').focus(); true");
  await browser.key("Enter", 13);
  await browser.until("the ten spans of an order", "document.querySelectorAll('.row').length === 10");
  const names = await browser.evaluate("[...document.querySelectorAll('.row .span-name')].map((name) => name.firstChild.textContent)");
  for (const name of ["POST /orders/{sku}", "offer", "price lookup", "GET /items/{sku}", "read shelf", "charge card"]) {
    assert(names.includes(name), `no span ${name} in ${names}`);
  }
  assert(await browser.evaluate("document.querySelectorAll('.segment').length > 3"), "no critical path");
  assert(await browser.evaluate(`${withText(".row", "charge card")}.querySelector(".segment") !== null`), "the last span is not critical");
  assert(await browser.evaluate(`${withText(".row", "price lookup")}.querySelector(".segment")?.offsetWidth ?? 0`) < 40, "a span beside a longer one is critical");
  await browser.evaluate(`${withText(".row", "POST /orders")}.focus(); true`);
  await browser.key("ArrowDown", 40);
  await browser.until("the next span in detail", "document.querySelector('.detail h4').textContent === document.querySelectorAll('.row')[1].querySelector('.span-name').firstChild.textContent");
  const traceparent = await browser.evaluate("document.querySelector('.detail .id code').textContent");
  assert(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]$/.test(traceparent), `no traceparent: ${traceparent}`);
  await browser.until("the trace in the address", "location.hash.length === 33");

  // An error, found by filter.
  assert((await send("GET", "/products/broken")) === 502, "no error");
  await browser.evaluate("document.getElementById('reset').click(); true");
  await browser.evaluate("document.getElementById('status').value = '5'; document.getElementById('filter').dispatchEvent(new Event('input')); true");
  await browser.until("the failed trace only", "[...document.querySelectorAll('.item .code')].length > 0 && [...document.querySelectorAll('.item .code')].every((code) => code.textContent.startsWith('5'))");
  await browser.evaluate("document.querySelector('.item').click(); true");
  await browser.until("failed spans in red", "document.querySelectorAll('.row.failed .cerror').length >= 2");
  await browser.until("the error in detail", `${withText(".attributes tr", "error.type")} !== undefined`);

  // The search finds an attribute that the list does not show.
  await browser.evaluate("document.getElementById('reset').click(); true");
  await browser.evaluate("document.getElementById('text').value = '/ITEMS/broken'; document.getElementById('filter').dispatchEvent(new Event('input')); true");
  await browser.until("the traces with the text", "document.querySelectorAll('.item').length > 0 && [...document.querySelectorAll('.item')].every((item) => item.title.includes('/products/broken'))");
  await browser.evaluate("document.getElementById('text').value = 'no such text'; document.getElementById('filter').dispatchEvent(new Event('input')); true");
  await browser.until("no trace with the text", "document.getElementById('list').textContent === 'No trace matches the filter.'");
  await browser.evaluate("document.getElementById('reset').click(); true");

  // Paused, nothing moves; then everything is there.
  await browser.until("all traces again", "document.querySelectorAll('.item').length > 3");
  await browser.evaluate("document.getElementById('pause').click(); true");
  const shown = await browser.evaluate("document.getElementById('list').textContent");
  assert((await send("POST", "/orders/desk")) === 201, "the order failed");
  await pause(2500);
  assert((await browser.evaluate("document.getElementById('list').textContent")) === shown, "the list moves while it is paused");
  await browser.evaluate("document.getElementById('pause').click(); true");
  await browser.until("the new trace", `document.getElementById('list').textContent !== ${JSON.stringify(shown)}`);

  // A setting is changed.
  const setKeep = (text) => `(() => { const input = document.getElementById("set-keep"); input.value = ${JSON.stringify(text)}; input.dispatchEvent(new Event("input")); input.nextElementSibling.click(); return true; })()`;
  await browser.evaluate(setKeep("errors,per_second=7"));
  await browser.until("the new keep rules", "[...document.querySelectorAll('.result')].some((result) => result.textContent === 'Set.')");
  assert((await browser.evaluate("document.getElementById('set-keep').value")) === "errors,per_second=7", "other keep rules");

  // Both widths, light and dark: nothing is wider than the screen.
  await browser.evaluate(`${withText(".item", "/orders/{sku}")}.click(); true`);
  await browser.until("the waterfall again", "document.querySelectorAll('.row').length === 10");
  for (const width of [1280, 400]) {
    for (const scheme of ["light", "dark"]) {
      await browser.resize(width, width === 400 ? 900 : 1180, scheme);
      const widest = await browser.evaluate("document.documentElement.scrollWidth");
      assert(widest <= width, `${widest} pixels on a screen of ${width}`);
      if (screenshots) await browser.screenshot(`${screenshots}/page-${width}-${scheme}.png`, width === 400);
    }
  }
  browser.check();
} finally {
  await browser.close();
}
console.log("the page shows the quickstart");
