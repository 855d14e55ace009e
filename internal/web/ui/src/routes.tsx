// Every page of the dashboard: its address, its place in the navigation, and its program.
import type { FunctionComponent } from "preact";
import { Analytics } from "./pages/analytics";
import { Audit } from "./pages/audit";
import { Compare } from "./pages/compare";
import { Domains } from "./pages/domains";
import { Events } from "./pages/events";
import { IPPool, IPPools } from "./pages/ippools";
import { Members } from "./pages/members";
import { Message } from "./pages/message";
import { Messages } from "./pages/messages";
import { Overview } from "./pages/overview";
import { NewProvider } from "./pages/newprovider";
import { Provider, Providers } from "./pages/providers";
import { Settings } from "./pages/settings";
import { SubAccount, SubAccounts } from "./pages/subaccounts";
import { Suppressions } from "./pages/suppressions";
import { Throttles } from "./pages/throttles";
import { Webhook, Webhooks } from "./pages/webhooks";

export interface Route {
  path: string; // ":id" stands for one part
  page: FunctionComponent<{ id: string }>;
}

export const routes: Route[] = [
  { path: "/", page: Overview },
  { path: "/messages", page: Messages },
  { path: "/messages/:id", page: Message },
  { path: "/events", page: Events },
  { path: "/analytics", page: Analytics },
  { path: "/compare", page: Compare },
  { path: "/throttles", page: Throttles },
  { path: "/providers", page: Providers },
  { path: "/providers/new", page: NewProvider },
  { path: "/providers/:id", page: Provider },
  { path: "/ippools", page: IPPools },
  { path: "/ippools/:id", page: IPPool },
  { path: "/subaccounts", page: SubAccounts },
  { path: "/subaccounts/:id", page: SubAccount },
  { path: "/domains", page: Domains },
  { path: "/suppressions", page: Suppressions },
  { path: "/webhooks", page: Webhooks },
  { path: "/webhooks/:id", page: Webhook },
  { path: "/audit", page: Audit },
  { path: "/members", page: Members },
  { path: "/settings", page: Settings },
];

export interface Place {
  name: string;
  path: string;
  key: string; // `g` and this key lead there
}

export const navigation: { name: string; places: Place[] }[] = [
  { name: "Mail", places: [
    { name: "Overview", path: "/", key: "o" },
    { name: "Messages", path: "/messages", key: "m" },
    { name: "Events", path: "/events", key: "e" },
    { name: "Analytics", path: "/analytics", key: "a" },
    { name: "Compare providers", path: "/compare", key: "c" },
  ] },
  { name: "Switchyard", places: [
    { name: "Providers", path: "/providers", key: "p" },
    { name: "IP pools", path: "/ippools", key: "i" },
    { name: "Throttles", path: "/throttles", key: "t" },
  ] },
  { name: "Account", places: [
    { name: "Sub-accounts", path: "/subaccounts", key: "s" },
    { name: "Domains", path: "/domains", key: "d" },
    { name: "Suppressions", path: "/suppressions", key: "x" },
    { name: "Webhooks", path: "/webhooks", key: "w" },
    { name: "Members", path: "/members", key: "b" },
    { name: "Audit log", path: "/audit", key: "l" },
  ] },
];

/** The page of a path, and what its ":id" stands for. */
export function match(path: string): { route: Route; id: string } | undefined {
  const parts = path.replace(/\/+$/, "").split("/");
  for (const route of routes) {
    const want = route.path.replace(/\/+$/, "").split("/");
    if (want.length !== parts.length) continue;
    let id = "";
    if (want.every((w, i) => (w === ":id" ? ((id = decode(parts[i]!)), id !== "") : w === parts[i]))) return { route, id };
  }
}

function decode(part: string) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
