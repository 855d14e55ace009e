// What events are called, by their types. A test of internal/web compares the numbers with the server's.
import type { Tone } from "./ui";

/** The kinds of events: what they are called, their tone, and their types, whoever reports them. */
export const kinds: { name: string; tone: Tone; types: number[] }[] = [
  { name: "processed", tone: "calm", types: [0, 48, 58, 69] },
  { name: "sent", tone: "calm", types: [9, 14, 27, 37, 49, 59, 70] },
  { name: "delivered", tone: "good", types: [2, 15, 28, 38, 50, 60, 71] },
  { name: "deferred", tone: "wait", types: [16, 39, 61] },
  { name: "dropped", tone: "bad", types: [1, 17, 32, 40, 53, 62, 74] },
  { name: "hard bounced", tone: "bad", types: [4, 18, 29, 41, 51, 63, 72] },
  { name: "soft bounced", tone: "warn", types: [3, 19, 30, 42, 52, 64, 73] },
  { name: "opened", tone: "calm", types: [5, 20, 33, 43, 54, 65, 75] },
  { name: "clicked", tone: "calm", types: [6, 21, 34, 44, 55, 66, 76] },
  { name: "unsubscribed", tone: "calm", types: [7, 23, 36, 46, 57, 68, 78] },
  { name: "spam complaint", tone: "bad", types: [8, 22, 31, 45, 56, 67, 77] },
  { name: "left a group", tone: "calm", types: [24] },
  { name: "joined a group again", tone: "calm", types: [25] },
  { name: "not rendered", tone: "bad", types: [35] },
];

/** The kind of a type. */
export const kindOf = (type: number): { name: string; tone: Tone } => kinds.find((k) => k.types.includes(type)) ?? { name: `type ${type}`, tone: "calm" };

const states: Record<string, Tone> = { queued: "wait", sending: "wait", unknown: "warn", sent: "wait", delivered: "good", bounced: "bad", dropped: "bad" };

/** The tone of a message's state. */
export const toneOf = (state: string): Tone => states[state] ?? "calm";

/** The mailbox providers in the order of SendPost's numbers: as the API calls them, and as people do. */
export const mailboxes: [key: string, name: string][] = [
  ["gmail", "Gmail"], ["yahoo", "Yahoo"], ["aol", "AOL"], ["microsoft", "Microsoft (Outlook.com)"], ["comcast", "Comcast"], ["yandex", "Yandex"], ["gmx", "GMX"],
  ["mailru", "Mail.ru"], ["icloud", "iCloud"], ["zoho", "Zoho"], ["qq", "QQ"], ["default", "Everyone else"], ["att", "AT&T"], ["office365", "Microsoft 365"],
  ["googleworkspace", "Google Workspace"], ["proofpoint", "Proofpoint"], ["mimecast", "Mimecast"], ["barracuda", "Barracuda"], ["ciscoironport", "Cisco IronPort"],
  ["rackspace", "Rackspace"], ["zohobusiness", "Zoho for companies"], ["amazonworkmail", "Amazon WorkMail"], ["symantec", "Symantec"], ["fortinet", "Fortinet"],
  ["sophos", "Sophos"], ["trendmicro", "Trend Micro"], ["checkpoint", "Check Point"],
];

export const mailboxName = (key: string) => mailboxes.find(([k]) => k === key)?.[1] ?? key;
