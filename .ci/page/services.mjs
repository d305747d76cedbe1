// A trace of three services: node services.mjs PAGE TRACE [DIRECTORY FOR SCREENSHOTS]
import { Browser, assert } from "./browser.mjs";

const [page, trace, screenshots] = process.argv.slice(2);
const services = ["api-server", "reality-server", "jobs"];

const browser = await Browser.start();
try {
  await browser.resize(1280, 1180, "light");
  await browser.open(`${page}/#${trace}`);
  const legend = "[...document.querySelectorAll('.legend li')].map((item) => item.textContent)";
  await browser.until("all services", `${JSON.stringify(services)}.every((service) => ${legend}.includes(service))`);
  await browser.until("the job", "[...document.querySelectorAll('.row')].some((row) => row.textContent.includes('process publish_listing'))");
  // The bar of a span has the color of its service.
  const colors = await browser.evaluate(`(() => {
    const color = (name) => getComputedStyle([...document.querySelectorAll(".row")].find((row) => row.textContent.includes(name)).querySelector(".span-bar")).backgroundColor;
    return [color("POST /properties/{id}/description"), color("GET /listings"), color("process publish_listing")];
  })()`);
  assert(new Set(colors).size === 3, `the services have the colors ${colors}`);
  if (screenshots) await browser.screenshot(`${screenshots}/services.png`);
  browser.check();
} finally {
  await browser.close();
}
console.log("the page shows a trace across services");
