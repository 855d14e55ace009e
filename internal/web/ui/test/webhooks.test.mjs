import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test, before, after } from "node:test";
import { api, everyLook, open, send } from "./harness.mjs";

/** Where the demo posts to. */
let receiver, base;
let status = 200;
before(async () => {
  receiver = createServer((req, res) => {
    req.resume();
    req.on("end", () => res.writeHead(status).end("taken"));
  });
  await new Promise((done) => receiver.listen(0, "127.0.0.1", done));
  base = `http://127.0.0.1:${receiver.address().port}`;
});
after(() => receiver.close());

const all = { enabled: true, processed: true, sent: true, delivered: true, dropped: true };
const make = (path) => api("POST", "/account/webhook", { url: base + path, ...all });

test("a webhook is made, changed, tested, paused, and deleted", async (t) => {
  const page = await open(t, "/webhooks");
  await page.getByRole("button", { name: "New webhook" }).click();
  const dialog = page.getByRole("dialog", { name: "New webhook" });
  await dialog.getByLabel("URL").fill("https://user:pw@example.com/");
  await dialog.getByRole("button", { name: "Make the webhook" }).click();
  await dialog.getByRole("alert").first().waitFor();
  const url = `${base}/made-${Date.now()}`;
  await dialog.getByLabel("URL").fill(url);
  await dialog.getByLabel("opened every open").check();
  await dialog.getByRole("button", { name: "Make the webhook" }).click();
  await page.getByRole("heading", { name: url, level: 1 }).waitFor();
  const id = Number(new URL(page.url()).pathname.split("/").pop());
  assert.equal((await api("GET", `/account/webhook/${id}`)).opened, true);

  await page.getByLabel("clicked every click").check();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The webhook is changed.").waitFor();
  assert.equal((await api("GET", `/account/webhook/${id}`)).clicked, true);

  await page.getByRole("button", { name: "Post a sample" }).click();
  await page.getByText("It was taken: the answer was 200").waitFor();
  status = 503;
  await page.getByRole("button", { name: "Post a sample" }).click();
  await page.getByText("It was refused with 503").waitFor();
  status = 200;

  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Resume" }).waitFor();
  assert.equal((await api("GET", `/account/webhook/${id}/status`)).state, "paused");
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByRole("button", { name: "Pause" }).waitFor();

  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByRole("heading", { name: "Webhooks", level: 1 }).waitFor();
  assert.equal((await api("GET", "/account/webhook")).some((h) => h.id === id), false);
});

test("calls are listed, and posted again", async (t) => {
  const hook = await make(`/replayed-${Date.now()}`);
  await send();
  const page = await open(t, `/webhooks/${hook.id}`);
  const calls = page.getByRole("table", { name: "Calls" });
  await calls.getByText("taken").first().waitFor({ timeout: 30_000 });
  const eventId = (await api("GET", `/account/webhook/${hook.id}/attempts`))[0].eventId;
  await page.getByLabel("What", { exact: true }).selectOption("event");
  await page.getByLabel("Event's id").fill(eventId);
  await page.getByRole("button", { name: "Post again" }).click();
  await page.getByText("1 event posted again").waitFor();
  await page.getByRole("button", { name: "Refresh" }).click();
  await calls.getByRole("link", { name: eventId }).first().click();
  await page.getByRole("button", { name: "All events" }).waitFor();
  assert.equal(new URL(page.url()).searchParams.get("event"), eventId);
  await page.getByLabel("What", { exact: true }).selectOption("missing");
  await page.getByRole("button", { name: "Post again" }).click();
  await page.getByText("There is nothing to post again.").waitFor();
  await api("DELETE", `/account/webhook/${hook.id}`);
});

test("a secret is shown when it is asked for, and rotated; viewers see and change nothing", async (t) => {
  const hook = await make(`/secret-${Date.now()}`);
  const { secret } = await api("GET", `/account/webhook/${hook.id}/secret`);
  const page = await open(t, `/webhooks/${hook.id}`);
  await page.getByRole("button", { name: "Show the secret" }).waitFor();
  assert.equal(await page.getByText(secret).count(), 0);
  await page.getByRole("button", { name: "Show the secret" }).click();
  await page.getByText(secret).waitFor();
  await page.getByRole("button", { name: "Rotate" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Rotate" }).click();
  await page.getByText("The former secret signs as well until").waitFor();
  assert.equal(await page.getByText(secret).count(), 0);
  const viewer = await open(t, `/webhooks/${hook.id}`, { as: "viewer" });
  await viewer.getByText("Viewers do not see secrets.").waitFor();
  await viewer.getByRole("heading", { name: "Calls" }).waitFor();
  assert.deepEqual(await viewer.locator("main").getByRole("button", { name: /Save|Delete|Pause|Rotate|Show|Post/ }).allTextContents(), []);
  await api("DELETE", `/account/webhook/${hook.id}`);
});

test("a URL that a message named has a page", async (t) => {
  const url = `${base}/named-${Date.now()}`;
  await send({ webhookEndpoint: url });
  const page = await open(t, "/webhooks");
  await page.getByRole("table", { name: "URLs that messages named" }).getByRole("link", { name: url }).click();
  await page.getByText("it is no webhook of the account").waitFor();
  await page.getByRole("heading", { name: "Calls" }).waitFor();
});

test("webhooks in every look", async (t) => {
  const hook = await make(`/looked-at-${Date.now()}`);
  await everyLook(t, "/webhooks", "webhooks");
  await everyLook(t, `/webhooks/${hook.id}`, "webhook", (page) => page.getByRole("heading", { name: "Calls" }).waitFor());
  await api("DELETE", `/account/webhook/${hook.id}`);
});
