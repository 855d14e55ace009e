import { useEffect, useMemo, useState } from "preact/hooks";
import { get, type Query, type Refusal, useGet } from "../api";
import { count, day, duration, percent, short } from "../format";
import { mailboxes, mailboxName } from "../mail";
import { type Filters, to, useFilters } from "../route";
import type { DailyStat, Delay, Engagement, ReasonRow, SubAccount, Tpsp } from "../schema";
import { type Counter, counters, counts, daysOf, eventsOf, kinds, none, share, sum, typesOf, type Where } from "../stat";
import { Card, Chart, Chips, type Column, Empty, Failed, Field, Input, Loaded, Note, Page, Select, Table, Tabs, Tile } from "../ui";

/** What the address says: the API's own names, so that a filter means here what it means there. */
interface Scope {
  from: string;
  to: string;
  /** Where the statistics of the scope are: "/account/stat", "/account/domain/stat/3". */
  base: string;
  query: Query; // filters besides the days
  group: string;
  domainId: string;
  /** The events that a counter counts; those of a domain when its name is known. */
  link: (c: Counter, where?: Where) => string | undefined;
}

function scopeOf(f: Filters, domain?: string): Scope {
  const days = Math.max(1, Math.min(366, Number(f.days) || 7));
  const own = f.from && f.to && f.from <= f.to;
  const from = own ? f.from! : day(days - 1);
  const until = own ? f.to! : day();
  const query = { provider: f.provider, type: f.type, tpspId: f.tpspId, ipId: f.ipId, subAccountId: f.subAccountId };
  const events = { from, to: until, mailbox: f.provider, tpspId: f.tpspId, ipId: f.ipId, subAccountId: f.subAccountId, group: f.group, domain: f.group ? "" : domain };
  return {
    from, to: until, query, group: f.group ?? "", domainId: f.group ? "" : (f.domainId ?? ""),
    base: !f.group && f.domainId ? `/account/domain/stat/${Number(f.domainId)}` : "/account/stat",
    link: (c, where) => (!f.group && f.domainId && !domain ? undefined : eventsOf(c, { ...events, ...where })),
  };
}

export function Analytics(_: { id: string }) {
  const [f, set] = useFilters();
  const bare = scopeOf(f);
  const providers = useGet<Tpsp[]>("/account/tpsp");
  const subs = useGet<SubAccount[]>("/account/subaccount");
  const domains = useGet<{ id: number; name: string }[]>(bare.domainId ? "/account/stat/aggregate/domain" : null, { from: bare.from, to: bare.to, exported: true });
  const domain = bare.domainId ? domains.data?.find((d) => String(d.id) === bare.domainId)?.name : undefined;
  const scope = scopeOf(f, domain);
  const stat = useDays(scope);
  const engagement = useGet<Engagement>(scope.group ? null : `${scope.base}/aggregate/engagement`, { from: scope.from, to: scope.to, ...scope.query }, { every: 30_000 });
  const provider = providers.data?.find((p) => String(p.id) === f.tpspId)?.name;
  const sub = subs.data?.find((s) => String(s.id) === f.subAccountId)?.name;
  const chips: [name: string, value: string, change: Filters][] = [
    ...(f.tpspId ? [["Provider", provider ?? f.tpspId, { tpspId: "" }] as [string, string, Filters]] : []),
    ...(f.ipId ? [["IP", f.ipId, { ipId: "" }] as [string, string, Filters]] : []),
    ...(f.provider ? [["Mailbox provider", mailboxName(f.provider), { provider: "" }] as [string, string, Filters]] : []),
    ...(f.subAccountId ? [["Sub-account", sub ?? f.subAccountId, { subAccountId: "" }] as [string, string, Filters]] : []),
    ...(f.type ? [["Event", typeName(f.type), { type: "" }] as [string, string, Filters]] : []),
    ...(f.group ? [["Group", f.group, { group: "" }] as [string, string, Filters]] : []),
    ...(scope.domainId ? [["Domain", domain ?? scope.domainId, { domainId: "" }] as [string, string, Filters]] : []),
  ];
  return (
    <Page title="Analytics" about="What became of mail. Every number leads to the events behind it, every name filters. Days are UTC; an event counts on the day on which it happened.">
      <div>
        <div class="filters">
          <Field label="Time"><Select value={f.from && f.to ? "own" : String(Number(f.days) || 7)} onChange={(v) => (v === "own" ? set({ from: scope.from, to: scope.to, days: "" }) : set({ days: v === "7" ? "" : v, from: "", to: "" }))}
            options={[["1", "Today"], ["7", "7 days"], ["14", "14 days"], ["31", "31 days"], ["92", "92 days"], ["366", "a year"], ["own", "From … to"]]} /></Field>
          {f.from && f.to && <>
            <Field label="From"><Input type="date" value={f.from} max={f.to} onInput={(v) => v && set({ from: v }, true)} /></Field>
            <Field label="To"><Input type="date" value={f.to} min={f.from} max={day()} onInput={(v) => v && set({ to: v }, true)} /></Field>
          </>}
          <Field label="Provider"><Select value={f.tpspId ?? ""} onChange={(tpspId) => set({ tpspId, ipId: "" })} options={[["", "All"], ...named(f.tpspId, (providers.data ?? []).map((p): [string, string] => [String(p.id), p.name]))]} /></Field>
          <Field label="Mailbox provider"><Select value={f.provider ?? ""} onChange={(v) => set({ provider: v })} options={[["", "All"], ...mailboxes]} /></Field>
          <Field label="Sub-account"><Select value={f.subAccountId ?? ""} onChange={(v) => set({ subAccountId: v })} options={[["", "All"], ...named(f.subAccountId, (subs.data ?? []).map((s): [string, string] => [String(s.id), s.name]))]} /></Field>
          <Field label="Event"><Select value={f.type ?? ""} onChange={(v) => set({ type: v })} options={[["", "All"], ...counters.map((c): [string, string] => [typesOf(c), kinds[c].name]), ...(f.type && !counters.some((c) => typesOf(c) === f.type) ? [[f.type, `Types ${f.type}`] as [string, string]] : [])]} /></Field>
          <Group value={f.group ?? ""} set={(v) => set({ group: v, domainId: "" })} />
        </div>
        <Chips label="Filters" chips={chips.map(([name, value, change]) => [name, value, without(f, change)])} />
      </div>
      {stat.error && <Failed error={stat.error} retry={stat.reload} />}
      <Totals days={stat.data} engagement={engagement.data} scope={scope} f={f} />
      <OverTime days={stat.data} scope={scope} f={f} />
      {scope.group
        ? <Note tone="calm"><p>A group is counted by day. For what it consists of, choose a provider or a sub-account and look at its groups; times, devices and reasons are not counted by group.</p></Note>
        : <>
            <Breakdown scope={scope} f={f} />
            <div class="overview-pair">
              {!scope.domainId && <TimeToDeliver scope={scope} />}
              {!scope.domainId && <Reasons scope={scope} />}
            </div>
            {!scope.domainId && <Readers scope={scope} f={f} />}
          </>}
    </Page>
  );
}

/** Options, with the chosen one even when it is not among them: it may be deleted, or not be read yet. */
const named = (value: string | undefined, options: [string, string][]): [string, string][] => (value && !options.some(([v]) => v === value) ? [...options, [value, `id ${value}`]] : options);

const typeName = (types: string) => counters.map((c) => (typesOf(c) === types ? kinds[c].name : "")).find(Boolean) ?? types;

const without = (f: Filters, change: Filters) => to("/analytics", { ...f, ...change });

/** A name that is typed: it counts when it is complete. */
export function Group({ value, set }: { value: string; set: (v: string) => void }) {
  const [typed, type] = useState(value);
  useEffect(() => type(value), [value]);
  return (
    <form onSubmit={(e) => (e.preventDefault(), set(typed.trim()))}>
      <Field label="Group"><Input value={typed} onInput={type} onChange={(e: Event) => set((e.currentTarget as HTMLInputElement).value.trim())} placeholder="any" /></Field>
    </form>
  );
}

/** The API lists 31 days at a time. */
function useDays(scope: Scope): { data?: DailyStat[]; error?: Refusal; reload: () => void } {
  const path = scope.group ? "/account/stat/group" : scope.base;
  const query = { ...scope.query, group: scope.group };
  const days = daysOf(scope.from, scope.to);
  const short = days.length <= 31;
  const one = useGet<DailyStat[]>(short ? path : null, { from: scope.from, to: scope.to, ...query }, { every: 15_000 });
  const key = JSON.stringify([path, query, scope.from, scope.to]);
  const [many, setMany] = useState<{ key: string; data?: DailyStat[]; error?: Refusal }>({ key: "" });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (short) return;
    const stop = new AbortController();
    const parts: Promise<DailyStat[]>[] = [];
    for (let i = 0; i < days.length; i += 31) parts.push(get<DailyStat[]>(path, { from: days[i], to: days[Math.min(i + 30, days.length - 1)], ...query }, { signal: stop.signal }));
    Promise.all(parts).then((all) => setMany({ key, data: all.flat() }), (e) => (e as Error).name !== "AbortError" && setMany({ key, error: e as Refusal }));
    return () => stop.abort();
  }, [key, short, turn]);
  if (short) return one;
  return { data: many.key === key ? many.data : undefined, error: many.key === key ? many.error : undefined, reload: () => setTurn((n) => n + 1) };
}

const rated: Partial<Record<Counter, Counter>> = { sent: "processed", delivered: "sent", hardBounced: "sent", softBounced: "sent", dropped: "processed", unsubscribed: "delivered", spam: "delivered" };

function Totals({ days, engagement, scope, f }: { days?: DailyStat[]; engagement?: Engagement; scope: Scope; f: Filters }) {
  const total = useMemo(() => sum((days ?? []).map((d) => d.stat)), [days]);
  const wanted = f.type;
  return (
    <section class="tiles tiles-stat" aria-label="Totals">
      {counters.filter((c) => !wanted || counts(c, wanted)).map((c) => {
        const of = rated[c];
        const unique = c === "opened" ? engagement?.uniqueOpened : c === "clicked" ? engagement?.uniqueClicked : undefined;
        const about = unique !== undefined
          ? <span title="Messages that were opened, or clicked in, at least once">{short(unique)} unique{!f.type && ` · ${percent(share(unique, total.delivered))}`}</span>
          : of && !f.type ? `${percent(share(total[c], total[of]))} of ${kinds[of].name.toLowerCase()}` : "";
        return <Tile key={c} label={kinds[c].name} value={days ? <span title={count(total[c])}>{short(total[c])}</span> : "…"} href={scope.link(c)} about={about} />;
      })}
    </section>
  );
}

const lines: Counter[] = ["sent", "delivered", "opened", "clicked", "hardBounced", "softBounced"];
const rateLines: [Counter, Counter, string][] = [["delivered", "sent", "Delivered"], ["hardBounced", "sent", "Hard bounced"], ["softBounced", "sent", "Soft bounced"], ["spam", "delivered", "Complaints"]];

function OverTime({ days, scope, f }: { days?: DailyStat[]; scope: Scope; f: Filters }) {
  const rates = f.show === "rates" && !f.type;
  const all = useMemo(() => daysOf(scope.from, scope.to), [scope.from, scope.to]);
  const times = useMemo(() => all.map((d) => Date.parse(d) / 1000), [all]);
  const series = useMemo(() => {
    const of = new Map((days ?? []).map((d) => [d.date, d.stat]));
    const at = (d: string) => of.get(d) ?? none();
    const link = (c: Counter) => (!scope.link(c) ? undefined : (i: number) => scope.link(c, { from: all[i], to: all[i] })!);
    if (rates) return rateLines.map(([c, base, name]) => ({ name, values: all.map((d) => share(at(d)[c], at(d)[base])), href: link(c) }));
    const wanted = f.type ? counters.filter((c) => counts(c, f.type!)) : lines;
    return wanted.map((c) => ({ name: kinds[c].name, values: all.map((d) => at(d)[c]), href: link(c) }));
  }, [days, rates, all, f.type, scope.link("sent")]);
  return (
    <Card title="Over time" actions={!f.type && <Tabs label="Counts or rates" current={rates ? "rates" : "counts"} items={[{ key: "counts", name: "Counts", href: without(f, { show: "" }) }, { key: "rates", name: "Rates", href: without(f, { show: "rates" }) }]} />}>
      {days ? <Chart label={rates ? "Rates by day" : "Counts by day"} times={times} series={series} format={rates ? percent : undefined} /> : <div class="skeleton" aria-busy="true" />}
    </Card>
  );
}

type Row = Record<Counter, number> & Record<string, string | number>;

interface Cut {
  name: string;
  id: string; // the key of the row that says which it is
  label: (r: Row) => string;
  filter: (r: Row) => Filters | undefined; // what a click on the name selects
  events: (r: Row) => Where;
}

const cuts: Record<string, Cut> = {
  tpsp: { name: "Provider", id: "tpspId", label: (r) => String(r.name || (r.tpspId ? `id ${r.tpspId}` : "(planned for nobody)")), filter: (r) => (r.tpspId ? { tpspId: String(r.tpspId), ipId: "" } : undefined), events: (r) => ({ tpspId: r.tpspId! }) },
  ip: { name: "IP", id: "ipid", label: (r) => String(r.publicIP), filter: (r) => (r.ipid ? { ipId: String(r.ipid), tpspId: "" } : undefined), events: (r) => ({ ipId: r.ipid! }) },
  provider: { name: "Mailbox provider", id: "provider", label: (r) => mailboxName(String(r.provider)), filter: (r) => ({ provider: String(r.provider) }), events: (r) => ({ mailbox: String(r.provider) }) },
  subaccount: { name: "Sub-account", id: "sid", label: (r) => String(r.name || `id ${r.sid}`), filter: (r) => ({ subAccountId: String(r.sid) }), events: (r) => ({ subAccountId: r.sid! }) },
  domain: { name: "Domain", id: "name", label: (r) => String(r.name), filter: (r) => (r.id ? { domainId: String(r.id), group: "" } : undefined), events: (r) => ({ domain: String(r.name) }) },
  group: { name: "Group", id: "group", label: (r) => String(r.group), filter: (r) => ({ group: String(r.group), domainId: "" }), events: (r) => ({ group: String(r.group) }) },
};

const Amount = ({ n, href }: { n: number; href?: string }) => (n === 0 ? <span class="quiet">0</span> : href ? <a href={href}>{count(n)}</a> : <>{count(n)}</>);

const cells: Counter[] = ["processed", "sent", "delivered", "hardBounced", "softBounced", "dropped", "opened", "clicked", "unsubscribed", "spam"];

function Breakdown({ scope, f }: { scope: Scope; f: Filters }) {
  const offered = scope.domainId ? ["provider", "subaccount"] : Object.keys(cuts);
  const by = offered.includes(f.by ?? "") ? f.by! : offered[0]!;
  const cut = cuts[by]!;
  let path: string | null = `${scope.base}/aggregate/${by}`;
  let query = scope.query;
  if (by === "group") { // groups are listed of one sub-account or provider
    path = f.subAccountId ? `/account/subaccount/stat/${Number(f.subAccountId)}/aggregate/group` : f.tpspId ? `/account/tpsp/stat/${Number(f.tpspId)}/aggregate/group` : null;
    query = f.subAccountId ? { ...query, subAccountId: "" } : { ...query, tpspId: "" };
  }
  const rows = useGet<Row[]>(path, { from: scope.from, to: scope.to, ...query, limit: 100 }, { every: 30_000 });
  const columns: Column<Row>[] = [
    { name: cut.name, cell: (r) => { const change = cut.filter(r); return change ? <a href={without(f, change)} title="Filter by it"><bdi>{cut.label(r)}</bdi></a> : <bdi>{cut.label(r)}</bdi>; } },
    ...cells.map((c) => ({ name: kinds[c].name, end: true, cell: (r: Row) => <Amount n={r[c]} href={scope.link(c, cut.events(r))} /> })),
    { name: "Delivery rate", end: true, cell: (r) => percent(share(r.delivered, r.sent)) },
  ];
  return (
    <Card flush title={`By ${cut.name === "IP" ? "IP" : cut.name.toLowerCase()}`}>
      <div class="tabs-in"><Tabs label="Broken down by" current={by} items={offered.map((k) => ({ key: k, name: cuts[k]!.name, href: without(f, { by: k === "tpsp" ? "" : k }) }))} /></div>
      {path === null
        ? <Empty title="Groups are listed of one provider or sub-account"><p class="quiet">Choose one above, or type a group's name.</p></Empty>
        : <Loaded of={rows}>{(list) => <Table label={`By ${cut.name.toLowerCase()}`} scroll rows={list} keyOf={(r) => String(r[cut.id])} columns={columns} empty={<Empty title="Nothing was counted in this time"><p class="quiet">Choose a longer time, or fewer filters.</p></Empty>} />}</Loaded>}
    </Card>
  );
}

function TimeToDeliver({ scope }: { scope: Scope }) {
  const delay = useGet<Delay>(`${scope.base}/aggregate/delay`, { from: scope.from, to: scope.to, ...scope.query }, { every: 30_000 });
  return (
    <Card flush title="Time to deliver">
      <Loaded of={delay}>{(d) => d.delivered === 0 ? <Empty title="Nothing was delivered in this time" /> : (
        <>
          <p class="pad"><b class="num">{duration(d.medianMs)}</b> median, <b class="num">{duration(d.p95Ms)}</b> for 95 %, <b class="num">{duration(d.meanMs)}</b> on average, of <a href={scope.link("delivered")}>{count(d.delivered)}</a> deliveries.</p>
          <Table label="Time to deliver" rows={spans(d)} keyOf={(s) => s.name} columns={[
            { name: "Within", cell: (s) => s.name },
            { name: "Share", cell: (s) => <span class="bar-meter" aria-hidden="true"><span style={{ width: `${(100 * s.n) / d.delivered}%` }} /></span> },
            { name: "Delivered", end: true, cell: (s) => `${count(s.n)} (${percent(share(s.n, d.delivered))})` },
          ]} />
        </>
      )}</Loaded>
    </Card>
  );
}

/** The spans that have something, and those between them. */
function spans(d: Delay) {
  const list = d.spans.map((s, i) => ({ n: s.delivered, name: s.upToSeconds ? duration(s.upToSeconds * 1000) : `more than ${duration((d.spans[i - 1]?.upToSeconds ?? 0) * 1000)}` }));
  const from = list.findIndex((s) => s.n > 0);
  const end = list.findLastIndex((s) => s.n > 0);
  return from < 0 ? [] : list.slice(from, end + 1);
}

function Reasons({ scope }: { scope: Scope }) {
  const reasons = useGet<ReasonRow[]>(`${scope.base}/aggregate/reason`, { from: scope.from, to: scope.to, ...scope.query, limit: 25 }, { every: 30_000 });
  return (
    <Card flush title="Why mail bounced">
      <Loaded of={reasons}>{(list) => (
        <Table label="Why mail bounced" rows={list} keyOf={(r) => r.reason} empty={<Empty title="Nothing bounced in this time" />} columns={[
          { name: "Reason", cell: (r) => <bdi class="break">{r.reason}</bdi> },
          { name: "Hard", end: true, cell: (r) => <Amount n={r.hardBounced} href={scope.link("hardBounced", { reason: r.reason })} /> },
          { name: "Soft", end: true, cell: (r) => <Amount n={r.softBounced} href={scope.link("softBounced", { reason: r.reason })} /> },
        ]} />
      )}</Loaded>
    </Card>
  );
}

const readers: Record<string, string> = { device: "Device", client: "Program", os: "System", country: "Country" };

interface Reader { opened: number; uniqueOpened: number; clicked: number; uniqueClicked: number; [name: string]: string | number }

function Readers({ scope, f }: { scope: Scope; f: Filters }) {
  const by = f.readers && f.readers in readers ? f.readers : "device";
  const rows = useGet<Reader[]>(`${scope.base}/aggregate/${by}`, { from: scope.from, to: scope.to, ...scope.query, limit: 50 }, { every: 30_000 });
  const number = (c: Counter, key: "opened" | "uniqueOpened" | "clicked" | "uniqueClicked", name: string): Column<Reader> => ({ name, end: true, cell: (r) => <Amount n={r[key]} href={scope.link(c, { [by]: String(r[by]), first: key === c ? "" : "1" })} /> });
  return (
    <Card flush title="Who opened and clicked">
      <div class="tabs-in"><Tabs label="Opens and clicks by" current={by} items={Object.entries(readers).map(([k, name]) => ({ key: k, name, href: without(f, { readers: k === "device" ? "" : k }) }))} /></div>
      <Loaded of={rows}>{(list) => (
        <Table label={`Opens and clicks by ${readers[by]!.toLowerCase()}`} rows={list} keyOf={(r) => String(r[by])} empty={<Empty title="Nobody opened or clicked in this time"><p class="quiet">Opens and clicks are tracked where the request says so.</p></Empty>} columns={[
          { name: readers[by]!, cell: (r) => <bdi>{String(r[by])}</bdi> },
          number("opened", "opened", "Opened"), number("opened", "uniqueOpened", "Unique opens"), number("clicked", "clicked", "Clicked"), number("clicked", "uniqueClicked", "Unique clicks"),
        ]} />
      )}</Loaded>
    </Card>
  );
}
