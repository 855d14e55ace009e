// What browser tests share: the demo's scene, a browser, signed-in pages of both widths and themes, pictures, and the rules of accessibility.
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { after } from "node:test";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const shots = process.env.SHOTS ?? join(here, "../shots");
const axeSource = await readFile(join(here, "../node_modules/axe-core/axe.min.js"), "utf8");

/** What `postyard demo --json` printed. */
export const scene = JSON.parse(await readFile(process.env.POSTYARD_SCENE, "utf8"));

export const wide = { width: 1440, height: 900 };
export const narrow = { width: 390, height: 844 };

let browser;
const contexts = new Map();
after(async () => {
  await browser?.close();
});

/** The browser that the run has started for all files: to start one costs more than to look at a page. */
async function connected() {
  browser ??= await chromium.connect(process.env.POSTYARD_BROWSER);
  return browser;
}

/** A browser of its own, in which nobody is signed in. */
export async function fresh(options = {}) {
  const context = await (await connected()).newContext({ baseURL: scene.url, viewport: wide, permissions: ["clipboard-read", "clipboard-write"], reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(15_000);
  return context;
}

/** The password that the demo gives its viewer. */
const members = { owner: scene.dashboard, viewer: { email: "viewer@example.com", password: scene.dashboard.password } };

/** Signed in once for each member and file. Pages of one member share what a browser keeps: the second finds the program in its cache, as people do. */
async function signedIn(who) {
  if (!contexts.has(who)) {
    contexts.set(who, (async () => {
      const context = await fresh();
      const answer = await context.request.post("/web/session", { data: members[who] });
      assert.equal(answer.status(), 200, await answer.text());
      return context;
    })());
  }
  return contexts.get(who);
}

/**
 * Opens a page of the dashboard for a test and closes it after it: open(t, "/events", { size: narrow, theme: "dark", as: "viewer" }).
 * A fault of the page's program or a breach of its content security policy fails the test, unless what the browser says of it is expected.
 */
export async function open(t, path, { size = wide, theme = "light", as = "owner", expects } = {}) {
  const page = await (await signedIn(as)).newPage();
  const faults = watch(page, expects);
  t.after(async () => {
    await page.close();
    assert.deepEqual(faults, []);
  });
  await page.setViewportSize(size);
  await page.emulateMedia({ colorScheme: theme });
  await page.goto(path);
  await page.locator("h1").first().waitFor();
  return page;
}

/** Collects what a page does wrong, but for what is expected. */
export function watch(page, expects = /Failed to load resource/) {
  const faults = [];
  page.on("pageerror", (e) => faults.push(`fault: ${e.stack ?? e}`));
  page.on("console", (m) => {
    if (m.type() === "error" && !expects.test(m.text())) faults.push(`console: ${m.text()}`);
  });
  page.on("dialog", async (d) => {
    faults.push(`dialog: ${d.message()}`);
    await d.dismiss();
  });
  return faults;
}

/** Waits until nothing is being loaded. */
export async function settled(page) {
  await page.waitForLoadState("load");
  await page.waitForFunction(() => !document.querySelector("[aria-busy=true]"));
}

/** What a page gave to be saved, as text. */
export async function saved(download) {
  const pieces = [];
  for await (const piece of await download.createReadStream()) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}

/** Takes a picture of the whole page, kept with the run. */
export async function shot(page, name) {
  await settled(page);
  await mkdir(shots, { recursive: true });
  await page.screenshot({ path: join(shots, name + ".png"), fullPage: true, animations: "disabled" });
}

/** Finds what people with impairments would stumble over; nothing serious may be there. */
export async function accessible(page) {
  await settled(page);
  await page.evaluate(axeSource);
  const found = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations);
  const grave = found.filter((v) => v.impact === "serious" || v.impact === "critical");
  assert.deepEqual(grave.map((v) => `${v.id}: ${v.help}: ${v.nodes.slice(0, 4).map((n) => n.html.slice(0, 200)).join(" | ")}`), []);
}

/** The page must not be wider than its window: nobody scrolls sideways on a telephone. */
export async function fits(page) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `the page is ${over} px wider than the window`);
}

const looks = [[wide, 1440, "light"], [narrow, 390, "dark"]];
if (process.env.LOOKS === "all") looks.push([narrow, 390, "light"], [wide, 1440, "dark"]);

/**
 * Looks at a page, wide in light and narrow in dark: it is whole, fits, is accessible, and has its picture taken. With LOOKS=all both widths are
 * seen in both themes. ready(page) may wait for what must be there.
 */
export async function everyLook(t, path, name, ready = async () => {}) {
  const page = await open(t, path);
  for (const [size, width, theme] of looks) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme: theme });
    await ready(page);
    await shot(page, `${name}-${width}-${theme}`);
    await fits(page);
    await accessible(page);
  }
}

/** Calls the API as the account does, to make what a test needs. */
export async function api(method, path, body, headers = { "X-Account-ApiKey": scene.accountApiKey }) {
  const answer = await fetch(scene.url + "/api/v1" + path, { method, headers: { ...headers, "Content-Type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : undefined;
}

/** Sends an email of the first sub-account; what is given goes over the demo's first email. Returns the message's id. */
export async function send(email = {}) {
  const [sent] = await api("POST", "/subaccount/email/", {
    from: { email: "hello@example.com", name: "Postyard demo" }, to: [{ email: "ana@gmail.com", name: "Ana" }], subject: "Welcome", ippool: scene.pool,
    tpspTemplate: scene.template, customFields: { name: "Ana" }, groups: ["welcome"], ...email,
  }, { "X-SubAccount-ApiKey": scene.subAccounts[0].apiKey });
  return sent.messageId;
}
