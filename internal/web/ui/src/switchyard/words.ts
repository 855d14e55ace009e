// What the API's numbers and words are to people, here: kinds of events, states of providers and messages, mailbox providers.
import { kindOf, kinds } from "../mail";
import type { Health, Webhook } from "../schema";
import type { Tone } from "../ui";

/** Event types by their numbers (docs/events.md). */
export const eventNames: Record<number, string> = {
  0: "Processed", 1: "Dropped", 2: "Delivered", 3: "Soft Bounced", 4: "Hard Bounced", 5: "Opened", 6: "Clicked", 7: "Unsubscribed", 8: "Spam",
  9: "Sent", 14: "SG Sent", 15: "SG Delivered", 16: "SG Deferred", 17: "SG Dropped", 18: "SG Hard Bounced", 19: "SG Soft Bounced", 20: "SG Opened",
  21: "SG Clicked", 22: "SG Spam Report", 23: "SG Unsubscribe", 24: "SG Group Unsubscribe", 25: "SG Group Resubscribe", 27: "SES Processed",
  28: "SES Delivered", 29: "SES Hard Bounced", 30: "SES Soft Bounced", 31: "SES Spam Report", 32: "SES Dropped", 33: "SES Open", 34: "SES Click",
  35: "SES Rendering Failure", 36: "SES Unsubscribe", 37: "SP Sent", 38: "SP Delivered", 39: "SP Deferred", 40: "SP Dropped", 41: "SP Hard Bounced",
  42: "SP Soft Bounced", 43: "SP Opened", 44: "SP Clicked", 45: "SP Spam Report", 46: "SP Unsubscribe", 48: "MG Processed", 49: "MG Sent",
  50: "MG Delivered", 51: "MG Hard Bounced", 52: "MG Soft Bounced", 53: "MG Dropped", 54: "MG Opened", 55: "MG Clicked", 56: "MG Spam Report",
  57: "MG Unsubscribe", 58: "CS Processed", 59: "CS Sent", 60: "CS Delivered", 61: "CS Deferred", 62: "CS Dropped", 63: "CS Hard Bounced",
  64: "CS Soft Bounced", 65: "CS Open", 66: "CS Click", 67: "CS Spam Report", 68: "CS Unsubscribe", 69: "PM Processed", 70: "PM Sent",
  71: "PM Delivered", 72: "PM Hard Bounced", 73: "PM Soft Bounced", 74: "PM Dropped", 75: "PM Open", 76: "PM Click", 77: "PM Spam Report",
  78: "PM Unsubscribe",
};

export const eventName = (type: number) => eventNames[type] ?? `Type ${type}`;

/** How an event looks. */
export const eventTone = (type: number): Tone => kindOf(type).tone;

/** The event types that tell of mail that did not arrive, or not yet. */
export const failures = kinds.filter((k) => /dropped|bounced|deferred|not rendered|complaint/.test(k.name)).flatMap((k) => k.types);

/** Whether nothing more is expected of a message. */
export const ended = (state: string) => state === "delivered" || state === "bounced" || state === "dropped";

/** A provider's health, or an IP's. */
export function healthWords(h: Health): [Tone, string] {
  switch (h.state) {
    case "ok": return ["good", "Healthy"];
    case "impaired": return ["warn", "Refuses some senders"];
    case "stopped": return ["bad", "Stopped"];
    case "paused": return ["calm", "Paused by you"];
    case "drill": return ["warn", "In a drill"];
    case "missing": return ["bad", "Not configured"];
  }
  return ["calm", h.state];
}

/** Where the registration of our webhook stands. */
export function webhookWords(w: Webhook): [Tone, string] {
  switch (w.state) {
    case "registered": return ["good", "Registered"];
    case "pending": return ["wait", "Being registered"];
    case "unverified": return ["warn", "Not verified"];
    case "failed": return ["bad", "Failed"];
    case "paused": return ["warn", "Paused by the provider"];
    case "none": return ["calm", "None needed"];
  }
  return ["calm", w.state];
}
