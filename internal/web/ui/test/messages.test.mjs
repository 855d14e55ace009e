// The one box that finds messages.
import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, everyLook, open, send, shot } from "./harness.mjs";

const rows = (page, name) => page.getByRole("table", { name, exact: true }).locator("tbody tr");

test("messages look well everywhere", async (t) => {
  await send();
  await everyLook(t, "/messages", "messages", (page) => rows(page, "Messages").first().waitFor());
});

test("messages are found by words, with suggestions, keys and words of refusal", async (t) => {
  await send({ to: [{ email: "find-me@gmail.com" }], groups: ["findable"] });
  const page = await open(t, "/messages");
  await rows(page, "Messages").first().waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("gro");
  await page.getByRole("option", { name: /^group:/ }).waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.keyboard.type("findable mailbox:gm");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Tab");
  const box = page.getByRole("combobox", { name: "Search messages" });
  assert.equal(await box.inputValue(), "group:findable mailbox:gmail ");
  await page.keyboard.press("Enter");
  await page.waitForURL(/q=group/);
  await page.waitForFunction(() => document.querySelectorAll("table[aria-label=Messages] tbody tr").length === 1);
  assert.match(await rows(page, "Messages").first().innerText(), /find-me@gmail\.com/);
  await box.press("Escape");
  await box.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.getByRole("list", { name: "Timeline" }).waitFor();
  await page.goto("/messages?q=colour%3Ared");
  await page.getByRole("alert").filter({ hasText: "there is no word colour:" }).waitFor();
  await accessible(page);
  await page.goto("/messages?q=subject%3A%22no+such+subject%22");
  await page.getByText("No message has all of this").waitFor();
  await page.getByText("The words of a search").click();
  await shot(page, "messages-words-1440-light");
  await accessible(page);
});
