// One message.
import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, api, everyLook, open, scene, send } from "./harness.mjs";

test("a message looks well everywhere", async (t) => {
  const id = await send();
  await everyLook(t, `/messages/${id}`, "message", async (page) => {
    await page.getByRole("list", { name: "Timeline" }).waitFor();
    await page.getByRole("heading", { name: "Webhooks sent" }).waitFor();
    await page.frameLocator("iframe.mail-frame").locator("body > *").first().waitFor();
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.setViewportSize({ width: page.viewportSize().width, height }); // what was not seen is not painted
    await page.screenshot(); // nor is it in the first picture: the frame is another process of the browser
    await page.evaluate(() => scrollTo(0, 0));
  });
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

test("the sub-account stands there by its name, and leads to its page", async (t) => {
  const id = await send();
  const { subAccountID } = await api("GET", `/account/message/${id}`);
  const { name } = await api("GET", `/account/subaccount/${subAccountID}`);
  const page = await open(t, `/messages/${id}`);
  const link = page.getByRole("region", { name: "Message", exact: true }).getByRole("link", { name, exact: true });
  await link.waitFor();
  assert.equal(await link.getAttribute("title"), `id ${subAccountID}`);
  await link.click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
});

test("what is not there says so", async (t) => {
  const page = await open(t, "/messages/00000000-0000-7000-8000-000000000000");
  await page.getByText("There is no such message in this account").waitFor();
  await accessible(page);
});
