// Mail of strangers, shown.
import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, api, fits, narrow, open, scene, send, shot, wide } from "./harness.mjs";

const rows = (page, name) => page.getByRole("table", { name, exact: true }).locator("tbody tr");

/** What the browser says of the mail in its frame: it stops what that tries. */
const stopped = /Failed to load resource|Blocked script execution in '[^']*\/content\/html'|https:\/\/tracker\.example\/x\.png' violates/;

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

test("a message of a stranger does no harm", async (t) => {
  const id = await hostile();
  for (const size of [wide, narrow]) {
    const page = await open(t, `/messages/${id}`, { size, expects: stopped });
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
    await shot(page, `message-hostile-${size.width}`);
    await accessible(page);
    await page.getByRole("link", { name: "Source" }).click();
    await page.getByLabel("Source", { exact: true }).waitFor();
    await fits(page);
    assert.deepEqual(asked, []);
  }
  const page = await open(t, `/messages/${id}`, { expects: stopped });
  const answer = await page.request.get(`/api/v1/account/message/${id}/content/html`);
  assert.match(answer.headers()["content-security-policy"], /sandbox; default-src 'none'/);
  await page.goto(`/messages?q=id:${id}`);
  await rows(page, "Messages").first().waitFor();
  await fits(page);
});
