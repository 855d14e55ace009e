// What statistics count, by the names of the API, and where the events behind a number are.
import type { StatCounters } from "./schema";
import { to } from "./route";
import type { Tone } from "./ui";

export type Counter = Exclude<keyof StatCounters, "smtpDropped">;

interface Kind {
  name: string;
  tone: Tone;
  types: number[]; // of SendPost's list, of all families
}

/** The counters in the order of a message's life. */
export const kinds: Record<Counter, Kind> = {
  processed: { name: "Accepted", tone: "calm", types: [0, 48, 58, 69] },
  sent: { name: "Sent", tone: "wait", types: [9, 14, 27, 37, 49, 59, 70] },
  delivered: { name: "Delivered", tone: "good", types: [2, 15, 28, 38, 50, 60, 71] },
  hardBounced: { name: "Hard bounced", tone: "bad", types: [4, 18, 29, 41, 51, 63, 72] },
  softBounced: { name: "Soft bounced", tone: "warn", types: [3, 19, 30, 42, 52, 64, 73] },
  dropped: { name: "Dropped", tone: "calm", types: [1, 17, 32, 35, 40, 53, 62, 74] },
  opened: { name: "Opened", tone: "calm", types: [5, 20, 33, 43, 54, 65, 75] },
  clicked: { name: "Clicked", tone: "calm", types: [6, 21, 34, 44, 55, 66, 76] },
  unsubscribed: { name: "Unsubscribed", tone: "warn", types: [7, 23, 24, 36, 46, 57, 68, 78] },
  spam: { name: "Complaints", tone: "bad", types: [8, 22, 31, 45, 56, 67, 77] },
};

export const counters = Object.keys(kinds) as Counter[];

const others: Record<number, [name: string, tone: Tone]> = { 16: ["Deferred", "wait"], 39: ["Deferred", "wait"], 61: ["Deferred", "wait"], 25: ["Joined again", "calm"] };

/** What an event of a type is, for people. */
export function kindOf(type: number): { name: string; tone: Tone } {
  const c = counters.find((k) => kinds[k].types.includes(type));
  if (c) return { name: c === "spam" ? "Complaint" : kinds[c].name, tone: kinds[c].tone };
  const other = others[type];
  return other ? { name: other[0], tone: other[1] } : { name: `Event ${type}`, tone: "calm" };
}

/** The list of types as the API takes it. */
export const typesOf = (...of: Counter[]) => of.flatMap((c) => kinds[c].types).sort((a, b) => a - b).join(",");

export type Where = Record<string, string | number | undefined>;

/** The page of the events that a counter counts. */
export const eventsOf = (of: Counter | Counter[], where: Where = {}) => to("/events", { type: typesOf(...[of].flat()), ...where });

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

/** The classes of recipients, as the API calls them. */
export const mailboxes: Record<string, string> = {
  gmail: "Gmail", yahoo: "Yahoo", aol: "AOL", microsoft: "Microsoft", comcast: "Comcast", yandex: "Yandex", gmx: "GMX", mailru: "Mail.ru", icloud: "iCloud", zoho: "Zoho", qq: "QQ",
  default: "Everyone else", att: "AT&T", office365: "Office 365", googleworkspace: "Google Workspace", proofpoint: "Proofpoint", mimecast: "Mimecast", barracuda: "Barracuda",
  ciscoironport: "Cisco IronPort", rackspace: "Rackspace", zohobusiness: "Zoho business", amazonworkmail: "Amazon WorkMail", symantec: "Symantec", fortinet: "Fortinet", sophos: "Sophos",
  trendmicro: "Trend Micro", checkpoint: "Check Point",
};

export const mailboxName = (key: string) => mailboxes[key] ?? key;
