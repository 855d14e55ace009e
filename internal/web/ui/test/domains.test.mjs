import assert from "node:assert/strict";
import { test } from "node:test";
import { api, everyLook, open, scene } from "./harness.mjs";

const own = { "X-SubAccount-ApiKey": scene.subAccounts[0].apiKey };
const at = `/domains?subaccount=${scene.subAccounts[0].id}`;

test("a domain is added, its records are copied and looked for, and it is deleted", async (t) => {
  const page = await open(t, at);
  const name = `added-${Date.now()}.example.com`;
  await page.getByRole("button", { name: "Add a domain" }).click();
  const dialog = page.getByRole("dialog", { name: "Add a domain" });
  await dialog.getByLabel("Domain").fill("not a domain");
  await dialog.getByRole("button", { name: "Add the domain" }).click();
  await dialog.getByRole("alert").first().waitFor();
  await dialog.getByLabel("Domain").fill(name);
  await dialog.getByRole("button", { name: "Add the domain" }).click();
  const card = page.getByRole("region", { name });
  await card.getByText("not verified").waitFor();
  const made = (await api("GET", "/subaccount/domain", undefined, own)).find((d) => d.name === name);
  await card.getByRole("button", { name: `Copy the value of DKIM of ${name}` }).click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), made.dkim.textValue);
  await card.getByRole("button", { name: "Check now" }).click();
  await page.getByText(`records of ${name} are found`).waitFor({ timeout: 60_000 });
  await card.getByRole("button", { name: `Delete ${name}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await card.waitFor({ state: "detached" });
  assert.equal((await api("GET", "/subaccount/domain", undefined, own)).some((d) => d.name === name), false);
});

test("viewers look at domains, and each sub-account has its own", async (t) => {
  const made = await api("POST", "/subaccount/domain", { name: `looked-at-${Date.now()}.example.com` }, own);
  const page = await open(t, at, { as: "viewer" });
  await page.getByRole("region", { name: made.name }).waitFor();
  assert.equal(await page.locator("main").getByRole("button", { name: /Add|Check|Delete/ }).count(), 0);
  await page.goto("/domains?subaccount=2147483647");
  await page.getByRole("heading", { name: "Choose a sub-account" }).waitFor();
  await everyLook(t, at, "domains", (page) => page.getByRole("region", { name: made.name }).waitFor());
  await api("DELETE", `/subaccount/domain/${made.id}`, undefined, own);
});
