import assert from "node:assert/strict";
import { test } from "node:test";
import { accessible, fits, fresh, narrow, open, scene, shot, watch } from "./harness.mjs";

test("a person signs in, lands where they wanted, and signs out", async (t) => {
  const context = await fresh();
  t.after(() => context.close());
  const page = await context.newPage();
  const faults = watch(page);
  await page.goto("/settings");
  await page.getByLabel("Email").fill(scene.dashboard.email);
  await page.getByLabel("Password").fill("not the password");
  await shot(page, "signin-1440-light");
  await accessible(page);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  await page.getByLabel("Password").fill(scene.dashboard.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Settings", level: 1 }).waitFor();
  await page.getByRole("button", { name: /^Profile of/ }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  assert.equal((await context.request.get("/web/session")).status(), 401);
  assert.deepEqual(faults, []);
});

test("a link to elsewhere is not followed after signing in", async (t) => {
  const page = await open(t, "/signin?next=//example.com/");
  assert.equal(new URL(page.url()).pathname, "/");
});

test("the keys lead through the pages", async (t) => {
  const page = await open(t, "/settings");
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).waitFor();
  await accessible(page);
  await page.keyboard.press("Escape");
  await page.keyboard.press("g");
  await page.keyboard.press("p");
  await page.getByRole("heading", { name: "Providers", level: 1 }).waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("to:@gmail.com");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Messages", level: 1 }).waitFor();
  assert.equal(new URL(page.url()).searchParams.get("q"), "to:@gmail.com");
});

test("the menu of a telephone opens, leads, and closes", async (t) => {
  const page = await open(t, "/settings", { size: narrow });
  await page.getByRole("button", { name: "Menu" }).click();
  await shot(page, "menu-390-light");
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Domains" }).click();
  await page.getByRole("heading", { name: "Domains", level: 1 }).waitFor();
  await fits(page);
  assert.equal(await page.getByRole("navigation", { name: "Pages" }).isVisible(), false);
});
