import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { get, useAction, useGet } from "../api";
import { count, day, percent, plural, short } from "../format";
import { kindOf } from "../mail";
import { to } from "../route";
import type { Attention, Check, DailyStat, Event, Pool, SubAccount, Throttle, TpspRow } from "../schema";
import { useSession } from "../session";
import { type Counter, daysOf, eventsOf, none, share, typesOf } from "../stat";
import { Button, ButtonLink, Card, Chart, Code, Empty, Failed, Loaded, Meter, Note, Page, Progress, Status, Table, Tile, type Tone, Until, When } from "../ui";

const soon = 5_000;
const later = 10_000;
const chartDays = 14;

export function Overview(_: { id: string }) {
  const today = day();
  const stat = useGet<DailyStat[]>("/account/stat", { from: day(chartDays - 1), to: today }, { every: soon });
  const throttles = useGet<Throttle[]>("/account/throttles", undefined, { every: soon });
  const attention = useGet<Attention[]>("/account/attention", undefined, { every: later });
  const rows = useGet<TpspRow[]>("/account/stat/aggregate/tpsp", { from: today, to: today, exported: true }, { every: later });
  const events = useGet<Event[]>("/account/event/", { order: "desc", limit: 60 }, { every: soon });
  const bad = useGet<Event[]>("/account/event/", { order: "desc", limit: 6, type: typesOf("hardBounced", "softBounced", "spam"), from: day(6) }, { every: soon });
  const providers = throttles.data;
  const empty = events.data?.length === 0;
  return (
    <Page title="Overview" about="What happens now, and what needs you.">
      {(empty || providers?.length === 0) && <FirstEmail providers={providers ?? []} />}
      <Now stat={stat.data} throttles={providers} />
      <Needs attention={attention.data} error={attention.error} retry={attention.reload} throttles={providers} />
      <div class="overview-pair overview-mail">
        <Card title="Latest mail" flush actions={<a href="/messages">All messages</a>}>
          <Loaded of={events}>{(list) => <Latest events={list} />}</Loaded>
        </Card>
        <Card title="Bounces and complaints" flush actions={<a href={eventsOf(["hardBounced", "softBounced", "spam"], { from: day(6) })}>All of 7 days</a>}>
          <Loaded of={bad}>{(list) => <Bad events={list} />}</Loaded>
        </Card>
      </div>
      <Card title="Providers" flush actions={<><a href="/throttles">Throttles</a><a href="/compare">Compare</a></>}>
        <Loaded of={throttles}>{(list) => <Providers list={list} rows={rows.data ?? []} />}</Loaded>
      </Card>
      <Card title={`The last ${chartDays} days`} actions={<a href={to("/analytics", { days: 14 })}>Analytics</a>}>
        <Loaded of={stat}>{(list) => <Days list={list} />}</Loaded>
      </Card>
      {!empty && <Send providers={providers ?? []} />}
    </Page>
  );
}

const egressOf = (t: { tpspId: number; ipId: number }) => (t.tpspId ? { tpspId: t.tpspId } : { ipId: t.ipId });

/** The numbers of today, and what waits at this moment. */
function Now({ stat, throttles }: { stat?: DailyStat[]; throttles?: Throttle[] }) {
  const today = day();
  const c = stat?.find((d) => d.date === today)?.stat ?? none();
  const at = { from: today, to: today };
  const bounced = c.hardBounced + c.softBounced;
  const ready = stat !== undefined;
  const value = (n: number) => (ready ? short(n) : "…");
  const hour = throttles?.reduce((n, t) => n + t.total.taken, 0);
  const waiting = throttles?.reduce((n, t) => n + t.total.waiting, 0) ?? 0;
  const more = throttles?.some((t) => t.total.more);
  const oldest = throttles?.map((t) => t.total.oldest).filter(Boolean).sort((a, b) => a - b)[0];
  return (
    <section class="tiles tiles-now" aria-label="Today">
      <Tile label="Accepted today" value={value(c.processed)} href={eventsOf("processed", at)} about="UTC day" />
      <Tile label="Sent in 60 minutes" value={hour === undefined ? "…" : short(hour)} href="/throttles" about={ready ? `${count(c.sent)} today` : ""} />
      <Tile label="Delivered today" value={value(c.delivered)} href={eventsOf("delivered", at)} about={`${percent(share(c.delivered, c.sent))} of sent`} />
      <Tile label="Bounced today" value={value(bounced)} href={eventsOf(["hardBounced", "softBounced"], at)} about={`${percent(share(bounced, c.sent))} of sent`} />
      <Tile label="Complaints today" value={value(c.spam)} href={eventsOf("spam", at)} about={`${percent(share(c.spam, c.delivered))} of delivered`} />
      <Tile label="Waiting now" value={throttles ? short(waiting) + (more ? "+" : "") : "…"} href={to("/throttles", { waiting: 1 })} about={oldest ? <>oldest <When at={oldest} /></> : "nothing waits"} />
    </section>
  );
}

function grouped<T>(list: T[], by: (one: T) => string) {
  const groups = new Map<string, T[]>();
  for (const one of list) groups.set(by(one), [...(groups.get(by(one)) ?? []), one]);
  return groups;
}

const severity: Record<string, [Tone, string]> = { fail: ["bad", "Act"], warn: ["warn", "Look"], note: ["calm", "Note"] };
const checks: Record<string, [Tone, string]> = { ok: ["good", "ok"], warn: ["warn", "Look"], fail: ["bad", "Act"] };

const place = (a: Attention) =>
  a.ipPoolId ? `/ippools/${a.ipPoolId}` : a.tpspId ? `/providers/${a.tpspId}` : a.webhookId ? `/webhooks/${a.webhookId}` : a.subAccountId ? `/subaccounts/${a.subAccountId}` : a.kind === "no_provider" ? "/providers/new" : "";

/** What needs attention: what is known already, and, when it is asked for, what an examination finds. */
function Needs({ attention, error, retry, throttles }: { attention?: Attention[]; error?: Parameters<typeof Failed>[0]["error"]; retry: () => void; throttles?: Throttle[] }) {
  const [found, setFound] = useState<Check[]>();
  const examine = useAction(async () => setFound(await get<Check[]>("/account/doctor")));
  const list = attention ?? [];
  const grave = list.filter((a) => a.severity !== "note");
  const notes = list.filter((a) => a.severity === "note");
  const waits = (throttles ?? []).flatMap((t) => t.lanes.flatMap((l) => l.waits.map((w) => ({ ...w, t, l })))).filter((w) => !w.reason.startsWith("they are ready"));
  const byReason = [...grouped(waits, (w) => `${w.t.name}\n${w.reason}`).values()];
  const calm = attention !== undefined && grave.length === 0 && byReason.length === 0;
  return (
    <Card title="What needs attention" flush
      actions={<Button small busy={examine.busy} onClick={() => void examine.run()} title="Asks every provider, and calls the server's own address: it may take half a minute">Examine everything</Button>}>
      {error && <Failed error={error} retry={retry} />}
      {attention === undefined && !error && <div class="skeleton" aria-busy="true"><span class="off-screen">Loading</span></div>}
      {calm && <p class="pad row"><Status tone="good">All is well</Status><span class="quiet">Providers, webhooks and pools report no trouble, and no mail waits for more than its turn.</span></p>}
      {(grave.length > 0 || byReason.length > 0) && (
        <ul class="needs" aria-label="Needs attention">
          {grave.map((a) => <Item key={a.kind + place(a) + a.name + a.message} a={a} />)}
          {byReason.map((ws) => {
            const { t, reason } = ws[0]!;
            const until = ws.map((w) => w.until).filter(Boolean).sort((a, b) => a - b)[0];
            return (
              <li key={t.name + reason}>
                <Status tone="wait">Waits</Status>
                <div>
                  <a href={to("/throttles", { waiting: 1, ...egressOf(t) })}><bdi>{t.name}</bdi></a>
                  : {plural(ws.reduce((n, w) => n + w.messages, 0), "message")}{ws.some((w) => w.l.more) ? " or more" : ""}, oldest <When at={Math.min(...ws.map((w) => w.oldest))} />
                  <div class="small quiet break"><bdi>{reason}</bdi>{until ? <>; the next leaves <Until at={until} /></> : ""}</div>
                </div>
              </li>
            );
          })}
        </ul>
      )}
      {notes.length > 0 && (
        <details class="pad">
          <summary>{plural(notes.length, "note")} about pools</summary>
          <ul class="needs" aria-label="Notes">{notes.map((a) => <Item key={a.kind + a.ipPoolId + a.tpspId + a.message} a={a} />)}</ul>
        </details>
      )}
      {(examine.busy || examine.error || found) && (
        <div class="pad stack-tight">
          {examine.busy && <Progress label="Every provider is asked, and called back. It takes up to half a minute." />}
          {examine.error && <Failed error={examine.error} />}
          {found && !examine.busy && <Examined list={found} />}
        </div>
      )}
    </Card>
  );
}

function Item({ a }: { a: Attention }) {
  const [tone, word] = severity[a.severity] ?? ["calm", a.severity];
  return (
    <li>
      <Status tone={tone}>{word}</Status>
      <div>
        {place(a) ? <a href={place(a)}><bdi>{a.name}</bdi></a> : <b><bdi>{a.name}</bdi></b>}: <span class="break" dir="auto">{a.message}</span>
        {(a.fix || a.until > 0) && <div class="small quiet break">{a.fix}{a.until > 0 && <>{a.fix && " · "}it is tried again <Until at={a.until} /></>}</div>}
      </div>
    </li>
  );
}

function Examined({ list }: { list: Check[] }) {
  const wrong = list.filter((c) => c.status !== "ok");
  return (
    <>
      <h3>{wrong.length ? `${wrong.length} of ${plural(list.length, "check")} found something` : `All ${list.length} checks are well`}</h3>
      <Table label="Checks" rows={wrong.length ? wrong : list} keyOf={(c) => `${c.check} ${c.tpspId} ${c.tpsp} ${c.message}`} columns={[
        { name: "Check", cell: (c) => <code>{c.check}</code> },
        { name: "Provider", cell: (c) => (c.tpspId ? <a href={`/providers/${c.tpspId}`}><bdi>{c.tpsp}</bdi></a> : <bdi>{c.tpsp}</bdi>) },
        { name: "Status", cell: (c) => <Status tone={checks[c.status]?.[0] ?? "calm"}>{checks[c.status]?.[1] ?? c.status}</Status> },
        { name: "Found", cell: (c) => <span class="break" dir="auto">{c.message}</span> },
        { name: "Fix", cell: (c) => <span class="break small">{c.fix}</span> },
      ]} />
    </>
  );
}

/** The newest messages that something happened to, each with the last of it. */
function Latest({ events }: { events: Event[] }) {
  const seen = new Map<string, Event>();
  for (const e of events) if (!seen.has(e.messageID)) seen.set(e.messageID, e);
  return (
    <Table label="Latest mail" rows={[...seen.values()].slice(0, 8)} keyOf={(e) => e.messageID} href={(e) => `/messages/${e.messageID}`}
      empty={<Empty title="No mail yet"><p class="quiet">What is sent shows here at once.</p></Empty>} columns={mailColumns} />
  );
}

const mailColumns = [
  { name: "When", cell: (e: Event) => <When at={e.submittedAt} /> },
  { name: "Event", cell: (e: Event) => <Status tone={kindOf(e.type).tone}>{kindOf(e.type).name}</Status> },
  { name: "Message", cell: (e: Event) => (
    <div class="mail-cell">
      <a href={`/messages/${e.messageID}`} class="clip"><bdi>{e.to}</bdi></a>
      <span class="small quiet clip" dir="auto">{e.messageSubject}</span>
    </div>
  ) },
];

const Bad = ({ events }: { events: Event[] }) => (
  <Table label="Bounces and complaints" rows={events} keyOf={(e) => e.eventID}
    empty={<Empty title="None in 7 days"><p class="quiet">Addresses that bounce hard or complain are suppressed from then on.</p></Empty>} columns={[
      mailColumns[0]!, mailColumns[1]!,
      { name: "Message", cell: (e) => (
        <div class="mail-cell">
          <a href={`/messages/${e.messageID}`} class="clip"><bdi>{e.to}</bdi></a>
          <span class="small quiet clip" dir="auto" title={e.smtpDescription}>{e.smtpDescription || e.messageSubject}</span>
        </div>
      ) },
    ]} />
);

export const states: Record<string, [Tone, string]> = { ok: ["good", "ok"], impaired: ["warn", "impaired"], stopped: ["bad", "stopped"], paused: ["calm", "paused"], drill: ["warn", "drill"], missing: ["bad", "missing"] };

export const State = ({ state, reason }: { state: string; reason: string }) => <Status tone={states[state]?.[0] ?? "calm"} title={reason || undefined}>{states[state]?.[1] ?? state}</Status>;

const Providers = ({ list, rows }: { list: Throttle[]; rows: TpspRow[] }) => {
  const of = (t: Throttle) => rows.find((r) => t.tpspId && r.tpspId === t.tpspId);
  const at = (t: Throttle) => ({ ...egressOf(t), from: day(), to: day() });
  const number = (t: Throttle, c: Counter) => {
    const n = of(t)?.[c] ?? 0;
    return n ? <a href={eventsOf(c, at(t))}>{short(n)}</a> : "0";
  };
  return (
    <Table label="Providers" rows={list} keyOf={(t) => `${t.tpspId}/${t.ipId}`} href={(t) => (t.tpspId ? `/providers/${t.tpspId}` : to("/throttles", egressOf(t)))}
      empty={<Empty title="No provider is connected"><p class="quiet">Mail leaves through providers that you have an account at.</p><ButtonLink kind="main" href="/providers/new">Connect a provider</ButtonLink></Empty>}
      columns={[
        { name: "Provider", cell: (t) => <a href={t.tpspId ? `/providers/${t.tpspId}` : to("/throttles", egressOf(t))}><bdi>{t.name}</bdi></a> },
        { name: "Health", cell: (t) => <State state={t.state} reason={t.reason} /> },
        { name: "Last 60 min", cell: (t) => <Rate lane={t.total} name={t.name} /> },
        { name: "Waiting", end: true, cell: (t) => (t.total.waiting ? <a href={to("/throttles", { waiting: 1, ...egressOf(t) })}>{short(t.total.waiting)}{t.total.more ? "+" : ""}</a> : "0") },
        { name: "Sent today", end: true, cell: (t) => (t.tpspId ? number(t, "sent") : "–") },
        { name: "Delivered", end: true, cell: (t) => (t.tpspId ? number(t, "delivered") : "–") },
        { name: "Hard", end: true, cell: (t) => (t.tpspId ? number(t, "hardBounced") : "–") },
        { name: "Soft", end: true, cell: (t) => (t.tpspId ? number(t, "softBounced") : "–") },
      ]} />
  );
};

/** What is taken of a limit. */
export const Rate = ({ lane, name }: { lane: Throttle["total"]; name: string }) => (
  <span class={lane.ratePerHour > 0 ? "rate" : "num"}>
    <span class="num">{short(lane.taken)}{lane.ratePerHour ? ` of ${short(lane.ratePerHour)}` : ""}</span>
    {lane.ratePerHour > 0 ? <Meter value={lane.taken} max={lane.ratePerHour} label={`${name}: ${count(lane.taken)} of ${count(lane.ratePerHour)} in 60 minutes`} /> : <span class="small quiet"> no limit</span>}
  </span>
);

const shown: Counter[] = ["sent", "delivered", "hardBounced", "softBounced"];
const names: Partial<Record<Counter, string>> = { sent: "Sent", delivered: "Delivered", hardBounced: "Hard bounced", softBounced: "Soft bounced" };

function Days({ list }: { list: DailyStat[] }) {
  const days = daysOf(day(chartDays - 1), day());
  const of = new Map(list.map((d) => [d.date, d.stat]));
  return (
    <Chart label={`Mail of the last ${chartDays} days`} times={days.map((d) => Date.parse(d) / 1000)}
      series={shown.map((c) => ({ name: names[c]!, values: days.map((d) => of.get(d)?.[c] ?? 0), href: (i) => eventsOf(c, { from: days[i], to: days[i] }) }))} />
  );
}

/** The way to the first email, with what is done already. */
function FirstEmail({ providers }: { providers: Throttle[] }) {
  const pools = useGet<Pool[]>("/account/ippool", { limit: 1 });
  const steps: [done: boolean, name: string, body: ComponentChildren][] = [
    [providers.length > 0, "Connect a provider", <ButtonLink kind={providers.length ? undefined : "main"} small href="/providers/new">Connect a provider</ButtonLink>],
    [(pools.data?.length ?? 0) > 0, "It gets an IP pool", <span class="small quiet">Made with the provider; requests name it. <a href="/ippools">IP pools</a></span>],
    [false, "Send the first email", <Curl providers={providers} />],
    [false, "See what became of it", <span class="small quiet">It shows below within a second, with every event, and why it went where it did.</span>],
  ];
  return (
    <Card title="The first email">
      <ol class="steps">
        {steps.map(([done, name, body]) => (
          <li key={name} data-done={done ? "" : undefined}>
            <div class="stack-tight grow">
              <div class="row"><b>{name}</b>{done && <Status tone="good">done</Status>}</div>
              {body}
            </div>
          </li>
        ))}
      </ol>
    </Card>
  );
}

function Send({ providers }: { providers: Throttle[] }) {
  const [open, setOpen] = useState(false);
  return (
    <Card title="Send one more">
      <details onToggle={(e) => setOpen((e.currentTarget as HTMLDetailsElement).open)}>
        <summary>With curl</summary>
        {open && <div class="stack-tight"><Curl providers={providers} /><p class="small quiet">It shows under Latest mail within a second. Open it there: its page says which way it took, and why.</p></div>}
      </details>
    </Card>
  );
}

/** A command that sends an email with what the account has. */
function Curl({ providers }: { providers: Throttle[] }) {
  const session = useSession()!;
  const subs = useGet<SubAccount[]>("/account/subaccount", { limit: 1 });
  const pools = useGet<Pool[]>("/account/ippool", { limit: 1 });
  const templates = useGet<{ alias: string; type: string }[]>("/account/templates", { limit: 5 });
  if (!subs.data || !pools.data || (!templates.data && !templates.error)) return <div class="skeleton" aria-busy="true" />;
  const sub = subs.data[0];
  const pool = pools.data[0];
  const template = templates.data?.find((t) => t.type === "template")?.alias;
  const key = sub?.apiKey && !sub.apiKey.includes("*") ? sub.apiKey : "$SUB_ACCOUNT_KEY";
  const email = {
    from: { email: "hello@example.com" },
    to: [{ email: "ana@gmail.com", name: "Ana" }],
    subject: "Welcome",
    ...(pool ? { ippool: pool.name } : {}),
    ...(template && pool?.thirdPartySendingProviders.some((p) => p.type === 4) ? { tpspTemplate: template, customFields: { name: "Ana" } } : { htmlBody: "<p>Hello Ana</p>", textBody: "Hello Ana" }),
    groups: ["welcome"],
  };
  return (
    <>
      {providers.length === 0 && <Note tone="wait">Connect a provider first: until then there is nobody to carry it.</Note>}
      {key.startsWith("$") && <p class="small quiet">The key is a sub-account's: {sub ? <a href={`/subaccounts/${sub.id}`}><bdi>{sub.name}</bdi></a> : <a href="/subaccounts">Sub-accounts</a>}.</p>}
      <Code>{`curl ${session.publicUrl}/api/v1/subaccount/email/ \\\n  -H "X-SubAccount-ApiKey: ${key}" -H "Content-Type: application/json" \\\n  -d '${JSON.stringify(email).replaceAll("'", "'\\''")}'`}</Code>
    </>
  );
}
