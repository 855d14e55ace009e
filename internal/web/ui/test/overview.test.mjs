import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { api, everyLook, open } from "./harness.mjs";
import { cells, eventually, mail, provider, stat, tile, today } from "./stat.mjs";

const run = promisify(execFile);
const own = await provider("Overview");
const [bounced] = await mail(own, [`HardBounce+${Date.now()}@bounce.sandbox.test`, "overview@gmail.com", "overview@yahoo.com"]);
await eventually(async () => assert.equal((await stat({ tpspId: own.id })).hardBounced, 1));

test("the numbers are the API's, and lead to the events behind them", async (t) => {
  const page = await open(t, "/");
  for (const [label, of] of [["Accepted today", (c) => c.processed], ["Delivered today", (c) => c.delivered], ["Bounced today", (c) => c.hardBounced + c.softBounced], ["Complaints today", (c) => c.spams]]) {
    // Other tests send mail meanwhile: the page follows.
    await eventually(async () => assert.equal(await tile(page, label).locator(".tile-value").innerText(), String(of(await stat({}))), label));
  }
  await tile(page, "Bounced today").click();
  await page.getByRole("heading", { level: 1, name: "Events" }).waitFor();
  const q = new URL(page.url()).searchParams;
  assert.equal(q.get("kind"), "hard bounced,soft bounced");
  const rows = page.locator("main table tbody tr");
  await rows.first().waitFor();
  const kinds = new Set((await cells(page.locator("main table"))).flat().filter((c) => /^(hard|soft) bounced$|^(delivered|sent|processed)$/.test(c)));
  assert.ok(kinds.has("hard bounced") && [...kinds].every((k) => k.endsWith(" bounced")), [...kinds].join());
  assert.equal(q.get("from"), today());
});

test("a bounce shows with the provider's words, and leads to its message", async (t) => {
  const page = await open(t, "/");
  const again = `HardBounce+again${Date.now()}@bounce.sandbox.test`;
  const [id] = await mail(own, [again]);
  const row = page.getByRole("table", { name: "Bounces and complaints" }).locator("tbody tr", { hasText: again });
  await row.waitFor();
  assert.match(await row.innerText(), /hard bounced[\s\S]*550/);
  await row.getByRole("link").click();
  await page.waitForURL(`**/messages/${id}`);
  assert.notEqual(id, bounced);
});

test("what somebody paused needs attention, and leads there; it goes when it is over", async (t) => {
  const paused = await provider("Out of use");
  await api("PUT", `/account/tpsp/${paused.id}`, { active: false });
  const page = await open(t, "/");
  const list = page.getByRole("list", { name: "Needs attention" });
  const link = list.getByRole("link", { name: paused.name }).first();
  await link.waitFor();
  assert.equal(await link.getAttribute("href"), `/providers/${paused.id}`);
  assert.match(await list.locator("li", { hasText: paused.name }).first().innerText(), /the provider is paused[\s\S]*"active": true/);
  await api("PUT", `/account/tpsp/${paused.id}`, { active: true });
  await link.waitFor({ state: "detached", timeout: 30_000 });
});

test("the command sends a message that shows at once", async (t) => {
  const page = await open(t, "/");
  await page.getByText("With curl").click();
  const code = page.locator(".code");
  await code.waitFor();
  await code.getByRole("button").click();
  const command = await page.evaluate(() => navigator.clipboard.readText());
  const to = `curl${Date.now()}@gmail.com`;
  assert.match(command, /^curl http/);
  const { stdout } = await run("sh", ["-c", command.replace("ana@gmail.com", to)]);
  const [{ messageId, errorCode }] = JSON.parse(stdout);
  assert.equal(errorCode, 0);
  const row = page.getByRole("table", { name: "Latest mail" }).locator("tbody tr", { hasText: to });
  await row.waitFor();
  await row.getByRole("link").click();
  await page.waitForURL(`**/messages/${messageId}`);
});

test("an examination shows that it goes on, and what it found", async (t) => {
  const page = await open(t, "/");
  await eventually(async () => { // one at a time for an account: another test may have asked
    await page.getByRole("button", { name: "Examine everything" }).click();
    await page.getByText("Every provider is asked").waitFor();
    await page.getByRole("table", { name: "Checks" }).waitFor({ timeout: 45_000 });
  }, 60_000);
});

test("an account without mail is led to its first", async (t) => {
  const page = await open(t, "/settings");
  const answers = { "/account/event/": [], "/account/throttles": [], "/account/stat": [], "/account/stat/aggregate/tpsp": [], "/account/ippool": [], "/account/templates": [],
    "/account/attention": [{ kind: "no_provider", severity: "fail", name: "demo", message: "no mail can leave: no provider is connected", fix: "connect one", tpspId: 0, ipId: 0, ipPoolId: 0, webhookId: 0, subAccountId: 0, since: 0, until: 0 }] };
  await page.route("**/api/v1/account/**", (route) => {
    const path = new URL(route.request().url()).pathname.replace("/api/v1", "");
    return path in answers ? route.fulfill({ json: answers[path] }) : route.continue();
  });
  await page.keyboard.press("g");
  await page.keyboard.press("o");
  const steps = page.getByRole("region", { name: "The first email" });
  await steps.waitFor();
  assert.equal(await steps.getByRole("listitem").count(), 4);
  assert.equal(await steps.getByRole("link", { name: "Connect a provider" }).getAttribute("href"), "/providers/new");
  await steps.locator(".code").waitFor();
  assert.match(await steps.locator(".code").innerText(), /curl http/);
});

test("a viewer sees all of it, and no key", async (t) => {
  const page = await open(t, "/", { as: "viewer" });
  await page.getByRole("table", { name: "Providers" }).waitFor();
  await page.getByText("With curl").click();
  await page.locator(".code").waitFor();
  assert.match(await page.locator(".code").innerText(), /X-SubAccount-ApiKey: \$SUB_ACCOUNT_KEY/);
});

test("the overview in every look", async (t) => {
  await everyLook(t, "/", "overview", (page) => page.getByRole("table", { name: "Providers" }).waitFor());
});
