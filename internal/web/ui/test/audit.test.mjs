import assert from "node:assert/strict";
import { test } from "node:test";
import { api, everyLook, open, scene } from "./harness.mjs";

const hostile = `"><img src=x onerror=alert(1)><script>alert(2)</script>`;

test("the audit log tells who changed what, with what stood there before", async (t) => {
  const name = `audited ${Date.now()} ${hostile}`;
  const label = await api("POST", "/account/label", { name, color: "red" });
  await api("PUT", `/account/label/${label.id}`, { name: name + " 2", color: "blue" });
  const page = await open(t, "/audit");
  await page.getByRole("searchbox", { name: "Search", exact: true }).fill(name);
  const changed = page.getByRole("row").filter({ hasText: "change a label" });
  await changed.waitFor();
  assert.match(await changed.textContent(), /red.*→.*blue/);
  assert.equal(new URL(page.url()).searchParams.get("search"), name);
  assert.equal(await page.locator("img[src=x]").count(), 0);
  await page.getByLabel("Operation").fill("create a label");
  await changed.waitFor({ state: "detached" });
  await page.getByRole("row").filter({ hasText: "create a label" }).waitFor();
  await page.reload();
  await page.getByRole("row").filter({ hasText: "create a label" }).waitFor();
  await page.getByLabel("Who").selectOption("member");
  await page.getByText("No change fits these filters.").waitFor();
  await page.getByRole("link", { name: "Show all" }).first().click();
  await page.getByRole("row").filter({ hasText: "change a label" }).first().waitFor();
  await api("DELETE", `/account/label/${label.id}`);
});

test("sign-ins are told, with their address, and what a member does by the dashboard", async (t) => {
  const page = await open(t, "/audit?operation=sign+in&search=" + encodeURIComponent(scene.dashboard.email));
  const row = page.getByRole("row").filter({ hasText: "sign in to the dashboard" }).first();
  await row.waitFor();
  assert.match(await row.textContent(), /owner from (127\.0\.0\.1|::1)/);
});

test("the audit log in every look", async (t) => everyLook(t, "/audit", "audit", (page) => page.getByRole("table").waitFor()));
