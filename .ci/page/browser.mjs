// Drives a headless Chromium through its DevTools protocol, over a pipe.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The limit of each wait. */
const TIMEOUT = 30_000;

/** A browser with one page. Collects what the page must not do: errors, and requests to anywhere else. */
export class Browser {
  #process;
  #directory;
  #session;
  #next = 1;
  #pending = new Map();
  #problems = [];
  #origin = "";

  static async start() {
    const browser = new Browser();
    browser.#directory = mkdtempSync(join(tmpdir(), "page-"));
    const options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe",
      "--disable-background-networking", "--disable-component-update", `--user-data-dir=${browser.#directory}`, "about:blank"];
    browser.#process = spawn(process.env.CHROMIUM ?? "chromium", options, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    browser.#read(browser.#process.stdio[4]);
    const { targetInfos } = await browser.#send("Target.getTargets");
    const { targetId } = targetInfos.find((target) => target.type === "page");
    const { sessionId } = await browser.#send("Target.attachToTarget", { targetId, flatten: true });
    browser.#session = sessionId;
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await browser.#send(`${domain}.enable`);
    await browser.#send("Emulation.setScrollbarsHidden", { hidden: true });
    return browser;
  }

  #read(pipe) {
    let text = "";
    pipe.setEncoding("utf8");
    pipe.on("data", (data) => {
      text += data;
      let end;
      while ((end = text.indexOf("\0")) >= 0) {
        const message = JSON.parse(text.slice(0, end));
        text = text.slice(end + 1);
        const pending = this.#pending.get(message.id);
        this.#pending.delete(message.id);
        if (message.error) pending?.reject(new Error(message.error.message));
        else if (message.id !== undefined) pending?.resolve(message.result);
        else this.#event(message);
      }
    });
  }

  #event({ method, params }) {
    if (method === "Runtime.exceptionThrown") this.#problems.push(`exception: ${params.exceptionDetails.exception?.description ?? params.exceptionDetails.text}`);
    if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(params.type)) {
      this.#problems.push(`console: ${params.args.map((arg) => arg.value ?? arg.description).join(" ")}`);
    }
    if (method === "Log.entryAdded" && ["error", "warning"].includes(params.entry.level)) this.#problems.push(`log: ${params.entry.text} ${params.entry.url ?? ""}`);
    if (method === "Network.requestWillBeSent" && !params.request.url.startsWith(`${this.#origin}/`)) this.#problems.push(`request to ${params.request.url}`);
    if (method === "Page.javascriptDialogOpening") this.#problems.push(`dialog: ${params.message}`);
  }

  #send(method, params = {}) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId: this.#session })}\0`);
    });
  }

  async open(url) {
    this.#origin = new URL(url).origin;
    await this.#send("Page.navigate", { url });
  }

  async resize(width, height, scheme) {
    await this.#send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
    await this.#send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  }

  /** Returns the value of an expression in the page. */
  async evaluate(expression) {
    const result = await this.#send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true, userGesture: true });
    if (result.exceptionDetails) throw new Error(`${expression}: ${result.exceptionDetails.exception?.description}`);
    return result.result.value;
  }

  /** Waits until an expression is true, and returns its value. */
  async until(what, expression) {
    const end = Date.now() + TIMEOUT;
    let last;
    while (Date.now() < end) {
      try {
        last = await this.evaluate(expression);
        if (last) return last;
      } catch (error) {
        last = error.message;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const text = await this.evaluate("document.body.innerText").catch(() => "");
    throw new Error(`not seen in ${TIMEOUT / 1000} s: ${what} (${last})\n${text}`);
  }

  /** Types a key, such as Tab or Enter. */
  async key(key, code) {
    for (const type of ["keyDown", "keyUp"]) {
      await this.#send("Input.dispatchKeyEvent", { type, key, code: key, windowsVirtualKeyCode: code, text: key === "Enter" && type === "keyDown" ? "\r" : undefined });
    }
  }

  async screenshot(path, full = false) {
    const { data } = await this.#send("Page.captureScreenshot", { format: "png", captureBeyondViewport: full });
    writeFileSync(path, Buffer.from(data, "base64"));
  }

  /** Fails if the page has done what it must not do. */
  check() {
    if (this.#problems.length > 0) throw new Error(`the page is not clean:\n${this.#problems.join("\n")}`);
  }

  async close() {
    await this.#send("Browser.close").catch(() => {});
    await new Promise((resolve) => (this.#process.exitCode === null ? this.#process.once("exit", resolve) : resolve()));
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

export function assert(condition, text) {
  if (!condition) throw new Error(text);
}
