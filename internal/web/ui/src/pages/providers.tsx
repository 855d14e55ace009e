import { useState } from "preact/hooks";
import { del, forget, post, put, useAction, useGet } from "../api";
import { count, plural } from "../format";
import { useKeys } from "../keys";
import { navigate, to, useFilters } from "../route";
import type { CaughtUp, Kind, Pool, Synced, Template, Tpsp, TpspChanges } from "../schema";
import { useMayChange } from "../session";
import { Limits } from "../switchyard/limits";
import { CatchUpWords, Drill, HealthWords, kindTitle, LastErrors, PauseProvider, useKinds, WebhookWords } from "../switchyard/parts";
import { StreamChoice, useStreams } from "../switchyard/streams";
import { TestSend } from "../switchyard/testsend";
import { Button, ButtonLink, Card, Check, Code, Confirm, Empty, Failed, Field, Input, Loaded, Note, Page, Progress, Select, Status, Table, Tabs, toast, unplaced, When } from "../ui";
import { asked, fieldLabel, isSecret, policies, syncs } from "./newprovider";

const perPage = 20;

export function Providers(_: { id: string }) {
  const [filters, setFilters] = useFilters();
  const may = useMayChange();
  const kinds = useKinds();
  const offset = Math.max(0, Number(filters.offset) || 0);
  const list = useGet<Tpsp[]>("/account/tpsp", { search: filters.q, limit: perPage + 1, offset }, { every: 10_000 });
  const rows = list.data?.slice(0, perPage);
  const [chosen, choose] = useState(-1);
  const go = (step: number) => {
    const n = Math.max(0, Math.min((rows?.length ?? 1) - 1, chosen + step));
    choose(n);
    document.querySelectorAll(".provider")[n]?.scrollIntoView({ block: "nearest" });
  };
  useKeys({ j: ["next provider", () => go(1)], k: ["previous provider", () => go(-1)], Enter: ["open the provider", () => rows?.[chosen] && navigate(`/providers/${rows[chosen]!.id}`)] });
  return (
    <Page title="Providers" about="Who carries your mail: how they are, what they may take, and what went wrong." actions={may && <ButtonLink href="/providers/new" kind="main">Connect a provider</ButtonLink>}>
      {(filters.q || offset > 0 || (list.data?.length ?? 0) > 5) && (
        <div class="filters"><Field label="Name"><Input type="search" value={filters.q ?? ""} onInput={(q) => setFilters({ q, offset: "" }, true)} /></Field></div>
      )}
      <Loaded of={list}>
        {() => rows!.length === 0 ? (
          <Card>{filters.q || offset ? <Empty title="No provider has such a name."><a href="/providers">Show all</a></Empty> : <Teach may={may} />}</Card>
        ) : (
          <div class="stack" role="list" aria-label="Providers">
            {rows!.map((t, i) => <Summary key={t.id} listed={t} kinds={kinds.data} chosen={i === chosen} />)}
            {(offset > 0 || list.data!.length > perPage) && (
              <div class="row">
                {offset > 0 && <ButtonLink href={to("/providers", { q: filters.q, offset: Math.max(0, offset - perPage) || "" })}>Previous</ButtonLink>}
                {list.data!.length > perPage && <ButtonLink href={to("/providers", { q: filters.q, offset: offset + perPage })}>Next</ButtonLink>}
              </div>
            )}
          </div>
        )}
      </Loaded>
    </Page>
  );
}

const Teach = ({ may }: { may: boolean }) => (
  <Empty title="No provider is connected yet.">
    <p>Mail leaves through providers. Connect one: with Postmark you need the Server API Token of a server, fetch its message streams, and choose one. The webhook and an IP pool come with it.</p>
    {may && <ButtonLink href="/providers/new" kind="main">Connect a provider</ButtonLink>}
    <p class="small quiet">From a terminal, or to try it without a provider:</p>
    <Code>postyard demo</Code>
  </Empty>
);

/** Reads one provider with what it takes at present; a change shows at once. */
function useTpsp(id: string | number, listed?: Tpsp) {
  const answer = useGet<Tpsp>(`/account/tpsp/${encodeURIComponent(String(id))}`, undefined, { every: 5000 });
  const [changed, setChanged] = useState<{ over?: Tpsp; t: Tpsp }>();
  const read = answer.data ?? listed;
  // What a change answered counts until the provider is read anew.
  const now = changed && changed.over === answer.data ? { ...changed.t, usage: changed.t.usage ?? read?.usage } : read;
  const onChange = (t: Tpsp) => {
    setChanged({ over: answer.data, t });
    answer.reload();
  };
  return { answer, now, onChange };
}

/** A provider in the list. */
function Summary({ listed, kinds, chosen }: { listed: Tpsp; kinds?: Kind[]; chosen: boolean }) {
  const may = useMayChange();
  const { now, onChange } = useTpsp(listed.id, listed);
  const t = now!;
  return (
    <section class="card provider" role="listitem" aria-label={t.name} data-chosen={chosen ? "" : undefined}>
      <header>
        <div class="provider-name">
          <h2 class="break"><a href={`/providers/${t.id}`}><bdi>{t.name}</bdi></a></h2>
          <span class="small quiet">{kindTitle(kinds, t.type)}{t.messageStream && <> · stream <code class="break">{t.messageStream}</code></>}</span>
        </div>
        {may && (
          <div class="row">
            <Drill tpsp={t} onChange={onChange} />
            <PauseProvider tpsp={t} onChange={onChange} />
            <ButtonLink small href={`/providers/${t.id}?tab=settings`}>Settings</ButtonLink>
          </div>
        )}
      </header>
      <div class="provider-parts">
        <div class="stack-tight"><h3>Health</h3><HealthWords health={t.health} /><CatchUpWords tpsp={t} /></div>
        <div class="stack-tight"><h3>Webhook</h3><WebhookWords tpsp={t} onChange={onChange} /></div>
        <div class="stack-tight"><h3>Limits <span class="small quiet">messages an hour</span></h3><Limits tpsp={t} onChange={onChange} /></div>
        <div class="stack-tight"><h3>Last errors</h3><LastErrors id={t.id} limit={3} /></div>
      </div>
    </section>
  );
}

export function Provider({ id }: { id: string }) {
  const [filters, setFilters] = useFilters();
  const may = useMayChange();
  const kinds = useKinds();
  const { answer, now: t, onChange } = useTpsp(id);
  const [deleting, setDeleting] = useState(false);
  const kind = kinds.data?.find((k) => k.type === t?.type);
  const tabs = [["", "Now"], ["settings", "Settings"], ...(kind?.templates ? [["templates", "Templates"]] : []), ...(may ? [["test", "Send a test"]] : [])] as [string, string][];
  const tab = tabs.find(([k]) => k === (filters.tab ?? ""))?.[0] ?? "";
  if (answer.error?.status === 404) {
    return <Page title="There is no such provider"><Empty title="It may have been deleted."><a href="/providers">To the providers</a></Empty></Page>;
  }
  return (
    <Page title={t?.name ?? "Provider"} about={t && <>{kindTitle(kinds.data, t.type)}{t.messageStream && <> · message stream <code>{t.messageStream}</code></>} · TPSP_{t.id} · connected <When at={t.created} /></>}
      actions={t && may && <><Drill tpsp={t} onChange={onChange} /><PauseProvider tpsp={t} onChange={onChange} /></>}>
      <Tabs label="Parts of the provider" current={tab} items={tabs.map(([key, name]) => ({ key, name, href: to(`/providers/${id}`, { tab: key }) }))} />
      <Loaded of={answer}>
        {() => (
          <>
            {tab === "" && <Now t={t!} kind={kind} onChange={onChange} />}
            {tab === "settings" && (
              <>
                {kind && <Settings key={t!.id} t={t!} kind={kind} onChange={onChange} />}
                {may && (
                  <Card title="Delete">
                    <div class="stack-tight">
                      <p>Its webhook is removed at the provider, and so is the IP pool that was made for it, unless others are in it. Its events and statistics stay.</p>
                      <div class="row"><Button kind="bad" onClick={() => setDeleting(true)}>Delete the provider</Button></div>
                    </div>
                  </Card>
                )}
              </>
            )}
            {tab === "templates" && <Templates id={t!.id} />}
            {tab === "test" && <Test t={t!} kind={kind} sent={filters.sent ?? ""} onSent={(sent) => setFilters({ sent }, true)} />}
          </>
        )}
      </Loaded>
      {deleting && t && <Delete t={t} onClose={() => setDeleting(false)} />}
    </Page>
  );
}

function Now({ t, kind, onChange }: { t: Tpsp; kind?: Kind; onChange: (t: Tpsp) => void }) {
  const may = useMayChange();
  return (
    <div class="halves">
      <div class="stack">
        <Card title="Health">
          <div class="stack-tight"><HealthWords health={t.health} /><CatchUpWords tpsp={t} /></div>
        </Card>
        <Card title="Limits, messages an hour"><Limits tpsp={t} onChange={onChange} /></Card>
        <Card title="Last errors"><LastErrors id={t.id} limit={8} /></Card>
      </div>
      <div class="stack">
        <Card title="Webhook"><WebhookWords tpsp={t} onChange={onChange} full /></Card>
        <Card title="IP pools"><InPools id={t.id} /></Card>
        {may && kind?.recalls && <Card title="Catch up"><CatchUp t={t} /></Card>}
        <Card title="Its mail">
          <div class="row">
            <a href={to("/messages", { q: `provider:TPSP_${t.id}` })}>Messages</a>
            <a href={to("/events", { via: `TPSP_${t.id}` })}>Events</a>
            <a href={to("/analytics", { tpspId: t.id })}>Analytics</a>
          </div>
        </Card>
      </div>
    </div>
  );
}

/** The IP pools that lead to a provider. */
function InPools({ id }: { id: number }) {
  const pools = useGet<Pool[]>("/account/ippool");
  return (
    <Loaded of={pools}>
      {(list) => {
        const mine = list.filter((p) => p.thirdPartySendingProviders.some((m) => m.id === id));
        return mine.length === 0 ? <p class="quiet">It is in no IP pool: no mail leaves through it. <a href={`/ippools/new?member=TPSP_${id}`}>Make one</a></p> : (
          <ul class="stack-tight">{mine.map((p) => <li key={p.id} class="break"><a href={`/ippools/${p.id}`}><bdi>{p.name}</bdi></a> <span class="small quiet">{p.thirdPartySendingProviders.length + p.ips.length === 1 ? "to it alone" : `with ${plural(p.thirdPartySendingProviders.length + p.ips.length - 1, "other")}`}</span></li>)}</ul>
        );
      }}
    </Loaded>
  );
}

const spans: [string, string][] = [["1h", "the last hour"], ["24h", "the last day"], ["72h", "the last 3 days"], ["168h", "the last week"], ["720h", "the last 30 days"]];

/** Reads back what the webhook did not bring. */
function CatchUp({ t }: { t: Tpsp }) {
  const [since, setSince] = useState("24h");
  const [done, setDone] = useState<CaughtUp>();
  const run = useAction(async () => {
    setDone(undefined);
    setDone((await post<CaughtUp[]>("/account/catch-up", { tpspId: t.id, since }))[0]);
  });
  return (
    <form class="stack-tight" onSubmit={(e) => (e.preventDefault(), void run.run())}>
      <p class="small quiet">Reads back from the provider what its webhook did not bring. It happens by itself after an outage; doing it more often does no harm.</p>
      <Field label="Events of" name="since" error={run.error}><Select value={since} onChange={setSince} options={spans} /></Field>
      <div class="row"><Button type="submit" busy={run.busy}>Catch up</Button></div>
      {run.busy && <Progress label="The provider is asked. That may take minutes; it goes on when you leave the page." />}
      {unplaced(run.error, "since") && <Failed error={run.error!} />}
      {done && (
        <Note tone={done.error ? "bad" : "good"}>
          {done.error ? <bdi>{done.error}</bdi> : <>{plural(done.recorded, "new event")}; {plural(done.reports, "report")} read, {count(done.duplicates)} known already.</>}
          {done.missing.length > 0 && <p class="small">The provider does not let these be read: <bdi>{done.missing.join(", ")}</bdi></p>}
        </Note>
      )}
    </form>
  );
}

/** The templates that are mirrored of a provider. */
function Templates({ id }: { id: number }) {
  const may = useMayChange();
  const list = useGet<Template[]>("/account/templates");
  const read = useAction(async () => {
    const [s] = await post<Synced[]>("/account/templates/sync", { tpspId: id });
    list.reload();
    if (s) toast(s.error ? `Not read: ${s.error}` : `${plural(s.templates, "template")} read: ${s.added} new, ${s.changed} changed, ${s.removed} gone.`);
  });
  return (
    <Card flush title="Templates" actions={may && <Button small busy={read.busy} onClick={() => void read.run()}>Read now</Button>}>
      {read.busy && <Progress label="The provider's templates are being read." />}
      {read.error && <Failed error={read.error} />}
      <Loaded of={list}>
        {(all) => (
          <Table label="Mirrored templates" rows={all.filter((t) => t.tpspId === id)} keyOf={(t) => t.alias}
            columns={[
              { name: "Alias", cell: (t) => <code class="break">{t.alias}</code> },
              { name: "Name", cell: (t) => <bdi>{t.name}</bdi> },
              { name: "Type", cell: (t) => t.type },
              { name: "Layout", cell: (t) => t.layout && <code>{t.layout}</code> },
              { name: "For other providers", cell: (t) => (t.error ? <><Status tone="warn">cannot be rendered</Status> <span class="small break"><bdi>{t.error}</bdi></span></> : <Status tone="good">can be rendered</Status>) },
              { name: "Changed", cell: (t) => <When at={t.changedAt} /> },
              { name: "Read", cell: (t) => <When at={t.syncedAt} /> },
            ]}
            empty={<Empty title="No template with an alias is known of it.">Templates without an alias are left out. Make one at the provider, and read them now.</Empty>} />
        )}
      </Loaded>
    </Card>
  );
}

/** A test through the pool that leads to it alone, when there is one. */
function Test({ t, kind, sent, onSent }: { t: Tpsp; kind?: Kind; sent: string; onSent: (id: string) => void }) {
  const pools = useGet<Pool[]>("/account/ippool");
  return (
    <Loaded of={pools}>
      {(list) => {
        const mine = list.filter((p) => p.thirdPartySendingProviders.some((m) => m.id === t.id));
        const alone = mine.find((p) => p.thirdPartySendingProviders.length === 1 && p.ips.length === 0 && !p.shouldOverflow && p.toAccountIPPools.length === 0);
        const pool = alone ?? mine[0];
        if (!pool) return <Card><Empty title="It is in no IP pool."><a href={`/ippools/new?member=TPSP_${t.id}`}>Make one that leads to it</a></Empty></Card>;
        return <TestSend tpsp={t} kind={kind} pool={pool.name} sent={sent} onSent={onSent} />;
      }}
    </Loaded>
  );
}

/** Everything of a connection that can be changed; it is in force when it is saved. */
function Settings({ t, kind, onChange }: { t: Tpsp; kind: Kind; onChange: (t: Tpsp) => void }) {
  const may = useMayChange();
  const stored = valuesOf(t);
  const [draft, setDraft] = useState<Record<string, string>>({});
  const value = (f: string) => draft[f] ?? stored[f] ?? "";
  const set = (f: string) => (v: string) => setDraft({ ...draft, [f]: v });
  const changed = Object.keys(draft).filter((f) => draft[f] !== stored[f]);
  const save = useAction(async () => {
    streams.fetch.clear();
    const body: Record<string, unknown> = {};
    for (const f of changed) body[f] = f === "port" ? Number(draft[f]) : f === "allowRaw" ? draft[f] === "true" : draft[f];
    const after = await put<Tpsp>(`/account/tpsp/${t.id}`, body as TpspChanges);
    forget();
    setDraft({});
    onChange(after);
    toast(`${after.name} is changed.`);
  });
  const fields = asked(kind);
  const streams = useStreams({ tpspId: t.id, type: t.type, key: value("key").trim(), endpoint: value("endpoint").trim() });
  const error = save.error ?? streams.fetch.error;
  const moves = changed.some((f) => ["key", "secret", "endpoint", "domain", "port", "messageStream"].includes(f));
  return (
    <form class="stack" onSubmit={(e) => (e.preventDefault(), void save.run())} autocomplete="off">
      <Card title="Settings">
        <fieldset class="stack" disabled={!may}>
          <div class="form-row">
            <Field label="Name" name="name" error={error}><Input value={value("name")} onInput={set("name")} required dir="auto" /></Field>
            {fields.map((f) => (
              <Field key={f.name} label={fieldLabel(f.name, kind.type)} name={f.name} error={error} hint={isSecret(f.name, kind.type) || f.name === "key" ? `${f.holds}; shown masked, write another one to change it` : f.holds}>
                <Input value={value(f.name)} onInput={set(f.name)} type={f.name === "port" ? "number" : "text"} class="mono" autocomplete="off" spellcheck={false} />
              </Field>
            ))}
            {kind.streams && <Field label="Message stream" name="messageStream" error={error} hint="the id of a stream of the server"><Input value={value("messageStream")} onInput={set("messageStream")} class="mono" spellcheck={false} required /></Field>}
          </div>
          {kind.streams && may && <StreamChoice of={streams} kind={kind} chosen={value("messageStream")} onChoose={set("messageStream")} needs={value("key").trim() ? "" : fieldLabel("key", kind.type)} />}
          <div class="form-row">
            <Field label="When nobody knows whether it has a message" name="ambiguousPolicy" error={error}><Select value={value("ambiguousPolicy")} onChange={set("ambiguousPolicy")} options={policies} /></Field>
            {kind.suppresses && <Field label="Its suppression list" name="suppressionSync" error={error}><Select value={value("suppressionSync")} onChange={set("suppressionSync")} options={syncs} /></Field>}
          </div>
          {kind.allowRaw && <Check checked={value("allowRaw") === "true"} onChange={(on) => set("allowRaw")(String(on))}>It takes messages without a template, too (allowRaw)</Check>}
        </fieldset>
        {unplaced(error, "name", "messageStream", "ambiguousPolicy", "suppressionSync", ...fields.map((f) => f.name)) && <div class="after"><Failed error={error!} /></div>}
        {may && (
          <div class="row after">
            <Button type="submit" kind="main" busy={save.busy} disabled={changed.length === 0}>Save</Button>
            {changed.length > 0 && <Button onClick={() => (save.clear(), streams.fetch.clear(), setDraft({}))}>Discard</Button>}
            {moves && <span class="small quiet">The provider is asked before anything is stored; the webhook moves along.</span>}
          </div>
        )}
        {save.busy && <Progress label="The provider is being asked." />}
      </Card>
    </form>
  );
}

const valuesOf = (t: Tpsp): Record<string, string> => ({
  name: t.name, key: t.key, secret: t.secret, endpoint: t.endpoint, domain: t.domain, port: t.port ? String(t.port) : "", messageStream: t.messageStream,
  ambiguousPolicy: t.ambiguousPolicy, suppressionSync: t.suppressionSync, allowRaw: String(t.allowRaw),
});

function Delete({ t, onClose }: { t: Tpsp; onClose: () => void }) {
  const gone = () => {
    forget();
    toast(`${t.name} is deleted.`);
    navigate("/providers");
  };
  const force = useAction(async () => {
    await del(`/account/tpsp/${t.id}`, { query: { force: true } });
    gone();
  });
  return (
    <Confirm title="Delete the provider?" verb="Delete" bad onClose={onClose}
      act={async () => {
        await del(`/account/tpsp/${t.id}`);
        gone();
      }}
      onRefused={(e) => e.status === 409 && (e.code === "messages_waiting" || e.code === "ippools_would_be_empty") && (
        <div class="stack-tight">
          <p>{e.code === "messages_waiting"
            ? "Deleted all the same, its mail goes to the other providers of its IP pools; what nobody else can carry is dropped."
            : "Deleted all the same, these IP pools have no member any more: sends to them are refused until you change them."}</p>
          {force.error && <Failed error={force.error} />}
          <div class="row"><Button kind="bad" busy={force.busy} onClick={() => void force.run()}>Delete all the same</Button></div>
        </div>
      )}>
      <p><bdi>{t.name}</bdi> carries no mail any more. Its webhook is removed, and so is the IP pool that was made for it, unless others are in it. Events that come later still count.</p>
    </Confirm>
  );
}
