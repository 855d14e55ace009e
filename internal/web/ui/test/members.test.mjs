import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, api, everyLook, fresh, open, scene, settled, watch } from "./harness.mjs";

test("members look right", (t) => everyLook(t, "/members", "members", (page) => page.getByRole("table", { name: "Members" }).waitFor()));

test("a member is invited, joins by the link, gets another role, and is removed", async (t) => {
  const email = `ana-${process.pid}@example.com`;
  const page = await open(t, "/members");
  await page.getByRole("button", { name: "Invite" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Email").fill(email);
  await dialog.getByLabel("Name").fill("Ana");
  await dialog.getByLabel("Role").selectOption("viewer");
  await accessible(page);
  await dialog.getByRole("button", { name: "Make the invitation" }).click();
  const shown = page.getByRole("dialog", { name: "A link for Ana" });
  await shown.waitFor();
  await accessible(page);
  await shown.getByRole("button", { name: "Copy" }).click();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(link, /\/join#\S+$/);
  await shown.getByRole("button", { name: "Done" }).click();
  const row = page.getByRole("row").filter({ hasText: email });
  await row.getByText("Invited").waitFor();

  const context = await fresh();
  t.after(() => context.close());
  const theirs = await context.newPage();
  const faults = watch(theirs);
  const to = new URL(link);
  await theirs.goto(scene.url + to.pathname + to.hash);
  await theirs.getByLabel(/password/i).first().fill("a long enough password");
  await theirs.getByRole("button", { name: /join/i }).click();
  await theirs.getByRole("navigation", { name: "Pages" }).waitFor();
  await theirs.goto("/members");
  await theirs.getByText("Owners invite, change and remove members.").waitFor();
  assert.equal(await theirs.getByRole("button", { name: "Invite" }).count(), 0);

  await page.reload();
  await row.getByText("Joined").waitFor();
  await row.getByLabel(`Role of ${email}`).selectOption("admin");
  await page.getByText(`${email} is admin now.`).waitFor();
  assert.equal((await api("GET", "/account/member")).find((m) => m.email === email).role, "admin");
  await row.getByRole("button", { name: `New link for ${email}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Done" }).click();
  await row.getByRole("button", { name: `Remove ${email}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await row.waitFor({ state: "detached" });
  assert.equal((await context.request.get("/web/session")).status(), 401);
  assert.deepEqual(faults, []);
});

test("the last owner stays", async (t) => {
  const page = await open(t, "/members");
  const mine = `Remove ${scene.dashboard.email}`;
  await page.getByRole("button", { name: mine }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await page.getByRole("dialog").getByRole("alert").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await settled(page);
  assert.ok(await page.getByRole("button", { name: mine }).count());
});

test("viewers see members and no buttons", async (t) => {
  const page = await open(t, "/members", { as: "viewer" });
  await page.getByRole("table", { name: "Members" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Invite" }).count(), 0);
  assert.equal(await page.getByRole("combobox", { name: /^Role of/ }).count(), 0);
});
