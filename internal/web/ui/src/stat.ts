// What statistics count, by the names of the API, and where the events behind a number are.
import type { StatCounters } from "./schema";
import { to } from "./route";
import { kinds as mailKinds } from "./mail";

export type Counter = Exclude<keyof StatCounters, "smtpDropped">;

interface Kind {
  name: string;
  of: string[]; // the kinds of events that it counts, as the page of events calls them
}

/** The counters in the order of a message's life. */
export const kinds: Record<Counter, Kind> = {
  processed: { name: "Accepted", of: ["processed"] },
  sent: { name: "Sent", of: ["sent"] },
  delivered: { name: "Delivered", of: ["delivered"] },
  hardBounced: { name: "Hard bounced", of: ["hard bounced"] },
  softBounced: { name: "Soft bounced", of: ["soft bounced"] },
  dropped: { name: "Dropped", of: ["dropped", "not rendered"] },
  opened: { name: "Opened", of: ["opened"] },
  clicked: { name: "Clicked", of: ["clicked"] },
  unsubscribed: { name: "Unsubscribed", of: ["unsubscribed", "left a group"] },
  spam: { name: "Complaints", of: ["spam complaint"] },
};

export const counters = Object.keys(kinds) as Counter[];

/** The list of types as the API takes it. */
export const typesOf = (...of: Counter[]) => of.flatMap((c) => kinds[c].of.flatMap((name) => mailKinds.find((k) => k.name === name)!.types)).sort((a, b) => a - b).join(",");

/** Whether a list of types has some that a counter counts. */
export const counts = (c: Counter, types: string) => typesOf(c).split(",").some((t) => types.split(",").includes(t));

/** Which events are meant: days, an egress, a sub-account, a mailbox provider, a group, and what statistics count them under. */
export interface Where {
  from?: string;
  to?: string;
  tpspId?: string | number;
  ipId?: string | number;
  subAccountId?: string | number;
  mailbox?: string;
  group?: string;
  domain?: string;
  reason?: string;
  device?: string;
  client?: string;
  os?: string;
  country?: string;
  /** "1": only the first of its kind of each message. */
  first?: string;
}

/** The page of the events that a counter counts. */
export const eventsOf = (of: Counter | Counter[], { tpspId, ipId, subAccountId, ...where }: Where = {}) =>
  to("/events", { kind: [of].flat().flatMap((c) => kinds[c].of).join(","), via: tpspId ? `TPSP_${tpspId}` : ipId ? `IP_${ipId}` : "", sub: subAccountId, ...where });

export const none = (): Record<Counter, number> => ({ processed: 0, sent: 0, delivered: 0, hardBounced: 0, softBounced: 0, dropped: 0, opened: 0, clicked: 0, unsubscribed: 0, spam: 0 });

/** The sum of counters. */
export function sum(list: Record<Counter, number>[]) {
  const total = none();
  for (const one of list) for (const c of counters) total[c] += one[c];
  return total;
}

export const share = (n: number, of: number) => (of > 0 ? n / of : null);

/** Days from and to, both included, YYYY-MM-DD. */
export function daysOf(from: string, to: string) {
  const list: string[] = [];
  for (let t = Date.parse(from); t <= Date.parse(to) && list.length < 400; t += 86_400_000) list.push(new Date(t).toISOString().slice(0, 10));
  return list;
}
