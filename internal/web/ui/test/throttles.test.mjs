import assert from "node:assert/strict";
import { test } from "node:test";
import { api, everyLook, open } from "./harness.mjs";
import { cells, eventually, mail, provider } from "./stat.mjs";

const limited = await provider("Throttled", { mailboxLimits: { gmail: 2 }, ratePerHour: 50 });
await mail(limited, [1, 2, 3, 4, 5].map((n) => `throttled${n}@gmail.com`));
await mail(limited, ["throttled@yahoo.com", "throttled@icloud.com"]);
const lanes = await eventually(async () => {
  const [t] = await api("GET", `/account/throttles?tpspId=${limited.id}`);
  const gmail = t.lanes.find((l) => l.provider === "gmail");
  assert.equal(gmail?.waiting, 3);
  assert.equal(gmail.taken, 2);
  assert.equal(t.total.taken, 4);
  return t;
});

test("a limit makes mail wait, and the page says why and until when", async (t) => {
  const page = await open(t, `/throttles?tpspId=${limited.id}`);
  const table = page.getByRole("table", { name: `Lanes of ${limited.name}` });
  await table.waitFor();
  const rows = await cells(table);
  const gmail = rows.find((r) => r[0] === "Gmail");
  assert.equal(gmail[1], "2 of 2");
  assert.equal(gmail[2], "3");
  assert.match(gmail[4], /the provider's limit of 2 messages an hour to gmail is reached/);
  const until = lanes.lanes.find((l) => l.provider === "gmail").waits[0].until;
  const at = await page.evaluate((ns) => new Date(ns / 1e6).toTimeString().slice(0, 8), until);
  assert.match(gmail[4], new RegExp(`the next leaves in (1 h|59 min|60 min|61 min).*\\(${at}\\)`));
  assert.deepEqual(rows.filter((r) => r[0] !== "Gmail").map((r) => [r[0], r[1], r[2]]), [["Yahoo", "1 no limit", "0"], ["iCloud", "1 no limit", "0"]]);
  assert.match(await page.getByRole("region", { name: limited.name }).locator("header").innerText(), /4 of 50/);
  await table.getByRole("link", { name: "3", exact: true }).click();
  await page.getByRole("heading", { level: 1, name: "Messages" }).waitFor();
  assert.equal(new URL(page.url()).searchParams.get("q"), `status:queued provider:TPSP_${limited.id} mailbox:gmail`);
});

test("what waits alone is shown when it is asked for, also after a reload", async (t) => {
  const page = await open(t, `/throttles?tpspId=${limited.id}`);
  const table = page.getByRole("table", { name: `Lanes of ${limited.name}` });
  await table.waitFor();
  await page.getByLabel("Only what waits").check();
  await eventually(async () => assert.equal((await cells(table)).length, 1));
  assert.equal(new URL(page.url()).searchParams.get("waiting"), "1");
  await page.reload();
  await table.waitFor();
  assert.ok(await page.getByLabel("Only what waits").isChecked());
  assert.equal((await cells(table)).length, 1);
});

test("a viewer sees the same", async (t) => {
  const page = await open(t, `/throttles?tpspId=${limited.id}`, { as: "viewer" });
  const table = page.getByRole("table", { name: `Lanes of ${limited.name}` });
  await table.waitFor();
  assert.equal((await cells(table)).find((r) => r[0] === "Gmail")[2], "3");
});

test("a paused pool is named, and leads to the pool; resumed, its mail leaves while one looks", async (t) => {
  const paused = await provider("Paused pool");
  await api("POST", `/account/ippool/${paused.poolId}/pause`);
  await mail(paused, ["held@yahoo.com", "held@gmail.com"]);
  const page = await open(t, `/throttles?tpspId=${paused.id}&waiting=1`);
  const why = page.getByRole("link", { name: `the IP pool "${paused.pool}" is paused` });
  await why.first().waitFor();
  assert.equal(await why.count(), 2);
  assert.equal(await why.first().getAttribute("href"), `/ippools/${paused.poolId}`);
  await api("POST", `/account/ippool/${paused.poolId}/resume`);
  await page.getByText("No mail waits").waitFor();
});

test("throttles in every look", async (t) => {
  await everyLook(t, `/throttles?tpspId=${limited.id}`, "throttles", (page) => page.getByRole("table", { name: `Lanes of ${limited.name}` }).waitFor());
});

test("a limit that is raised lets mail go while one looks", async (t) => {
  const page = await open(t, `/throttles?tpspId=${limited.id}`);
  const table = page.getByRole("table", { name: `Lanes of ${limited.name}` });
  await table.waitFor();
  await api("PUT", `/account/tpsp/${limited.id}`, { mailboxLimits: { gmail: 20 } });
  await eventually(async () => assert.deepEqual((await cells(table)).find((r) => r[0] === "Gmail").slice(0, 3), ["Gmail", "5 of 20", "0"]));
});
