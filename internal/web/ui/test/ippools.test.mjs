import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, api, everyLook, fits, narrow, open, scene, settled, shot } from "./harness.mjs";

const [postmark, sendgrid, ses] = scene.providers;
let last = 0;
const fresh = () => `pool-${process.pid}-${++last}`;
const make = (body) => api("POST", "/account/ippool", { name: fresh(), tpsps: [postmark.id], warmupInterval: 24, ...body });
const share = (page, label, name) => page.getByRole("region", { name: label, exact: true }).getByRole("listitem").filter({ hasText: name });

test("a pool is made by hand: members, shares that make up the whole, where it leads; the preview follows", async (t) => {
  const name = fresh();
  const page = await open(t, "/ippools");
  await page.getByRole("link", { name: "New IP pool" }).click();
  await page.getByRole("heading", { name: "New IP pool" }).waitFor();
  const create = page.getByRole("button", { name: "Create the IP pool" });
  assert.ok(await create.isDisabled());
  const add = page.getByRole("combobox", { name: "Add a provider or IP" });
  for (const p of [postmark, sendgrid, ses]) await add.selectOption({ label: p.name });
  await share(page, "All mail", postmark.name).getByText("33.").waitFor();

  await page.getByRole("radio", { name: /^By volume/ }).check();
  await page.getByRole("spinbutton", { name: `Share of ${postmark.name} in percent` }).fill("70");
  const others = await Promise.all([sendgrid, ses].map((p) => page.getByRole("spinbutton", { name: `Share of ${p.name} in percent` }).inputValue()));
  assert.equal(others.reduce((sum, v) => sum + Number(v), 0), 30, `the others share the rest: ${others}`);
  await share(page, "All mail", postmark.name).getByText("70.0 %").waitFor();
  await page.getByRole("slider", { name: `Share of ${ses.name}` }).fill("0");
  await share(page, "All mail", ses.name).waitFor({ state: "detached" });

  await page.getByLabel("Name of the pool").fill(name);
  await page.getByLabel("Overflow into").selectOption(scene.fallbackPool);
  await page.getByRole("combobox", { name: /^Add a pool/ }).selectOption(scene.pool);
  await page.getByLabel("Priority").fill("7");
  await page.getByLabel("Seconds that it may wait").fill("3600");
  await shot(page, "ippool-new-1440-light");
  await accessible(page);
  await create.click();
  await page.getByRole("heading", { name, level: 1 }).waitFor();
  const [made] = await api("GET", `/account/ippool/search?search=${name}`).catch(() => api("GET", `/account/ippool?search=${name}`));
  const stored = await api("GET", `/account/ippool/${made.id}`);
  assert.equal(stored.routingStrategy, 2);
  const volumes = JSON.parse(stored.routingMetaData);
  assert.equal(Object.values(volumes).reduce((sum, v) => sum + Number(v), 0), 100);
  assert.equal(volumes[`TPSP_${postmark.id}`] > 0 && volumes[`TPSP_${ses.id}`], "0");
  assert.equal(stored.overflowPoolName, scene.fallbackPool);
  assert.deepEqual(stored.toAccountIPPools.map((p) => p.name), [scene.pool]);
  assert.deepEqual(await api("GET", `/account/ippool/${made.id}/settings`), { priority: 7, paused: false, ttlSeconds: 3600 });
  assert.equal(new URL(page.url()).pathname, `/ippools/${made.id}`);
});

test("where an address would go is told for what is edited, with reasons and who is passed over", async (t) => {
  const pool = await make({ tpsps: [postmark.id, ses.id] });
  const page = await open(t, `/ippools/${pool.id}`);
  await page.getByText("as saved").waitFor();
  await page.getByLabel("To", { exact: true }).fill("ana@gmail.com");
  await page.getByLabel("From", { exact: true }).fill("hello@example.com");
  const plan = page.getByRole("region", { name: "Plan" });
  await plan.getByText(/round robin over 2/).waitFor();
  assert.equal(await plan.getByRole("list", { name: "Tried in this order" }).getByRole("listitem").count(), 2);

  // Not saved yet, and already answered: Gmail goes to SES alone.
  await page.getByRole("radio", { name: /^By mailbox provider/ }).check();
  await page.getByRole("combobox", { name: "Add a mailbox provider" }).selectOption({ label: "Gmail" });
  const row = page.getByRole("group", { name: "Gmail" });
  await row.getByRole("checkbox", { name: postmark.name }).uncheck();
  await row.getByRole("checkbox", { name: ses.name }).check();
  await page.getByText("not saved yet").waitFor();
  await plan.getByText(/by mailbox provider: gmail/).waitFor();
  await plan.getByRole("listitem").first().getByText(ses.name).waitFor();
  await share(page, "Gmail", ses.name).getByText("100 %").waitFor();
  await share(page, "All other mailbox providers", postmark.name).getByText("50.0 %").waitFor();
  await page.getByText("no others", { exact: true }).waitFor();

  // Without a template Postmark is passed over.
  await page.getByLabel("Message", { exact: true }).selectOption("raw");
  await page.getByLabel("To", { exact: true }).fill("bob@example.org");
  await plan.getByRole("list", { name: "Passed over" }).getByText(postmark.name).waitFor();
  await shot(page, "ippool-explain-1440-light");
  await accessible(page);
  const address = new URL(page.url());
  assert.deepEqual(["to", "from", "kind"].map((k) => address.searchParams.get(k)), ["bob@example.org", "hello@example.com", "raw"]);
  assert.equal((await api("GET", `/account/ippool/${pool.id}`)).routingStrategy, 0, "nothing is stored by looking");

  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("as saved").waitFor();
  const stored = await api("GET", `/account/ippool/${pool.id}`);
  assert.deepEqual([stored.routingStrategy, stored.routingMetaData], [1, `{"0":"[\\"TPSP_${ses.id}\\"]"}`]);
});

test("sending domains have rows; a refusal stands where it belongs; changes are discarded", async (t) => {
  const pool = await make({ tpsps: [postmark.id, ses.id] });
  const page = await open(t, `/ippools/${pool.id}`);
  await page.getByRole("radio", { name: /^By sending domain/ }).check();
  await page.getByRole("button", { name: "Add a domain" }).click();
  await page.getByRole("textbox", { name: "Sending domain" }).fill("shop.example");
  await page.getByRole("group", { name: "All other domains" }).getByRole("checkbox", { name: ses.name }).check();
  await share(page, "shop.example", postmark.name).getByText("100 %").waitFor();
  await share(page, "All other domains", ses.name).getByText("100 %").waitFor();

  await page.getByRole("textbox", { name: "Sending domain" }).fill("");
  await page.getByText("not possible so").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByRole("button", { name: "Discard the changes" }).click();
  await page.getByText("as saved").waitFor();
  assert.ok(await page.getByRole("radio", { name: /^Round robin/ }).isChecked());
});

test("members are put in order by buttons, by the keyboard, and by dragging", async (t) => {
  const pool = await make({ tpsps: [postmark.id, sendgrid.id, ses.id] });
  const page = await open(t, `/ippools/${pool.id}`);
  const order = async () => (await page.getByRole("list", { name: "Members" }).getByRole("listitem").allInnerTexts()).map((s) => Number(/TPSP_(\d+)/.exec(s)[1]));
  await page.getByRole("button", { name: `Move ${ses.name} up` }).focus();
  await page.keyboard.press("Enter");
  assert.deepEqual(await order(), [postmark.id, ses.id, sendgrid.id]);
  await page.getByRole("list", { name: "Members" }).getByRole("listitem").nth(2).dragTo(page.getByRole("list", { name: "Members" }).getByRole("listitem").nth(0));
  assert.deepEqual(await order(), [sendgrid.id, postmark.id, ses.id]);
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("as saved").waitFor();
  assert.deepEqual((await api("GET", `/account/ippool/${pool.id}`)).thirdPartySendingProviders.map((m) => m.id), [sendgrid.id, postmark.id, ses.id]);

  // A new name alone leaves the count of turns alone: nothing else is sent.
  const sent = page.waitForRequest((r) => r.method() === "PUT");
  await page.getByLabel("Name of the pool").fill(fresh());
  await page.getByRole("button", { name: "Save" }).click();
  assert.deepEqual(Object.keys((await sent).postDataJSON()), ["name"]);
});

test("a pool pauses, goes on, and is deleted; what keeps it says so", async (t) => {
  const pool = await make({});
  const over = await make({ overflowStrategy: 1, overflowPoolName: pool.name });
  const page = await open(t, `/ippools?q=${pool.name}`);
  await page.getByRole("button", { name: `Pause ${pool.name}` }).click();
  await page.getByText("Paused", { exact: true }).waitFor();
  assert.equal((await api("GET", `/account/ippool/${pool.id}/settings`)).paused, true);
  await page.getByRole("link", { name: pool.name }).click();
  await page.getByText("pool paused", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Delete" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Delete" }).click();
  await dialog.getByText(over.name).waitFor();
  await accessible(page);
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await api("DELETE", `/account/ippool/${over.id}`);

  // Mail of it waits: then it is deleted by force only.
  await api("POST", "/subaccount/email/", { from: { email: "hello@example.com" }, to: [{ email: "a@example.net" }], subject: "Waits", ippool: pool.name, tpspTemplate: scene.template, customFields: { name: "A" } },
    { "X-SubAccount-ApiKey": scene.subAccounts[0].apiKey });
  await page.getByRole("button", { name: "Delete" }).click();
  await dialog.getByRole("button", { name: "Delete", exact: true }).click();
  await dialog.getByRole("button", { name: "Delete all the same" }).click();
  await page.getByRole("heading", { name: "IP pools", level: 1 }).waitFor();
  assert.equal((await api("GET", `/account/ippool?search=${pool.name}`)).length, 0);
});

test("IP pools are in the navigation and under the profile", async (t) => {
  const page = await open(t, "/settings");
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "IP pools" }).click();
  await page.getByRole("heading", { name: "IP pools", level: 1 }).waitFor();
  await page.goto("/settings");
  await page.getByRole("button", { name: /^Profile of/ }).click();
  await page.getByRole("link", { name: "IP Pools", exact: true }).click();
  await page.getByRole("heading", { name: "IP pools", level: 1 }).waitFor();
});

test("hostile names do no harm", async (t) => {
  const pool = await make({ name: `<script>document.title="owned"</script> \u202E ${"w".repeat(180)} ${process.pid}` });
  for (const path of ["/ippools?q=owned", `/ippools/${pool.id}?to=${encodeURIComponent('"<b>"@example.net')}&from=${"x".repeat(3000)}`]) {
    const page = await open(t, path, { size: narrow });
    await settled(page);
    await page.getByText("<script>").first().waitFor({ state: "attached" });
    await fits(page);
  }
  await api("DELETE", `/account/ippool/${pool.id}`);
});

test("viewers see pools, shares and plans, and cannot change anything", async (t) => {
  const pool = await make({ tpsps: [postmark.id, ses.id], routingStrategy: 2, routingMetaData: `{"TPSP_${postmark.id}":"75","TPSP_${ses.id}":"25"}` });
  for (const path of ["/ippools", `/ippools/${pool.id}?to=ana@gmail.com`]) {
    const page = await open(t, path, { as: "viewer" });
    await settled(page);
    for (const name of [/Pause/, /Save/, /Delete/, /^Move/, /^Take/, /Equal/]) assert.equal(await page.getByRole("button", { name }).count(), 0, `${path}: ${name}`);
    assert.equal(await page.getByRole("link", { name: "New IP pool" }).count(), 0);
  }
  const page = await open(t, `/ippools/${pool.id}?to=ana@gmail.com`, { as: "viewer" });
  await share(page, "All mail", postmark.name).getByText("75.0 %").waitFor();
  await page.getByRole("region", { name: "Plan" }).getByText(/by volume/).waitFor();
  assert.equal(await page.locator("form input:enabled, form select:enabled").count(), await page.locator("form[role=search] input").count());
});

test("every page of IP pools in every look", async (t) => {
  const volume = await make({ tpsps: [postmark.id, sendgrid.id, ses.id], routingStrategy: 2, routingMetaData: `{"TPSP_${postmark.id}":"60","TPSP_${sendgrid.id}":"25","TPSP_${ses.id}":"15"}`, overflowStrategy: 1, overflowPoolName: scene.fallbackPool });
  const rows = await make({ tpsps: [postmark.id, sendgrid.id, ses.id], routingStrategy: 1,
    routingMetaData: JSON.stringify({ 0: JSON.stringify([`TPSP_${postmark.id}`]), 3: JSON.stringify([`TPSP_${sendgrid.id}`, `TPSP_${ses.id}`]), others: JSON.stringify([`TPSP_${ses.id}`]) }) });
  await everyLook(t, "/ippools", "ippools", (page) => page.getByText(/warning/).first().waitFor());
  await everyLook(t, "/ippools/new", "ippool-new", (page) => page.getByLabel("Name of the pool").waitFor());
  await everyLook(t, `/ippools/${volume.id}?to=ana@gmail.com&from=hello@example.com`, "ippool-volume", (page) => page.getByRole("region", { name: "Plan" }).waitFor());
  await everyLook(t, `/ippools/${rows.id}`, "ippool-rows", (page) => page.getByRole("region", { name: "All other mailbox providers" }).waitFor());
});
