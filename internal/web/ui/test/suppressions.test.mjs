import assert from "node:assert/strict";
import { test } from "node:test";
import { api, everyLook, open, saved, scene } from "./harness.mjs";

const own = { "X-SubAccount-ApiKey": scene.subAccounts[0].apiKey };
const at = `/suppressions?subaccount=${scene.subAccounts[0].id}`;
const today = new Date().toISOString().slice(0, 10);
const suppressed = async (search) => (await api("GET", `/subaccount/suppression/count?search=${search}`, undefined, own)).count;

test("addresses are suppressed, found, exported, and reactivated", async (t) => {
  const one = `a${Date.now()}@example.com`;
  const two = `b${Date.now()}@example.com`;
  const page = await open(t, at);
  await page.getByRole("button", { name: "Suppress addresses" }).click();
  const dialog = page.getByRole("dialog", { name: "Suppress addresses" });
  await dialog.getByLabel("Addresses").fill("nobody");
  await dialog.getByRole("button", { name: "Suppress" }).click();
  await dialog.getByRole("alert").first().waitFor();
  await dialog.getByLabel("Addresses").fill(`${one}\n${two}`);
  await dialog.getByLabel("Reason").selectOption("unsubscribe");
  await dialog.getByRole("button", { name: "Suppress" }).click();
  await page.getByText("2 addresses are suppressed.").waitFor();
  await page.getByRole("searchbox", { name: "Search", exact: true }).fill(one);
  const row = page.getByRole("row").filter({ hasText: one });
  await row.getByText("unsubscribed").waitFor();
  await page.getByRole("row").filter({ hasText: two }).waitFor({ state: "detached" });
  await page.getByLabel("Reason", { exact: true }).first().selectOption("manual");
  await page.getByText("No suppression of this sub-account fits.").waitFor();
  await page.getByLabel("Reason", { exact: true }).first().selectOption("");
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export CSV" }).click()]);
  assert.match(await saved(file), new RegExp(one));
  await row.getByRole("button", { name: `Reactivate ${one}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Reactivate" }).click();
  await row.waitFor({ state: "detached" });
  assert.equal(await suppressed(one), 0);
  assert.equal(await suppressed(two), 1);
});

test("a file is checked before it is imported, and refused lines are shown", async (t) => {
  const one = `c${Date.now()}@example.com`;
  const page = await open(t, at);
  await page.getByRole("button", { name: "Import CSV" }).click();
  const dialog = page.getByRole("dialog", { name: "Import addresses" });
  await dialog.getByLabel("File", { exact: true }).setInputFiles({ name: "list.csv", mimeType: "text/csv", buffer: Buffer.from(`email\n${one}\n<script>alert(1)</script>\n`) });
  await dialog.getByRole("button", { name: "Check the file" }).click();
  await dialog.getByText("1 address can be read.").waitFor();
  await dialog.getByRole("table", { name: "Lines that are left out" }).getByRole("row").nth(1).waitFor();
  assert.equal(await suppressed(one), 0);
  await dialog.getByRole("button", { name: "Import" }).click();
  await dialog.getByText("1 of 1 address is suppressed now.").waitFor();
  assert.equal(await suppressed(one), 1);
  await dialog.getByRole("button", { name: "Close" }).click();
  await page.getByRole("row").filter({ hasText: one }).waitFor();
});

test("the lists of providers are brought in step", async (t) => {
  const page = await open(t, at);
  await page.getByRole("button", { name: "Sync with providers" }).click();
  await page.getByRole("button", { name: "Sync now" }).click();
  await page.getByRole("table", { name: "What came of it" }).waitFor({ timeout: 60_000 });
});

test("viewers look at suppressions and export them", async (t) => {
  await api("POST", "/subaccount/suppression", { manual: [{ email: "looked-at@example.com" }] }, own);
  const page = await open(t, at, { as: "viewer" });
  await page.getByText("looked-at@example.com").waitFor();
  assert.equal(await page.locator("main").getByRole("button", { name: /Suppress|Import|Sync|Reactivate/ }).count(), 0);
  await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Export CSV" }).click()]);
  await everyLook(t, `${at}&to=${today}`, "suppressions", (page) => page.getByText("looked-at@example.com").waitFor());
});
