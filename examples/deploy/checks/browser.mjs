// Opens a page in headless Chromium, evaluates an expression until it is true, and writes a screenshot:
//
//   node browser.mjs URL EXPRESSION SCREENSHOT
//
// Prints JSON: the last value of the expression, and the errors of the page.
import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const [url, expression, screenshot] = process.argv.slice(2);
const TIMEOUT = 60_000;
const profile = mkdtempSync(join(tmpdir(), "chromium-"));
const chromium = spawn("chromium", [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1400,1100",
    `--user-data-dir=${profile}`, "--remote-debugging-pipe", "about:blank",
], { detached: true, stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
chromium.stdio[3].on("error", () => {}); // It has exited, which is noticed below.

// The protocol over a pipe: messages are JSON, and end with a zero byte.
const pending = new Map();
const errors = [];
const on = {
    "Runtime.exceptionThrown": ({ exceptionDetails: { text, exception } }) => errors.push(exception?.description ?? text),
    "Runtime.consoleAPICalled": ({ type, args }) => {
        if (type === "error" || type === "assert") errors.push(args.map((arg) => arg.value ?? arg.description).join(" "));
    },
    "Log.entryAdded": ({ entry: { level, text, url } }) => {
        if (level === "error") errors.push(`${text} ${url ?? ""}`);
    },
};
let buffer = "";
chromium.stdio[4].setEncoding("utf8").on("data", (data) => {
    const messages = (buffer + data).split("\0");
    buffer = messages.pop();
    for (const { id, method, params, result, error } of messages.map((message) => JSON.parse(message))) {
        if (id === undefined) on[method]?.(params);
        else if (error) pending.get(id).reject(new Error(error.message));
        else pending.get(id).resolve(result);
    }
});

let last = 0;
function send(method, params = {}, sessionId = undefined) {
    const id = ++last;
    chromium.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
    return new Promise((resolve, reject) => pending.set(id, { resolve, reject }));
}

async function open() {
    const { targetId } = await send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
    const page = (method, params) => send(method, params, sessionId);
    await page("Runtime.enable");
    await page("Log.enable");
    await page("Page.enable");
    await page("Page.navigate", { url });
    let value;
    for (const end = Date.now() + TIMEOUT; Date.now() < end && !value; await sleep(200)) {
        value = (await page("Runtime.evaluate", { expression, returnByValue: true })).result.value;
    }
    writeFileSync(screenshot, (await page("Page.captureScreenshot")).data, "base64");
    return value;
}

const timeout = sleep(2 * TIMEOUT, undefined, { ref: false }).then(() => {
    throw new Error("Chromium does not respond");
});
const exited = new Promise((_, reject) => chromium.on("error", reject).on("exit", (code) => reject(new Error(`Chromium exited: ${code}`))));
exited.catch(() => {});
try {
    const value = await Promise.race([open(), timeout, exited]);
    console.log(JSON.stringify({ value: value ?? null, errors }));
} finally {
    await Promise.race([send("Browser.close").then(() => exited), exited, sleep(10_000, undefined, { ref: false })]).catch(() => {});
    try {
        // Its helpers may outlive it, and write to the profile.
        process.kill(-chromium.pid, "SIGKILL");
    } catch {
        // All have exited.
    }
    await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
}
