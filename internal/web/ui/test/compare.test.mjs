import assert from "node:assert/strict";
import { test } from "node:test";
import { api, everyLook, open, scene } from "./harness.mjs";
import { cells, counted, eventually, mail, provider, stat, today } from "./stat.mjs";

const good = await provider("Carrier A");
const bad = await provider("Carrier B");
const many = (n, f) => Array.from({ length: n }, (_, i) => f(i));
await mail(good, [...many(12, (i) => `c${i}@example.net`), "x@gmail.com", "y@gmail.com"]);
await mail(bad, [...many(12, (i) => `HardBounce+c${i}.${bad.id}@bounce.sandbox.test`), "x@gmail.com", "y@gmail.com", `SoftBounce+c.${bad.id}@bounce.sandbox.test`]);
await counted(good, { sent: 14, delivered: 14 });
await counted(bad, { sent: 15, delivered: 2, hardBounced: 12, softBounced: 1 });

const at = `/compare?tpspId=${good.id},${bad.id}`;
const percent = (v) => { const p = v * 100; return (p === 0 || p === 100 ? p.toFixed(0) : p < 1 || p > 99 ? p.toFixed(2) : p.toFixed(1)) + " %"; };

test("cells have the API's rates and intervals, and say when a difference is none", async (t) => {
  const page = await open(t, at);
  const table = page.getByRole("table", { name: "Delivered by provider and mailbox provider" });
  await table.waitFor();
  const api7 = await api("GET", `/account/stat/compare?from=${today()}&to=${today()}&tpspId=${good.id},${bad.id}`);
  const rows = await cells(table);
  const heads = await table.locator("thead th").allInnerTexts();
  for (const e of api7.egresses) {
    const column = heads.indexOf(e.name);
    for (const [name, lane] of [["All mail", e.total], ["Everyone else", e.mailboxes.find((l) => l.provider === "default")], ["Gmail", e.mailboxes.find((l) => l.provider === "gmail")]]) {
      const cell = rows.find((r) => r[0] === name)[column];
      const { rate, low, high, count } = lane.delivered;
      assert.equal(cell, `${e.name} to ${name === "All mail" ? "all" : name}: ${percent(rate)} ${percent(low).replace(" %", "")}–${percent(high).replace(" %", "")} ${count} of ${lane.accepted}`);
    }
  }
  assert.equal(rows.find((r) => r[0] === "Everyone else").at(-1), `${good.name}: better than ${bad.name}`);
  assert.equal(rows.find((r) => r[0] === "Gmail").at(-1), "No significant difference");
});

test("a cell opens what is behind it, which survives a reload and leads to events", async (t) => {
  const page = await open(t, at);
  await page.getByRole("button", { name: new RegExp(`^${bad.name} to Everyone else`) }).click();
  const panel = page.getByRole("region", { name: `${bad.name} to Everyone else` });
  await panel.getByRole("table", { name: "Bounce reasons" }).waitFor();
  assert.deepEqual((await cells(panel.getByRole("table"))).sort(), [["HardBounce", "12", "0"], ["SoftBounce", "0", "1"]]);
  assert.equal(new URL(page.url()).searchParams.get("cell"), `tpsp-${bad.id}:default`);
  await page.reload();
  await panel.getByRole("table", { name: "Bounce reasons" }).waitFor();
  await panel.getByRole("definition").getByRole("link", { name: "12", exact: true }).click();
  await page.getByRole("heading", { level: 1, name: "Events" }).waitFor();
  const q = new URL(page.url()).searchParams;
  assert.deepEqual([q.get("via"), q.get("mailbox"), q.get("kind")], [`TPSP_${bad.id}`, "default", "hard bounced"]);
  await eventually(async () => assert.equal(await page.locator("main table tbody tr").count(), 12));
  await page.goBack();
  await panel.getByRole("table", { name: "Bounce reasons" }).getByRole("link", { name: "1", exact: true }).click();
  await page.getByRole("link", { name: "Remove the filter Why it bounced SoftBounce" }).waitFor();
  await eventually(async () => assert.equal(await page.locator("main table tbody tr").count(), 1));
});

test("another measure, another time, other providers: the address says it", async (t) => {
  const page = await open(t, at);
  await page.getByLabel("Measure").selectOption("hardBounced");
  const table = page.getByRole("table", { name: "Hard bounced by provider and mailbox provider" });
  await table.waitFor();
  assert.equal((await cells(table)).find((r) => r[0] === "Everyone else").at(-1), `${good.name}: fewer than ${bad.name}`);
  await page.getByLabel("Time", { exact: true }).selectOption("1");
  await eventually(async () => assert.equal(new URL(page.url()).searchParams.get("days"), "1"));
  await page.reload();
  await table.waitFor();
  assert.equal(await page.getByLabel("Measure").inputValue(), "hardBounced");
  await page.getByRole("button", { name: bad.name, exact: true }).click();
  await eventually(async () => assert.equal(await table.getByRole("columnheader").count(), 3));
  assert.equal(new URL(page.url()).searchParams.get("tpspId"), String(good.id));
});

test("times to deliver are the API's", async (t) => {
  const page = await open(t, at);
  const table = page.getByRole("table", { name: "Time to deliver and failovers" });
  await table.waitFor();
  const all = (await cells(table))[0];
  for (const cell of all.slice(1)) assert.match(cell, /^\d+(\.\d+)? m?s 95 %: \d+(\.\d+)? m?s 0 away, 0 in$/);
});

test("mail that nobody reports on is not compared", async (t) => {
  const server = scene.providers.find((p) => p.type === 6); // a mail server takes mail, and that is all that is heard of it
  await api("POST", "/subaccount/email/", { from: { email: "hello@example.com" }, to: [{ email: "x@gmail.com" }], subject: "Silence", textBody: "Hello", ippool: server.pool },
    { "X-SubAccount-ApiKey": scene.subAccounts[0].apiKey });
  await eventually(async () => assert.ok((await stat({ tpspId: server.id })).sent > 0));
  const page = await open(t, `/compare?tpspId=${good.id},${server.id}`);
  const table = page.getByRole("table", { name: "Delivered by provider and mailbox provider" });
  await table.waitFor();
  const gmail = (await cells(table)).find((r) => r[0] === "Gmail");
  assert.ok(gmail.some((c) => c.includes("nobody reports it")), gmail.join(" | "));
  assert.equal(gmail.at(-1), "nothing to compare");
});

test("the comparison in every look", async (t) => {
  await everyLook(t, `${at}&cell=tpsp-${bad.id}:default`, "compare", (page) => page.getByRole("table", { name: "Bounce reasons" }).waitFor());
});
