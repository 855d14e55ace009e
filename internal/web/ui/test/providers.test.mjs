import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, api, everyLook, fits, narrow, open, scene, settled, shot } from "./harness.mjs";

let last = 0;

/** Another server at the sandbox, with its own token and streams. */
async function server(label) {
  const name = `${label} ${process.pid} ${++last}`;
  const token = `token-${process.pid}-${last}-of-${label}`;
  const answer = await fetch(scene.sandboxUrl + "/sandbox/servers", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ name, token }) });
  assert.ok(answer.ok, await answer.text());
  return { name, token };
}

/** Connects a provider of a test's own. */
async function connect(label, more = {}) {
  const { token } = await server(label);
  const t = await api("POST", "/account/tpsp", { type: 4, name: `${label} ${last}`, key: token, endpoint: scene.sandboxUrl, messageStream: "outbound", ...more });
  return { ...t, token };
}

async function eventually(what, look) {
  const end = Date.now() + 20_000;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `${what} did not come true`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

test("a person connects Postmark, chooses a stream, and sends a test email", async (t) => {
  const { token } = await server("wizard");
  const page = await open(t, "/providers");
  await page.getByRole("link", { name: "Connect a provider" }).click();
  await page.getByRole("heading", { name: "Connect a provider", level: 1 }).waitFor();
  const save = page.getByRole("button", { name: "Save" });
  const fetchStreams = page.getByRole("button", { name: "Fetch message streams" });
  assert.equal(await page.getByLabel("Type").inputValue(), "4");
  assert.ok(await save.isDisabled());
  assert.ok(await fetchStreams.isDisabled());

  // A wrong token is refused where it stands.
  await page.getByLabel("Name").fill("Wizard's Postmark");
  await page.getByLabel("Server API Token").fill("no-such-token");
  await page.getByLabel("Endpoint").fill(scene.sandboxUrl);
  await fetchStreams.click();
  await page.locator("[name=key][aria-invalid=true]").waitFor();
  assert.ok(await save.isDisabled());
  await accessible(page);

  await page.getByLabel("Server API Token").fill(token);
  await fetchStreams.click();
  await page.getByRole("radio", { name: /outbound/ }).waitFor();
  assert.equal(await page.getByRole("radio").count(), 2, "streams that only receive are not offered");
  assert.equal(await page.getByRole("radio", { checked: true }).count(), 0);
  assert.ok(await save.isDisabled(), "save waits for a stream");
  await shot(page, "newprovider-streams-1440-light");
  await page.getByRole("radio", { name: /broadcast/ }).check();
  assert.ok(await save.isEnabled());

  // Another token may open other streams: what was chosen does not count for it.
  await page.getByLabel("Server API Token").fill(token + "x");
  assert.ok(await save.isDisabled());
  await page.getByLabel("Server API Token").fill(token);
  await save.click();

  await page.getByRole("heading", { name: "Wizard's Postmark is connected" }).waitFor();
  const webhook = page.getByRole("region", { name: "Webhook" });
  await webhook.getByText("Registered", { exact: true }).waitFor();
  assert.match(await webhook.locator("code").innerText(), /\/tpsp\/postmark\/account\/\d+$/);
  const made = await api("GET", `/account/tpsp/${new URL(page.url()).searchParams.get("connected")}`);
  assert.equal(made.messageStream, "broadcast");
  const pools = await api("GET", "/account/ippool?search=wizard");
  const pool = pools.find((p) => p.thirdPartySendingProviders.length === 1 && p.thirdPartySendingProviders[0].id === made.id);
  await page.getByRole("region", { name: "IP pool" }).getByRole("link", { name: pool.name, exact: true }).waitFor();

  // The test email has the pool and the template filled in, and arrives.
  await page.waitForFunction(() => document.querySelector("[name=tpspTemplate]")?.value === "welcome-template");
  assert.equal(await page.locator("[name=ippool]").inputValue(), pool.name);
  await page.getByLabel("From").fill("hello@example.com");
  await page.getByLabel("To", { exact: true }).fill("wizard@example.net");
  await page.getByLabel("Subject").fill("It's a test");
  const command = await page.locator(".code").innerText();
  assert.match(command, /^curl -X POST '.*\/api\/v1\/subaccount\/email\/'/);
  assert.ok(command.includes(`"ippool":${JSON.stringify(pool.name)}`) && command.includes(`'\\''`), command);
  await page.getByLabel("Values for the template").fill("{");
  await page.getByRole("button", { name: "Send the test" }).click();
  await page.locator("[name=customFields][aria-invalid=true]").waitFor();
  await page.getByLabel("Values for the template").fill(`{"name":"Ada"}`);
  await page.getByRole("button", { name: "Send the test" }).click();
  const follow = page.getByRole("region", { name: "The test email" });
  for (const name of ["PM Processed", "PM Sent", "PM Delivered"]) await follow.getByText(name, { exact: true }).waitFor();
  await follow.getByText("delivered", { exact: true }).waitFor();
  await shot(page, "newprovider-sent-1440-light");
  await accessible(page);
  const id = new URL(page.url()).searchParams.get("sent");
  assert.equal((await api("GET", `/account/message/${id}`)).to.email, "wizard@example.net");
  assert.equal(await follow.getByRole("link", { name: "Open the message" }).getAttribute("href"), `/messages/${id}`);

  // The address has it all: somebody else who opens it sees the same.
  await page.reload();
  await page.getByRole("region", { name: "The test email" }).getByText("delivered", { exact: true }).waitFor();
});

test("refusals of what is saved stand at their fields, and the same stream is not connected twice", async (t) => {
  const had = await connect("twice");
  const page = await open(t, "/providers/new");
  await page.getByLabel("Name").fill("x".repeat(300));
  await page.getByLabel("Server API Token").fill(had.token);
  await page.getByLabel("Endpoint").fill(scene.sandboxUrl);
  await page.getByRole("button", { name: "Fetch message streams" }).click();
  await page.getByRole("radio", { name: /outbound/ }).check();
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("[name=name][aria-invalid=true]").waitFor();
  await page.getByLabel("Name").fill("twice again");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("alert").filter({ hasText: /already|same/ }).waitFor();
  assert.equal((await api("GET", "/account/tpsp?search=twice again")).length, 0);
});

test("every kind of provider has its fields", async (t) => {
  const page = await open(t, "/providers/new");
  const fields = { 1: ["API Key", "Endpoint (optional)"], 3: ["Access key id", "Secret access key", "Region or URL"], 4: ["Server API Token"], 6: ["Mail server", "Port (optional)", "User name (optional)", "Password (optional)"] };
  const kinds = await api("GET", "/account/tpsp/kinds");
  assert.deepEqual(kinds.map((k) => String(k.type)), Object.keys(fields));
  for (const k of kinds) {
    await page.getByLabel("Type").selectOption({ label: k.title });
    for (const f of fields[k.type]) await page.getByLabel(f, { exact: true }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Fetch message streams" }).count(), k.streams ? 1 : 0);
    assert.equal(new URL(page.url()).searchParams.get("type"), String(k.type));
  }
  // A mail server needs no stream: what is required is enough.
  const save = page.getByRole("button", { name: "Save" });
  await page.getByLabel("Name", { exact: true }).fill(`Mail server ${process.pid}`);
  assert.ok(await save.isDisabled());
  await page.getByLabel("Mail server", { exact: true }).fill(scene.smtp.url);
  await page.getByLabel("User name").fill(scene.smtp.user);
  await page.getByLabel("Password").fill("wrong");
  await save.click();
  await page.getByRole("alert").first().waitFor();
  await accessible(page);
});

test("limits are edited in place and in force at once", async (t) => {
  const had = await connect("limited");
  const page = await open(t, `/providers?q=${encodeURIComponent(had.name)}`);
  const card = page.getByRole("listitem", { name: had.name });
  const whole = card.getByRole("spinbutton", { name: /^All mail/ });
  await whole.fill("1234");
  await whole.press("Enter");
  await eventually("the limit", async () => (await api("GET", `/account/tpsp/${had.id}`)).ratePerHour === 1234);
  await card.getByRole("combobox").selectOption("gmail");
  await card.getByRole("spinbutton", { name: /^Gmail/ }).fill("50");
  await card.getByRole("spinbutton", { name: /^Gmail/ }).blur();
  await eventually("the mailbox limit", async () => (await api("GET", `/account/tpsp/${had.id}`)).mailboxLimits.gmail === 50);
  await card.getByRole("meter", { name: /^Gmail/ }).waitFor();

  await whole.fill("777");
  await whole.press("Escape");
  await page.waitForFunction((name) => document.querySelector(`[aria-label=${CSS.escape(name)}] [name=ratePerHour]`)?.value === "1234", had.name);
  assert.equal((await api("GET", `/account/tpsp/${had.id}`)).ratePerHour, 1234, "Escape gives up");

  await whole.fill("");
  await whole.press("Enter");
  await eventually("no limit", async () => (await api("GET", `/account/tpsp/${had.id}`)).ratePerHour === 0);
  await card.getByRole("spinbutton", { name: /^Gmail/ }).fill("100001");
  await card.getByRole("spinbutton", { name: /^Gmail/ }).press("Enter");
  await settled(page);
  assert.equal((await api("GET", `/account/tpsp/${had.id}`)).mailboxLimits.gmail, 50, "too much is not taken");
});

test("a drill counts down and ends; a provider pauses and goes on; its webhook is registered again", async (t) => {
  const had = await connect("drilled");
  const page = await open(t, `/providers?q=${encodeURIComponent(had.name)}`);
  const card = page.getByRole("listitem", { name: had.name });
  await card.getByText("Healthy").waitFor();
  await card.getByRole("button", { name: "Drill" }).click();
  await page.getByRole("dialog", { name: "Rehearse an outage" }).getByLabel("Length").selectOption("300");
  await accessible(page);
  await page.getByRole("button", { name: "Begin the drill" }).click();
  await card.getByText("In a drill").waitFor();
  assert.match(await card.getByRole("timer").innerText(), /^(5:00|4:5\d)$/);
  await shot(page, "providers-drill-1440-light");
  assert.equal((await api("GET", `/account/tpsp/${had.id}`)).health.state, "drill");
  await card.getByRole("button", { name: /^End the drill/ }).click();
  await card.getByText("Healthy").waitFor();

  await card.getByRole("button", { name: "Pause" }).click();
  await card.getByText("Paused by you").waitFor();
  assert.equal((await api("GET", `/account/tpsp/${had.id}`)).active, false);
  await card.getByRole("button", { name: "Resume" }).click();
  await card.getByText("Healthy").waitFor();

  await card.getByRole("button", { name: "Register again" }).click();
  await page.getByRole("status").getByText(/The webhook of .* is registered\./).waitFor();
});

test("what went wrong stands there and leads to the message", async (t) => {
  const had = await connect("bouncing");
  const [pool] = (await api("GET", "/account/ippool")).filter((p) => p.thirdPartySendingProviders.length === 1 && p.thirdPartySendingProviders[0].id === had.id);
  const [sent] = await api("POST", "/subaccount/email/", { from: { email: "hello@example.com" }, to: [{ email: "HardBounce@bounce.sandbox.test" }], subject: "No", ippool: pool.name, tpspTemplate: "welcome-template", customFields: { name: "A" } },
    { "X-SubAccount-ApiKey": scene.subAccounts[1].apiKey });
  await eventually("the bounce", async () => (await api("GET", `/account/message/${sent.messageId}/explain`)).state === "bounced");
  const page = await open(t, `/providers?q=${encodeURIComponent(had.name)}`);
  const link = page.getByRole("listitem", { name: had.name }).getByRole("link", { name: /PM Hard Bounced/ });
  await link.waitFor();
  assert.equal(await link.getAttribute("href"), `/messages/${sent.messageId}`);
});

test("a call that failed stands there although another provider carried the mail", async (t) => {
  const first = await connect("failing");
  const other = await connect("standby");
  const pool = await api("POST", "/account/ippool", { name: `failing over ${first.id}`, tpsps: [first.id, other.id], warmupInterval: 24, routingStrategy: 2, routingMetaData: `{"TPSP_${first.id}":"100","TPSP_${other.id}":"0"}` });
  const faults = (rules) => fetch(scene.sandboxUrl + "/sandbox/faults", { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify(rules) });
  let sent;
  try {
    const answer = await faults([{ server: first.token, path: "/email", kind: "status", status: 503 }]);
    assert.ok(answer.ok, await answer.text());
    [sent] = await api("POST", "/subaccount/email/", { from: { email: "hello@example.com" }, to: [{ email: "moved@gmail.com" }], subject: "On", ippool: pool.name, tpspTemplate: "welcome-template", customFields: { name: "A" } },
      { "X-SubAccount-ApiKey": scene.subAccounts[1].apiKey });
    await eventually("the delivery", async () => (await api("GET", `/account/message/${sent.messageId}/explain`)).state === "delivered");
  } finally {
    await faults([]);
  }
  const page = await open(t, `/providers/${first.id}`);
  const link = page.getByRole("region", { name: "Last errors" }).getByRole("link", { name: /Call: transient/ }).first();
  await link.waitFor();
  assert.equal(await link.getAttribute("href"), `/messages/${sent.messageId}`);
  await accessible(page);
  const quiet = await open(t, `/providers/${other.id}`);
  await quiet.getByRole("region", { name: "Last errors" }).getByText("None within a week.").waitFor();
});

test("everything of a provider is changed on its page, and it is deleted there", async (t) => {
  const had = await connect("whole");
  const page = await open(t, `/providers/${had.id}?tab=settings`);
  await page.getByLabel("Name").fill(`renamed ${had.id}`);
  await page.getByLabel("When nobody knows").selectOption("at-most-once");
  await page.getByRole("checkbox", { name: /allowRaw/ }).check();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("heading", { name: `renamed ${had.id}`, level: 1 }).waitFor();
  let now = await api("GET", `/account/tpsp/${had.id}`);
  assert.deepEqual([now.name, now.ambiguousPolicy, now.allowRaw, now.key], [`renamed ${had.id}`, "at-most-once", true, had.key]);

  // Another stream moves the connection; one that is not there is refused at its field.
  await page.getByLabel("Message stream").fill("nowhere");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("[name=messageStream][aria-invalid=true]").waitFor();
  await page.getByLabel("Message stream").fill("broadcast");
  await page.getByRole("button", { name: "Save" }).click();
  await eventually("the stream", async () => (await api("GET", `/account/tpsp/${had.id}`)).messageStream === "broadcast");

  // They are fetched with the key that is kept, and one is chosen.
  await page.getByRole("button", { name: "Fetch message streams" }).click();
  const streams = page.getByRole("group", { name: "Choose one message stream" });
  await streams.getByRole("radio", { name: /broadcast/i, checked: true }).waitFor();
  await accessible(page);
  await streams.getByRole("radio", { name: /outbound/i }).check();
  assert.equal(await page.getByLabel("Message stream", { exact: true }).inputValue(), "outbound");
  await page.getByRole("button", { name: "Save" }).click();
  await eventually("the stream that was chosen", async () => (await api("GET", `/account/tpsp/${had.id}`)).messageStream === "outbound");

  await page.getByRole("link", { name: "Templates" }).click();
  await page.getByRole("button", { name: "Read now" }).click();
  await page.getByRole("cell", { name: "welcome-template" }).waitFor();
  await page.getByRole("link", { name: "Now" }).click();
  await page.getByRole("button", { name: "Catch up" }).click();
  await page.getByText(/report.* read/).waitFor();

  // Its deletion is refused while a pool would be empty; by force it goes.
  const pool = await api("POST", "/account/ippool", { name: `only-${had.id}`, tpsps: [had.id], warmupInterval: 24 });
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByRole("button", { name: "Delete the provider" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Delete", exact: true }).click();
  await dialog.getByText(`only-${had.id}`).waitFor();
  await accessible(page);
  await dialog.getByRole("button", { name: "Delete all the same" }).click();
  await page.getByRole("heading", { name: "Providers", level: 1 }).waitFor();
  assert.equal((await api("GET", `/account/tpsp?search=renamed ${had.id}`)).length, 0);
  await api("DELETE", `/account/ippool/${pool.id}?force=true`);
});

test("hostile names do no harm", async (t) => {
  const name = `<img src=x onerror="document.title='owned'"> \u202Eevil ${"w".repeat(180)} ${process.pid}`;
  const had = await connect("hostile");
  await api("PUT", `/account/tpsp/${had.id}`, { name });
  for (const path of [`/providers?q=onerror`, `/providers/${had.id}`, `/providers/${had.id}?tab=settings`, `/providers/${had.id}?tab=test`, `/ippools`]) {
    const page = await open(t, path, { size: narrow });
    await settled(page);
    await page.getByText("<img src=x").first().waitFor({ state: "attached" });
    assert.equal(await page.locator("img").count(), 0);
    await fits(page);
  }
  await api("DELETE", `/account/tpsp/${had.id}?force=true`);
});

test("viewers see everything and no button that changes something", async (t) => {
  for (const path of ["/providers", `/providers/${scene.tpspId}`, `/providers/${scene.tpspId}?tab=settings`, `/providers/${scene.tpspId}?tab=templates`, "/providers/new"]) {
    const page = await open(t, path, { as: "viewer" });
    await settled(page);
    for (const name of [/^Drill/, /Pause/, /Register again/, /Save/, /Delete/, /Read now/, /Catch up/, /Set/, /Fetch/]) {
      assert.equal(await page.getByRole("button", { name }).count(), 0, `${path}: ${name}`);
    }
    assert.equal(await page.getByRole("link", { name: "Connect a provider" }).count(), 0);
    assert.equal(await page.locator("main input:enabled:not([type=search]), main select:enabled").count(), 0, path);
  }
});

test("every page of providers in every look", async (t) => {
  const had = await connect("looks", { ratePerHour: 1000, mailboxLimits: { gmail: 200, microsoft: 100 } });
  await everyLook(t, "/providers", "providers", (page) => page.getByText("Registered", { exact: true }).first().waitFor());
  await everyLook(t, "/providers/new", "newprovider", (page) => page.getByLabel("Server API Token").waitFor());
  await everyLook(t, `/providers/${had.id}`, "provider", (page) => page.getByText("Healthy").waitFor());
  await everyLook(t, `/providers/${had.id}?tab=settings`, "provider-settings", (page) => page.getByLabel("Message stream").waitFor());
  await everyLook(t, `/providers/${had.id}?tab=templates`, "provider-templates", (page) => page.getByText("welcome-template").first().waitFor());
  await everyLook(t, `/providers/${had.id}?tab=test`, "provider-test", (page) => page.getByRole("button", { name: "Send the test" }).waitFor());
});
