// The central log of events.
import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, everyLook, open, saved, send, settled } from "./harness.mjs";

const rows = (page, name) => page.getByRole("table", { name, exact: true }).locator("tbody tr");

test("events look well everywhere", async (t) => {
  await send();
  await everyLook(t, "/events", "events", (page) => rows(page, "Events").first().waitFor());
});

test("filters stand in the address, and rows lead to messages", async (t) => {
  await send({ to: [{ email: "filter-me@gmail.com" }], groups: ["filtered"] });
  const page = await open(t, "/events");
  await page.getByLabel("Recipient").fill("filter-me@gmail.com");
  await page.waitForURL(/recipient=filter-me/);
  await page.getByLabel("Event", { exact: true }).selectOption("processed");
  await page.waitForFunction(() => document.querySelectorAll("table[aria-label=Events] tbody tr").length === 1);
  await page.getByText("1 event", { exact: true }).waitFor();
  await page.getByLabel("Group").fill("no such group");
  await page.getByText("No event has all of this").waitFor();
  await page.waitForURL(/group=no/);
  await page.reload();
  assert.equal(await page.getByLabel("Group").inputValue(), "no such group");
  await page.getByRole("button", { name: "Clear" }).click();
  await page.waitForURL((url) => !url.searchParams.has("group"));
  await settled(page);
  await rows(page, "Events").first().waitFor();
  await page.getByLabel("Recipient").fill("filter-me@gmail.com"); // the newest event of all may be of a message whose scripts are blocked aloud
  await page.waitForURL(/recipient=filter-me/);
  await page.waitForFunction(() => [...document.querySelectorAll("table[aria-label=Events] tbody tr")].every((tr) => tr.textContent.includes("filter-me@")));
  await settled(page);
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.getByRole("list", { name: "Timeline" }).waitFor();
});

test("events are followed, held while it is paused, and shown after that", async (t) => {
  const page = await open(t, "/events?live=1&group=followed");
  await page.getByText("waiting for events").waitFor();
  await send({ to: [{ email: "live-one@gmail.com" }], groups: ["followed"] });
  await page.getByText("live-one@gmail.com").first().waitFor();
  await page.getByRole("button", { name: "Pause" }).click();
  await send({ to: [{ email: "live-two@gmail.com" }], groups: ["followed"] });
  const show = page.getByRole("button", { name: /^Show \d+ new event/ });
  await show.waitFor();
  assert.equal(await page.getByText("live-two@gmail.com").count(), 0);
  await show.click();
  await page.getByText("live-two@gmail.com").first().waitFor();
  await accessible(page);
});

test("what the filters select is exported", async (t) => {
  await send({ to: [{ email: "export-me@gmail.com" }], groups: ["exported"] });
  const page = await open(t, "/events?group=exported&kind=processed");
  await rows(page, "Events").first().waitFor();
  for (const [button, file] of [["Export CSV", "events.csv"], ["Export NDJSON", "events.ndjson"]]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: button }).click()]);
    assert.equal(download.suggestedFilename(), file);
    const text = await saved(download);
    assert.match(text, /export-me@gmail\.com/);
    assert.doesNotMatch(text, /Delivered/);
  }
});
