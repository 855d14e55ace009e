import assert from "node:assert/strict";
import { test } from "node:test";
import { api, everyLook, open, scene } from "./harness.mjs";
import { cells, counted, eventually, mail, provider, stat, tile, today } from "./stat.mjs";

const own = await provider("Analytics");
const tag = `analytics-${own.id}`;
const ids = await mail(own, ["a@gmail.com", "b@gmail.com", "c@yahoo.com", "d@icloud.com"], { groups: [tag] });
await mail(own, [`HardBounce+${tag}@bounce.sandbox.test`, `SoftBounce+${tag}@bounce.sandbox.test`], { groups: [tag] });
await counted(own, { sent: 6, delivered: 4, hardBounced: 1, softBounced: 1 });
for (const kind of ["open", "click"]) await happen(ids[0], kind);
await counted(own, { opened: 1, clicked: 1 });

async function happen(messageId, kind) {
  const { messages: [m] } = await (await fetch(`${scene.sandboxUrl}/sandbox/messages?messageId=${messageId}`)).json();
  const answer = await fetch(`${scene.sandboxUrl}/sandbox/messages/${m.id}/events`, { method: "POST", body: JSON.stringify({ kind }) });
  assert.ok(answer.ok, await answer.text());
}

const at = `/analytics?tpspId=${own.id}`;
const value = (page, label) => tile(page, label).locator(".tile-value").innerText();

test("totals are the API's and lead to the events", async (t) => {
  const page = await open(t, at);
  const want = await stat({ tpspId: own.id });
  for (const [label, key] of Object.entries({ Accepted: "processed", Sent: "sent", Delivered: "delivered", "Hard bounced": "hardBounced", "Soft bounced": "softBounced", Opened: "opened", Clicked: "clicked", Complaints: "spams" })) {
    await eventually(async () => assert.equal(await value(page, label), String(want[key]), label));
  }
  const unique = await api("GET", `/account/stat/aggregate/engagement?from=${today()}&to=${today()}&tpspId=${own.id}`);
  await eventually(async () => assert.match(await tile(page, "Opened").innerText(), new RegExp(`${unique.uniqueOpened} unique`)));
  await tile(page, "Hard bounced").click();
  await page.getByRole("heading", { level: 1, name: "Events" }).waitFor();
  const q = new URL(page.url()).searchParams;
  assert.equal(q.get("via"), `TPSP_${own.id}`);
  assert.equal(q.get("kind"), "hard bounced");
  await eventually(async () => assert.equal(await page.locator("main table tbody tr").count(), want.hardBounced));
});

test("the table beside the chart has the same numbers; the arrow keys read them", async (t) => {
  const page = await open(t, at);
  const figure = page.getByRole("figure", { name: "Counts by day" });
  await figure.getByText("As a table").click();
  const table = figure.getByRole("table", { name: "Counts by day" });
  await eventually(async () => assert.deepEqual((await cells(table))[0], [today(), "6", "4", "1", "1", "1", "1"]));
  assert.equal((await cells(table)).length, 7);
  const chart = figure.getByRole("img");
  await chart.focus();
  await page.keyboard.press("End");
  await eventually(async () => assert.match(await figure.locator(".chart-keys").innerText(), new RegExp(`Sent\\s*6[\\s\\S]*Delivered\\s*4[\\s\\S]*${today()}`)));
  await page.keyboard.press("ArrowLeft");
  await eventually(async () => assert.match(await figure.locator("[aria-live]").innerText(), /Sent 0, Delivered 0/));
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Events" }).waitFor();
  assert.equal(new URL(page.url()).searchParams.get("from"), today());
});

test("rates over time", async (t) => {
  const page = await open(t, at);
  await page.getByRole("link", { name: "Rates" }).click();
  const figure = page.getByRole("figure", { name: "Rates by day" });
  await figure.getByText("As a table").click();
  await eventually(async () => assert.deepEqual((await cells(figure.getByRole("table")))[0], [today(), "66.7 %", "16.7 %", "16.7 %", "0 %"]));
});

test("what it breaks down into has the API's numbers; names filter, filters survive a reload and can be taken off", async (t) => {
  const page = await open(t, at);
  await page.getByRole("navigation", { name: "Broken down by" }).getByRole("link", { name: "Mailbox provider" }).click();
  const table = page.getByRole("table", { name: "By mailbox provider" });
  await table.waitFor();
  const rows = await cells(table);
  const want = await api("GET", `/account/stat/aggregate/provider?from=${today()}&to=${today()}&tpspId=${own.id}`);
  assert.equal(rows.length, want.length);
  assert.deepEqual(rows.find((r) => r[0] === "Gmail").slice(1, 4), ["2", "2", "2"]);
  await table.getByRole("link", { name: "Gmail" }).click();
  await eventually(async () => assert.equal(await value(page, "Delivered"), "2"));
  assert.equal(new URL(page.url()).searchParams.get("provider"), "gmail");
  await page.reload();
  await eventually(async () => assert.equal(await value(page, "Delivered"), "2"));
  assert.equal(await page.getByLabel("Mailbox provider", { exact: true }).inputValue(), "gmail");
  assert.equal(new URL(await tile(page, "Delivered").getAttribute("href"), page.url()).searchParams.get("mailbox"), "gmail");
  await page.getByRole("link", { name: "Remove the filter Mailbox provider Gmail" }).click();
  await eventually(async () => assert.equal(await value(page, "Delivered"), "4"));
  await page.getByLabel("Event", { exact: true }).selectOption({ label: "Delivered" });
  await eventually(async () => assert.equal(await page.locator(".tiles-stat .tile").count(), 1));
  assert.ok(new URL(page.url()).searchParams.get("type").includes("71"));
});

test("groups: of a provider, and one by its name", async (t) => {
  const page = await open(t, `${at}&by=group`);
  const table = page.getByRole("table", { name: "By group" });
  await table.waitFor();
  assert.deepEqual((await cells(table)).map((r) => r.slice(0, 4)), [[tag, "6", "6", "4"]]);
  await table.getByRole("link", { name: tag }).click();
  await eventually(async () => assert.equal(await value(page, "Delivered"), "4"));
  assert.equal(new URL(page.url()).searchParams.get("group"), tag);
  await page.reload();
  await eventually(async () => assert.equal(await value(page, "Sent"), "6"));
});

test("reasons of bounces, times, and who opened", async (t) => {
  const page = await open(t, at);
  const reasons = page.getByRole("table", { name: "Why mail bounced" });
  await reasons.waitFor();
  assert.deepEqual((await cells(reasons)).sort(), [["HardBounce", "1", "0"], ["SoftBounce", "0", "1"]]);
  const delay = await api("GET", `/account/stat/aggregate/delay?from=${today()}&to=${today()}&tpspId=${own.id}`);
  const times = page.getByRole("region", { name: "Time to deliver" });
  await times.getByText(`of ${delay.delivered} deliveries`).waitFor();
  for (const [by, name] of [["device", "Device"], ["client", "Program"], ["os", "System"], ["country", "Country"]]) {
    await page.getByRole("navigation", { name: "Opens and clicks by" }).getByRole("link", { name }).click();
    const table = page.getByRole("table", { name: `Opens and clicks by ${name.toLowerCase()}` });
    await table.waitFor();
    const want = await api("GET", `/account/stat/aggregate/${by}?from=${today()}&to=${today()}&tpspId=${own.id}`);
    assert.deepEqual(await cells(table), want.map((r) => [r[by], String(r.opened), String(r.uniqueOpened), String(r.clicked), String(r.uniqueClicked)]));
  }
});

test("a longer time, and days of one's own", async (t) => {
  const page = await open(t, `${at}&days=92`);
  await eventually(async () => assert.equal(await value(page, "Sent"), "6"));
  await page.getByLabel("Time", { exact: true }).selectOption("own");
  await page.getByLabel("From", { exact: true }).fill(today());
  await eventually(async () => assert.equal(new URL(page.url()).searchParams.get("from"), today()));
  await eventually(async () => assert.equal(await value(page, "Sent"), "6"));
});

test("behind the number of a reason, and of a device, are as many events", async (t) => {
  await mail(own, [`SoftBounce+again-${tag}@bounce.sandbox.test`, `Blocked+${tag}@bounce.sandbox.test`]);
  await eventually(async () => {
    const reasons = await api("GET", `/account/stat/aggregate/reason?from=${today()}&to=${today()}&tpspId=${own.id}`);
    assert.equal(reasons.reduce((n, r) => n + r.hardBounced + r.softBounced, 0), 4);
  });
  await happen(ids[0], "open"); // no second unique one
  await happen(ids[1], "open");
  await counted(own, { opened: 3 });
  const page = await open(t, at);
  const behind = async (table, row, cell, chips) => {
    await page.goto(at);
    const link = page.getByRole("table", { name: table }).locator("tbody tr", { has: page.getByRole("cell", { name: row, exact: true }) }).getByRole("cell").nth(cell).getByRole("link");
    await link.waitFor();
    const number = Number(await link.innerText());
    await link.click();
    await page.getByRole("heading", { level: 1, name: "Events" }).waitFor();
    await eventually(async () => assert.equal(await page.locator("main table tbody tr").count(), number));
    await page.getByText(number === 1 ? "1 event" : `${number} events`, { exact: true }).waitFor();
    assert.deepEqual((await page.getByRole("list", { name: "What they count under" }).getByRole("link").allInnerTexts()).map((c) => c.replace(/\s+/g, " ")), chips);
    return number;
  };
  assert.equal(await behind("Why mail bounced", "SoftBounce", 2, ["Remove the filter Why it bounced SoftBounce ×"]), 2);
  const [device] = await api("GET", `/account/stat/aggregate/device?from=${today()}&to=${today()}&tpspId=${own.id}`);
  assert.equal(await behind("Opens and clicks by device", device.device, 1, [`Remove the filter Device ${device.device} ×`]), device.opened);
  assert.equal(await behind("Opens and clicks by device", device.device, 2, [`Remove the filter Device ${device.device} ×`, "Remove the filter Of each message only the first ×"]), device.uniqueOpened);
  assert.ok(device.uniqueOpened < device.opened);
  await page.getByRole("link", { name: "Remove the filter Of each message" }).click(); // a chip takes its filter off
  await eventually(async () => assert.equal(await page.locator("main table tbody tr").count(), device.opened));
  await page.reload();
  assert.equal(new URL(page.url()).searchParams.get("device"), device.device);
  await eventually(async () => assert.equal(await page.locator("main table tbody tr").count(), device.opened));
});

test("analytics in every look", async (t) => {
  await everyLook(t, at, "analytics", (page) => page.getByRole("table", { name: "Why mail bounced" }).waitFor());
});
