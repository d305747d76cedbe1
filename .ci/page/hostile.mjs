// The page with hostile texts in every field: node hostile.mjs PAGE TEXT
import { Browser, assert } from "./browser.mjs";

const [page, hostile] = process.argv.slice(2);
const has = (selector, least = 1) =>
  `[...document.querySelectorAll(${JSON.stringify(selector)})].filter((node) => node.textContent.includes(${JSON.stringify(hostile)})).length >= ${least}`;

const browser = await Browser.start();
try {
  await browser.resize(1280, 1000, "light");
  await browser.open(page);
  for (const [what, selector, least] of [
    ["the service", "h1"], ["the route of a row", ".red .name"], ["the method of a row", ".red .method"],
    ["the name of a trace", ".item .name"], ["the status of a trace", ".item .code"], ["a route of the filter", "#route option"],
    ["the target of a client", ".item .name.quiet"],
  ]) {
    await browser.until(what, has(selector, least));
  }
  await browser.until("the kind of an error", "[...document.querySelectorAll('.item .code')].some((code) => code.textContent === 'panic')");
  await browser.evaluate("document.querySelector('.item').click(); true");
  for (const [what, selector, least] of [
    ["the name of a span", ".row .span-name"], ["the title of the trace", "h3"], ["the status message", ".detail .error"],
    ["key and value of an attribute", ".attributes th, .attributes td", 4], ["an event", ".events .message"],
    ["a field of an event", ".events .field"], ["an attribute of a link", ".detail div td"],
  ]) {
    await browser.until(what, has(selector, least));
  }
  // The search sends it to the server and back.
  await browser.evaluate(`document.getElementById("text").value = ${JSON.stringify(hostile)}; document.getElementById("filter").dispatchEvent(new Event("input")); true`);
  await browser.until("the trace with the text", "document.querySelectorAll('.item').length > 0");

  // Nothing of it has become an element or has run.
  const strange = await browser.evaluate("document.querySelectorAll('img, iframe, script:not([src=\"page.js\"]), object, embed, base, style, a').length");
  assert(strange === 0, `${strange} elements that the page does not have`);
  assert(await browser.evaluate("window.hacked === undefined"), "a script has run");
  // The policy refuses HTML from texts, also if the page tried.
  browser.check();
  const refused = await browser.evaluate("(() => { try { document.body.innerHTML = '<b>x</b>'; return false; } catch { return true; } })()");
  assert(refused, "innerHTML is accepted");
} finally {
  await browser.close();
}
console.log("hostile texts are inert");
