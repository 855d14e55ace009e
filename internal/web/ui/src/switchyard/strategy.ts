// An IP pool as it is edited, and as the API has it (docs/routing.md).
import type { Ip, Pool, PoolRequest, PoolSettings, Tpsp } from "../schema";
import { mailboxes } from "../mail";

export const roundRobin = 0, byMailbox = 1, byVolume = 2, byDomain = 3;

export const strategies: { id: number; name: string; about: string }[] = [
  { id: roundRobin, name: "Round robin", about: "All members in turn, equal shares." },
  { id: byVolume, name: "By volume", about: "Each member its share of the mail." },
  { id: byMailbox, name: "By mailbox provider", about: "Who receives decides: Gmail here, the rest there." },
  { id: byDomain, name: "By sending domain", about: "The domain of the From address decides." },
];

export const strategyName = (id: number) => strategies.find((s) => s.id === id)?.name ?? `Strategy ${id}`;

/** The key of mail that has none of its own. */
export const others = "others";

/** Egresses that share the mail of a key. */
export interface Row {
  key: string; // the number of a mailbox provider, a domain, or others
  members: string[];
}

export interface Draft {
  name: string;
  members: string[]; // TPSP_5, IP_3; providers first
  strategy: number;
  volumes: Record<string, number>; // hundredths of a percent, 10,000 in all
  mailboxRows: Row[];
  domainRows: Row[];
  overflow: string; // a pool's name, "" for none
  targets: string[]; // names of pools
  priority: string;
  ttl: string; // seconds
  warmup: string; // hours
}

/** Somebody who can be in a pool. */
export interface Member {
  id: string;
  name: string;
  ip: boolean;
}

export const membersOf = (tpsps: Tpsp[], ips: Ip[]): Member[] => [
  ...tpsps.map((t) => ({ id: `TPSP_${t.id}`, name: t.name, ip: false })),
  ...ips.map((i) => ({ id: `IP_${i.id}`, name: i.publicIP, ip: true })),
];

export const poolMembers = (p: Pool): Member[] => [
  ...p.thirdPartySendingProviders.map((t) => ({ id: `TPSP_${t.id}`, name: t.name, ip: false })),
  ...p.ips.map((i) => ({ id: `IP_${i.id}`, name: i.publicIP, ip: true })),
];

const whole = 10_000;

/** Divides 10,000 in proportion to weights; what is left over by rounding goes to the largest remainders. Without any weight all are equal. */
export function divide(weights: number[], sum = whole): number[] {
  const total = weights.reduce((a, b) => a + b, 0);
  const exact = weights.map((w) => (total > 0 ? (w * sum) / total : sum / weights.length));
  const parts = exact.map(Math.floor);
  const order = exact.map((e, i) => [e - parts[i]!, i] as const).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  for (let left = sum - parts.reduce((a, b) => a + b, 0), i = 0; left > 0; left--, i++) parts[order[i % order.length]![1]]!++;
  return parts;
}

/** The volumes of these members, which make up the whole. */
export function volumesFor(members: string[], had: Record<string, number>): Record<string, number> {
  if (members.length === 0) return {};
  const parts = divide(members.map((m) => had[m] ?? 0));
  return Object.fromEntries(members.map((m, i) => [m, parts[i]!]));
}

/** Sets one volume; the others share the rest in the proportions that they had. */
export function setVolume(members: string[], had: Record<string, number>, member: string, volume: number): Record<string, number> {
  const rest = members.filter((m) => m !== member);
  if (rest.length === 0) return { [member]: whole };
  const v = Math.max(0, Math.min(whole, Math.round(volume)));
  const parts = divide(rest.map((m) => had[m] ?? 0), whole - v);
  return { [member]: v, ...Object.fromEntries(rest.map((m, i) => [m, parts[i]!])) };
}

function parse(text: string): [string, unknown][] {
  try {
    const o = JSON.parse(text || "{}");
    return typeof o === "object" && o !== null && !Array.isArray(o) ? Object.entries(o) : [];
  } catch {
    return [];
  }
}

function egresses(value: unknown): string[] {
  try {
    const list = typeof value === "string" ? JSON.parse(value) : value;
    return Array.isArray(list) ? list.filter((e) => typeof e === "string") : [];
  } catch {
    return [];
  }
}

/** Rows with the one for all other mail at the end. */
export const withOthers = (rows: Row[]): Row[] => [...rows.filter((r) => r.key !== others), rows.find((r) => r.key === others) ?? { key: others, members: [] }];

export function draftOf(p: Pool | undefined, s: PoolSettings | undefined, first: string[] = []): Draft {
  if (!p) {
    return { name: "", members: first, strategy: roundRobin, volumes: volumesFor(first, {}), mailboxRows: withOthers([]), domainRows: withOthers([]), overflow: "", targets: [], priority: "0", ttl: "0", warmup: "24" };
  }
  const members = poolMembers(p).map((m) => m.id);
  const entries = parse(p.routingMetaData);
  const rows = withOthers(entries.map(([key, v]) => ({ key, members: egresses(v).filter((e) => members.includes(e)) })));
  const volumes = Object.fromEntries(entries.map(([e, v]) => [e, Number(v) || 0]));
  return {
    name: p.name,
    members,
    strategy: p.routingStrategy,
    volumes: p.routingStrategy === byVolume ? volumesFor(members, volumes) : volumesFor(members, {}),
    mailboxRows: p.routingStrategy === byMailbox ? rows : withOthers([]),
    domainRows: p.routingStrategy === byDomain ? rows : withOthers([]),
    overflow: p.shouldOverflow ? p.overflowPoolName : "",
    targets: p.toAccountIPPools.map((t) => t.name),
    priority: String(s?.priority ?? 0),
    ttl: String(s?.ttlSeconds ?? 0),
    warmup: String(p.warmupInterval),
  };
}

/** What the routing metadata names and the pool has not any more. */
export function goneOf(p: Pool): string[] {
  const members = poolMembers(p).map((m) => m.id);
  const named = parse(p.routingMetaData).flatMap(([key, v]) => (p.routingStrategy === byVolume ? [key] : p.routingStrategy === roundRobin ? [] : egresses(v)));
  return [...new Set(named)].filter((e) => !members.includes(e));
}

/** Hundredths of a percent as a percentage: 3333 is "33.33". */
export const percentText = (v: number) => String(v / 100);

function metaData(d: Draft): string {
  const object = (entries: [string, string][]) => "{" + entries.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(",") + "}"; // keys that are numbers stay in their order
  if (d.strategy === byVolume) return object(d.members.map((m) => [m, percentText(d.volumes[m] ?? 0)]));
  if (d.strategy !== byMailbox && d.strategy !== byDomain) return "{}";
  const rows = d.strategy === byMailbox ? d.mailboxRows : d.domainRows;
  return object(rows.filter((r) => r.key !== others || r.members.length > 0).map((r) => [r.key.trim(), JSON.stringify(r.members)]));
}

/** The whole body of a draft. Numbers that cannot be read are left for the server to refuse. */
export function bodyOf(d: Draft, all: Member[]): PoolRequest {
  const number = (text: string) => (text.trim() === "" ? 0 : Number(text));
  const address = (id: string) => all.find((m) => m.id === id)?.name ?? id;
  return {
    name: d.name,
    tpsps: d.members.filter((m) => m.startsWith("TPSP_")).map((m) => Number(m.slice(5))),
    ips: d.members.filter((m) => m.startsWith("IP_")).map((m) => ({ publicIP: address(m) })),
    routingStrategy: d.strategy,
    routingMetaData: metaData(d),
    overflowStrategy: d.overflow ? 1 : 0,
    overflowPoolName: d.overflow,
    toAccountIPPools: d.targets,
    priority: number(d.priority),
    ttl: number(d.ttl),
    warmupInterval: number(d.warmup),
  };
}

/** What of a draft is to be sent: only what differs from what is stored, so that a new name does not begin a new count of turns. */
export function changesOf(d: Draft, stored: Draft | undefined, all: Member[]): PoolRequest {
  const now = bodyOf(d, all) as Record<string, unknown>;
  if (!stored) return now;
  const was = bodyOf(stored, all) as Record<string, unknown>;
  const changes = Object.fromEntries(Object.entries(now).filter(([k, v]) => JSON.stringify(v) !== JSON.stringify(was[k])));
  if ("routingStrategy" in changes || "tpsps" in changes || "ips" in changes) changes.routingMetaData = now.routingMetaData;
  if ("overflowPoolName" in changes) changes.overflowStrategy = now.overflowStrategy;
  if ("overflowStrategy" in changes) changes.overflowPoolName = now.overflowPoolName;
  return changes;
}

/** Puts members in or out of everything that names them. */
export function withMembers(d: Draft, members: string[]): Draft {
  const ordered = [...members.filter((m) => m.startsWith("TPSP_")), ...members.filter((m) => !m.startsWith("TPSP_"))];
  const keep = (rows: Row[]) => rows.map((r) => ({ ...r, members: r.members.filter((m) => ordered.includes(m)) }));
  const fresh = ordered.some((m) => !(m in d.volumes)) && ordered.length <= 2; // of two, each has half until somebody says otherwise
  return { ...d, members: ordered, volumes: volumesFor(ordered, fresh ? {} : d.volumes), mailboxRows: keep(d.mailboxRows), domainRows: keep(d.domainRows) };
}

/** What a key stands for, for people. */
export function keyName(strategy: number, key: string) {
  if (key === "") return "All mail";
  if (key === others) return strategy === byMailbox ? "All other mailbox providers" : "All other domains";
  return strategy === byMailbox ? (mailboxes[Number(key)]?.[1] ?? key) : key;
}
