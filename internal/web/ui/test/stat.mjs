// What the tests of statistics share: providers of their own, and waiting for what comes in time.
import assert from "node:assert/strict";
import { api, scene } from "./harness.mjs";

/** Adds a server to the sandbox and connects it, with an IP pool of its own. */
export async function provider(name, more = {}) {
  const unique = `${name} ${Math.random().toString(36).slice(2, 7)}`;
  const answer = await fetch(`${scene.sandboxUrl}/sandbox/servers`, { method: "POST", body: JSON.stringify({ name: unique }) });
  const text = await answer.text();
  assert.ok(answer.ok, text);
  const server = JSON.parse(text);
  const made = await api("POST", "/account/tpsp", { type: 4, name: unique, key: server.token, messageStream: "outbound", endpoint: scene.sandboxUrl, ...more });
  return { id: made.id, name: unique, pool: made.ipPool.name, poolId: made.ipPool.id };
}

/** Sends a message to each address through a provider; returns their ids. */
export async function mail(provider, addresses, more = {}) {
  const sent = await api("POST", "/subaccount/email/", {
    from: { email: "hello@example.com" }, to: addresses.map((email) => ({ email })), subject: "Numbers", ippool: provider.pool,
    tpspTemplate: scene.template, customFields: { name: "Ana" }, trackOpens: true, trackClicks: true, ...more,
  }, { "X-SubAccount-ApiKey": scene.subAccounts[0].apiKey });
  return sent.map((s) => s.messageId);
}

/** Tries until it does not fail, for as long as mail may take on a busy machine. */
export async function eventually(f, within = 20_000) {
  const end = Date.now() + within;
  for (;;) {
    try {
      return await f();
    } catch (e) {
      if (Date.now() > end) throw e;
      await new Promise((done) => setTimeout(done, 150));
    }
  }
}

export const today = () => new Date().toISOString().slice(0, 10);

/** The counters of days, as the API has them. */
export const stat = (query) => api("GET", `/account/stat/aggregate?from=${today()}&to=${today()}&${new URLSearchParams(query)}`);

/** Waits until a provider's mail has come to rest. */
export const counted = (provider, want) => eventually(async () => {
  const got = await stat({ tpspId: provider.id });
  for (const [counter, n] of Object.entries(want)) assert.equal(got[counter], n, counter);
  return got;
});

/** What a table shows: a list of rows, each the words of its cells. */
export const cells = (table) => table.locator("tbody tr").evaluateAll((rows) => rows.map((r) => [...r.cells].map((c) => c.innerText.trim().replace(/\s+/g, " "))));

/** The number that a tile shows. */
export const tile = (page, label) => page.locator(".tile", { has: page.locator(".tile-label", { hasText: new RegExp(`^${label}$`) }) });
