// One message.
import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, api, everyLook, fits, narrow, open, scene, send, shot } from "./harness.mjs";

const rows = (page, name) => page.getByRole("table", { name, exact: true }).locator("tbody tr");

const rightToLeft = "\u202eevil.exe \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627";
const script = `<script>parent.postMessage("run", "*"); document.title = "run"</script><img src="https://tracker.example/x.png" onerror="parent.alert(1)"><p>Hello <b>Ana</b></p>`;

/** Mail that wants to do harm, through whatever of the demo carries mail without a template. */
async function hostile() {
  const pools = await api("GET", "/account/ippool");
  for (const { name } of pools) {
    try {
      return await send({ ippool: name, tpspTemplate: undefined, subject: `<script>alert(1)</script> ${rightToLeft} ${"long".repeat(40)}`, htmlBody: script, textBody: `Hello ${rightToLeft}`,
        headers: { "X-Long": "word ".repeat(2000).trim(), "X-Evil": "<img src=x onerror=alert(1)>" }, groups: ["<b>group</b>", "hostile"] });
    } catch (e) {
      if (!/422/.test(String(e))) throw e;
    }
  }
  throw new Error("no pool of the demo carries mail without a template");
}

test("a message looks well everywhere", async (t) => {
  const id = await send();
  await everyLook(t, `/messages/${id}`, "message", async (page) => {
    await page.getByRole("list", { name: "Timeline" }).waitFor();
    await page.getByRole("heading", { name: "Webhooks sent" }).waitFor();
    await page.frameLocator("iframe.mail-frame").locator("body > *").first().waitFor();
  });
});

test("a message of a stranger does no harm", async (t) => {
  const id = await hostile();
  for (const size of [undefined, narrow]) {
    const page = await open(t, `/messages/${id}`, size ? { size } : {});
    const asked = []; // what the policy does not stop
    await page.route((u) => u.origin !== scene.url, (route) => (asked.push(route.request().url()), route.abort()));
    await page.reload();
    await page.getByRole("heading", { level: 1, name: /<script>alert\(1\)<\/script>/ }).waitFor();
    const frame = page.frameLocator("iframe.mail-frame");
    await frame.getByText("Hello Ana").waitFor();
    assert.match(await page.title(), /^<script>/);
    await fits(page);
    await page.getByRole("link", { name: "Headers and fields" }).click();
    await page.getByText("X-Long").waitFor();
    await fits(page);
    await shot(page, `message-hostile-${size ? 390 : 1440}`);
    await accessible(page);
    await page.getByRole("link", { name: "Source" }).click();
    await page.getByLabel("Source", { exact: true }).waitFor();
    await fits(page);
    assert.deepEqual(asked, []);
  }
  const page = await open(t, `/messages/${id}`);
  const answer = await page.request.get(`/api/v1/account/message/${id}/content/html`);
  assert.match(answer.headers()["content-security-policy"], /sandbox; default-src 'none'/);
  await page.goto(`/messages?q=id:${id}`);
  await rows(page, "Messages").first().waitFor();
  await fits(page);
});

test("a message that waits says until when, and is cancelled", async (t) => {
  const [first] = scene.subAccounts;
  await api("POST", `/account/subaccount/${first.id ?? (await api("GET", "/account/subaccount"))[0].id}/pause`);
  const sub = first.id ?? (await api("GET", "/account/subaccount"))[0].id;
  let id;
  try {
    id = await send({ to: [{ email: "cancel-me@gmail.com" }], groups: ["cancelled"] });
    const page = await open(t, `/messages/${id}`);
    await page.getByText(/is paused/).first().waitFor();
    await accessible(page);
    await page.getByRole("button", { name: "Cancel it" }).click();
    await page.getByRole("button", { name: "Cancel the message" }).click();
    await page.getByText("The message is cancelled.").waitFor();
    await page.getByText("cancelled by the operator").waitFor();
    const viewer = await open(t, `/messages/${id}`, { as: "viewer" });
    await viewer.getByRole("list", { name: "Timeline" }).waitFor();
    assert.equal(await viewer.getByRole("button", { name: "Cancel it" }).count(), 0);
  } finally {
    await api("POST", `/account/subaccount/${sub}/resume`);
  }
});

test("what is not there says so", async (t) => {
  const page = await open(t, "/messages/00000000-0000-7000-8000-000000000000");
  await page.getByText("There is no such message in this account").waitFor();
  await accessible(page);
});
