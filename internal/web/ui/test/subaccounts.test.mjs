import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, api, everyLook, open, scene, settled } from "./harness.mjs";

let made = 0;

/** Makes a sub-account of its own for a test; its name cannot be another test's. */
async function sub(name, parentId) {
  const s = await api("POST", "/account/subaccount", { name: `${name} ${process.pid}-${++made}` });
  if (parentId) await api("PUT", `/account/subaccount/${s.id}/hierarchy`, { parentId });
  return s;
}

const place = (id) => api("GET", `/account/subaccount/${id}/hierarchy`);

async function send(key) {
  const answer = await fetch(scene.url + "/api/v1/subaccount/email/", {
    method: "POST", headers: { "X-SubAccount-ApiKey": key, "Content-Type": "application/json" },
    body: JSON.stringify({ from: { email: "hello@example.com" }, to: [{ email: "ana@gmail.com" }], subject: "Hi", textBody: "Hi", ippool: scene.pool, tpspTemplate: scene.template }),
  });
  return { status: answer.status, body: await answer.json() };
}

test("sub-accounts look right as a tree", async (t) => {
  const shop = await sub("shop <b>bold</b>");
  const low = await sub("Berlin", shop.id);
  await api("PUT", `/account/subaccount/${shop.id}/hierarchy`, { ratePerHour: 3 });
  for (let i = 0; i < 2; i++) assert.equal((await send(low.apiKey)).status, 200);
  const paused = await sub("quiet", shop.id);
  await api("POST", `/account/subaccount/${paused.id}/pause`);
  const blocked = await sub("spammer", low.id);
  await api("POST", `/account/subaccount/${blocked.id}/block`, { reason: "complaints" });
  const ready = (page) => page.getByRole("link", { name: low.name }).first().waitFor();
  await everyLook(t, "/subaccounts", "subaccounts", ready);
  await everyLook(t, `/subaccounts/${shop.id}`, "subaccount", (page) => page.getByRole("heading", { name: "Place and limit" }).waitFor());
  await everyLook(t, `/subaccounts/${blocked.id}`, "subaccount-blocked", (page) => page.getByRole("alert").first().waitFor());
});

test("statistics are its own, or with all below", async (t) => {
  const top = await sub("summed");
  const low = await sub("below", top.id);
  for (const key of [top.apiKey, low.apiKey, low.apiKey]) assert.equal((await send(key)).status, 200);
  const page = await open(t, `/subaccounts/${top.id}`);
  const tile = page.locator(".tile", { has: page.locator(".tile-label", { hasText: /^Processed$/ }) });
  const shows = async (value, about) => {
    await tile.getByText(about).waitFor();
    assert.equal(await tile.locator(".tile-value").innerText(), value);
  };
  const sum = async (name) => {
    const figure = page.getByRole("figure", { name, exact: true });
    await figure.getByText("As a table").click();
    return (await figure.locator("tbody tr").first().locator("td").allInnerTexts())[1];
  };
  await shows("1", "3 with all below");
  assert.equal(await sum(`Mail of ${top.name} by day`), "1");
  await page.getByRole("navigation", { name: "Whose" }).getByRole("link", { name: "With all below" }).click();
  await shows("3", "1 of its own");
  assert.equal(await sum(`Mail of ${top.name} and all below by day`), "3");
  await page.getByRole("link", { name: "30 days" }).click();
  await page.reload();
  await shows("3", "1 of its own");
  assert.equal(new URL(page.url()).searchParams.get("with"), "all");
  await accessible(page);
});

test("a sub-account is made, renamed, put under another one, and deleted", async (t) => {
  const top = await sub("top");
  const page = await open(t, "/subaccounts");
  await page.getByRole("button", { name: "New sub-account" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill(top.name);
  await dialog.getByRole("button", { name: "Make it" }).click();
  await dialog.getByRole("alert").waitFor(); // the name is taken
  const name = `made ${process.pid}`;
  await dialog.getByLabel("Name").fill(name);
  await accessible(page);
  await dialog.getByRole("button", { name: "Make it" }).click();
  await page.getByRole("heading", { name, level: 1 }).waitFor();
  const id = Number(new URL(page.url()).pathname.split("/").pop());
  await page.getByLabel(`${name} stands under`).selectOption({ value: String(top.id) });
  await page.getByRole("navigation", { name: "Above it" }).getByRole("link", { name: top.name }).waitFor();
  assert.equal((await place(id)).parentId, top.id);
  await page.getByRole("button", { name: "Rename" }).click();
  await page.getByRole("dialog").getByLabel("Name").fill(name + " anew");
  await page.getByRole("dialog").getByRole("button", { name: "Rename" }).click();
  await page.getByRole("heading", { name: name + " anew", level: 1 }).waitFor();

  // One under which another stands is not deleted, and cannot be put under it.
  await page.getByRole("navigation", { name: "Above it" }).getByRole("link", { name: top.name }).click();
  await page.getByRole("heading", { name: top.name, level: 1 }).waitFor();
  const choices = await page.getByLabel(`${top.name} stands under`).locator("option").allTextContents();
  assert.ok(!choices.some((c) => c.includes(name)), choices.join());
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByText("move them first").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();

  await page.goto(`/subaccounts/${id}`);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("heading", { name: "Sub-accounts", level: 1 }).waitFor();
  await page.goto(`/subaccounts/${id}`);
  await page.getByText("There is no such sub-account.").waitFor();
});

test("a limit is changed where it stands, and shows how much is taken", async (t) => {
  const s = await sub("limited");
  assert.equal((await send(s.apiKey)).status, 200);
  const page = await open(t, `/subaccounts?q=${encodeURIComponent(s.name)}`);
  await page.getByRole("button", { name: `Edit the limit of ${s.name}` }).click();
  const box = page.getByLabel(`Limit an hour of ${s.name}, 0 for none`);
  await box.fill("-1");
  await box.press("Enter");
  assert.equal((await place(s.id)).ratePerHour, 0);
  await box.fill("250");
  await box.press("Enter");
  await page.getByRole("meter", { name: `of the limit of ${s.name} taken` }).waitFor();
  await page.getByText(/\d of 250/).waitFor();
  assert.equal((await place(s.id)).ratePerHour, 250);
});

test("a sub-account is blocked with a reason, refuses, and sends again", async (t) => {
  const top = await sub("blockable");
  const low = await sub("below", top.id);
  const page = await open(t, `/subaccounts/${top.id}`);
  await page.getByRole("button", { name: `Block ${top.name}` }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("also for all sub-accounts below").waitFor();
  await dialog.getByLabel("Reason").fill("too many complaints");
  await accessible(page);
  await dialog.getByRole("button", { name: "Block", exact: true }).click();
  await page.getByText(`the sub-account "${top.name}" is blocked: too many complaints`).waitFor();
  const refused = await send(low.apiKey);
  assert.equal(refused.status, 403);
  assert.equal(refused.body.code, "sub_account_blocked");
  await page.goto(`/subaccounts?q=${encodeURIComponent(low.name)}`);
  await page.getByText(`Blocked with ${top.name}`).waitFor();
  await page.goto(`/subaccounts/${top.id}`);
  await page.getByRole("button", { name: `Unblock ${top.name}` }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Unblock" }).click();
  await page.getByRole("button", { name: `Block ${top.name}`, exact: true }).waitFor();
  assert.equal((await send(low.apiKey)).status, 200);
});

test("a sub-account is paused and resumed from the list", async (t) => {
  const s = await sub("pausable");
  const page = await open(t, `/subaccounts?q=${encodeURIComponent(s.name)}`);
  await page.getByRole("button", { name: `Pause ${s.name}` }).click();
  await page.getByRole("button", { name: `Resume ${s.name}` }).click();
  await page.getByRole("button", { name: `Pause ${s.name}` }).waitFor();
  assert.equal((await place(s.id)).paused, false);
});

test("keys are masked until they are asked for, and copied without that", async (t) => {
  const s = await sub("secret");
  const page = await open(t, `/subaccounts?q=${encodeURIComponent(s.name)}`);
  const copy = page.getByRole("button", { name: `Copy the key of ${s.name}` });
  await copy.waitFor();
  assert.ok(!(await page.content()).includes(s.apiKey));
  await copy.click();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), s.apiKey);
  await page.getByRole("button", { name: `Reveal the key of ${s.name}` }).click();
  await page.getByText(s.apiKey).waitFor();
});

test("labels are made and given", async (t) => {
  const s = await sub("labelled");
  const page = await open(t, `/subaccounts/${s.id}`);
  const label = `gold ${process.pid}`;
  await page.getByLabel("New label").fill(label);
  await page.getByRole("button", { name: "Add" }).click();
  const box = page.getByRole("checkbox", { name: label });
  await box.waitFor();
  await page.waitForFunction((name) => [...document.querySelectorAll("label")].some((l) => l.textContent === name && l.querySelector("input").checked), label);
  assert.deepEqual((await api("GET", `/account/subaccount/${s.id}`)).labels.map((l) => l.name), [label]);
});

test("viewers see no keys and no buttons", async (t) => {
  const s = await sub("seen");
  const page = await open(t, `/subaccounts?q=${encodeURIComponent(s.name)}`, { as: "viewer" });
  await page.getByRole("link", { name: s.name }).waitFor();
  await settled(page);
  for (const name of ["New sub-account", `Pause ${s.name}`, `Block ${s.name}`, `Reveal the key of ${s.name}`, `Edit the limit of ${s.name}`]) {
    assert.equal(await page.getByRole("button", { name }).count(), 0, name);
  }
  assert.ok(!(await page.content()).includes(s.apiKey));
  await page.goto(`/subaccounts/${s.id}`);
  await page.getByRole("heading", { name: "Place and limit" }).waitFor();
  await settled(page);
  assert.equal(await page.getByRole("button", { name: "Delete" }).count(), 0);
  assert.ok(!(await page.content()).includes(s.apiKey));
});
