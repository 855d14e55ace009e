import { useMemo, useState } from "preact/hooks";
import { del, forget, post, put, useAction, useGet } from "../api";
import { plural } from "../format";
import { navigate, to, useFilters } from "../route";
import type { Ip, Pool, PoolSettings, Template, Tpsp, Warning } from "../schema";
import { useMayChange } from "../session";
import { Editor } from "../switchyard/editor";
import { gravest, PoolPreview, usePreview } from "../switchyard/preview";
import { byVolume, changesOf, type Draft, draftOf, goneOf, membersOf, poolMembers, roundRobin, strategyName } from "../switchyard/strategy";
import { Button, ButtonLink, Card, Code, Confirm, Empty, Failed, Field, Input, Loaded, Note, Page, Progress, Status, Table, toast, unplaced } from "../ui";

const perPage = 50;

export function IPPools(_: { id: string }) {
  const [filters, setFilters] = useFilters();
  const may = useMayChange();
  const offset = Math.max(0, Number(filters.offset) || 0);
  const list = useGet<Pool[]>("/account/ippool", { search: filters.q, limit: perPage + 1, offset }, { every: 15_000 });
  return (
    <Page title="IP pools" about="A send names an IP pool; the pool's strategy says which provider carries it." actions={may && <ButtonLink href="/ippools/new" kind="main">New IP pool</ButtonLink>}>
      <div class="filters"><Field label="Name"><Input type="search" value={filters.q ?? ""} onInput={(q) => setFilters({ q, offset: "" }, true)} /></Field></div>
      <Loaded of={list}>
        {(pools) => (
          <>
            <Card flush>
              <Table label="IP pools" rows={pools.slice(0, perPage)} keyOf={(p) => p.id} href={(p) => `/ippools/${p.id}`}
                columns={[
                  { name: "Name", cell: (p) => <a href={`/ippools/${p.id}`} class="break"><b><bdi>{p.name}</bdi></b></a> },
                  { name: "Strategy", cell: (p) => strategyName(p.routingStrategy) },
                  { name: "Members", cell: (p) => <Members pool={p} /> },
                  { name: "Leads to", cell: (p) => <LeadsTo pool={p} /> },
                  { name: "State", cell: (p) => <State pool={p} may={may} /> },
                  { name: "Warnings", cell: (p) => <WarningsOf pool={p} /> },
                ]}
                empty={filters.q ? <Empty title="No IP pool has such a name."><a href="/ippools">Show all</a></Empty> : <Teach may={may} />} />
            </Card>
            {(offset > 0 || pools.length > perPage) && (
              <div class="row">
                {offset > 0 && <ButtonLink href={to("/ippools", { q: filters.q, offset: Math.max(0, offset - perPage) || "" })}>Previous</ButtonLink>}
                {pools.length > perPage && <ButtonLink href={to("/ippools", { q: filters.q, offset: offset + perPage })}>Next</ButtonLink>}
              </div>
            )}
          </>
        )}
      </Loaded>
    </Page>
  );
}

const Teach = ({ may }: { may: boolean }) => (
  <Empty title="There is no IP pool yet.">
    <p>One is made with each provider that you connect, and leads to it alone. Make another one to share mail between providers, or to have one stand in for another.</p>
    {may && <ButtonLink href="/providers/new" kind="main">Connect a provider</ButtonLink>}
    <p class="small quiet">A send names the pool:</p>
    <Code>{`"ippool": "my-pool"`}</Code>
  </Empty>
);

/** Who is in a pool, with the shares where it has some. */
function Members({ pool }: { pool: Pool }) {
  const volumes = pool.routingStrategy === byVolume ? draftOf(pool, undefined).volumes : undefined;
  const list = poolMembers(pool);
  const most = 4;
  if (list.length === 0) return <span class="quiet">none</span>;
  return (
    <span class="break">
      {list.slice(0, most).map((m, i) => <span key={m.id}>{i > 0 && ", "}<bdi>{m.name}</bdi>{volumes && <span class="quiet num"> {(volumes[m.id] ?? 0) / 100} %</span>}</span>)}
      {list.length > most && <span class="quiet"> and {plural(list.length - most, "other")}</span>}
    </span>
  );
}

const LeadsTo = ({ pool }: { pool: Pool }) => {
  const names = [...(pool.shouldOverflow ? [`${pool.overflowPoolName} (overflow)`] : []), ...pool.toAccountIPPools.map((t) => t.name)];
  return <span class="break">{names.length ? names.map((n, i) => <span key={n}>{i > 0 && ", "}<bdi>{n}</bdi></span>) : <span class="quiet">–</span>}</span>;
};

function State({ pool, may }: { pool: Pool; may: boolean }) {
  const settings = useGet<PoolSettings>(`/account/ippool/${pool.id}/settings`, undefined, { every: 15_000 });
  if (!settings.data) return <span class="quiet">…</span>;
  return (
    <span class="row">
      {settings.data.paused ? <Status tone="calm">Paused</Status> : <Status tone="good">Open</Status>}
      {may && <PausePool pool={pool} settings={settings.data} onChange={settings.reload} />}
    </span>
  );
}

function PausePool({ pool, settings, onChange }: { pool: Pool; settings: PoolSettings; onChange: () => void }) {
  const act = useAction(async () => {
    await post(`/account/ippool/${pool.id}/${settings.paused ? "resume" : "pause"}`);
    onChange();
    toast(settings.paused ? `The mail of ${pool.name} goes on.` : `The mail of ${pool.name} waits.`);
  });
  return (
    <>
      <Button small busy={act.busy} label={`${settings.paused ? "Resume" : "Pause"} ${pool.name}`} onClick={() => void act.run()}>{settings.paused ? "Resume" : "Pause"}</Button>
      {act.error && <Failed error={act.error} />}
    </>
  );
}

function WarningsOf({ pool }: { pool: Pool }) {
  const list = useGet<Warning[]>(`/account/ippool/${pool.id}/warnings`, undefined, { every: 15_000 });
  if (!list.data) return <span class="quiet">…</span>;
  if (list.data.length === 0) return <Status tone="good">None</Status>;
  return <Status tone={gravest(list.data)} title={list.data.map((w) => w.message).join("\n")}>{plural(list.data.length, "warning")}</Status>;
}

export function IPPool({ id }: { id: string }) {
  const fresh = id === "new";
  const path = `/account/ippool/${encodeURIComponent(id)}`;
  const pool = useGet<Pool>(fresh ? null : path);
  const settings = useGet<PoolSettings>(fresh ? null : path + "/settings", undefined, { every: 10_000 });
  const tpsps = useGet<Tpsp[]>("/account/tpsp");
  const ips = useGet<Ip[]>("/account/ip");
  const pools = useGet<Pool[]>("/account/ippool");
  if (pool.error?.status === 404) {
    return <Page title="There is no such IP pool"><Empty title="It may have been deleted."><a href="/ippools">To the IP pools</a></Empty></Page>;
  }
  const failed = [pool, settings, tpsps, ips, pools].find((a) => a.error && a.data === undefined);
  const ready = tpsps.data && ips.data && pools.data && (fresh || (pool.data && settings.data));
  if (!ready) {
    return <Page title={fresh ? "New IP pool" : (pool.data?.name ?? "IP pool")}>{failed ? <Failed error={failed.error!} retry={failed.reload} /> : <div class="skeleton" aria-busy="true" />}</Page>;
  }
  return (
    <One key={id} pool={pool.data} settings={settings.data} tpsps={tpsps.data!} ips={ips.data!} pools={pools.data!}
      reload={() => (pool.reload(), settings.reload(), pools.reload())} />
  );
}

interface OneProps {
  pool?: Pool;
  settings?: PoolSettings;
  tpsps: Tpsp[];
  ips: Ip[];
  pools: Pool[];
  reload: () => void;
}

function One({ pool, settings, tpsps, ips, pools, reload }: OneProps) {
  const [filters] = useFilters();
  const may = useMayChange();
  const [deleting, setDeleting] = useState(false);
  const templates = useGet<Template[]>(filters.kind === "template" ? "/account/templates" : null);
  const all = useMemo(() => membersOf(tpsps, ips), [tpsps, ips]);
  const first = filters.member && all.some((m) => m.id === filters.member) ? [filters.member] : [];
  const stored = useMemo(() => (pool ? draftOf(pool, settings) : undefined), [pool, settings]);
  const [edit, setEdit] = useState<Draft>();
  const draft = edit ?? stored ?? draftOf(undefined, undefined, first);
  const changes = changesOf(draft, stored, all);
  const edited = !stored || Object.keys(changes).length > 0;
  const gone = pool ? goneOf(pool) : [];

  // A pool without anybody cannot be previewed; nor is a message asked about until its address looks like one.
  const { name, ...rest } = changes;
  const address = (text?: string) => (text && /^[^@\s]+@[^@\s]+$/.test(text) ? text : undefined);
  const empty = draft.members.length === 0 && !draft.overflow && draft.targets.length === 0;
  const keyed = draft.strategy !== roundRobin && draft.strategy !== byVolume;
  const preview = usePreview(empty ? null : {
    ...rest, ...(pool ? { id: pool.id } : {}), ...(name?.trim() ? { name } : {}), sample: keyed ? 1000 : 10_000, to: address(filters.to), from: address(filters.from),
    ...kindOf(filters.kind ?? "", templates.data?.find((t) => t.type === "template" && t.alias && !t.error)?.alias ?? "template"),
  });

  const save = useAction(async () => {
    const after = pool ? await put<Pool>(`/account/ippool/${pool.id}`, changes) : await post<Pool>("/account/ippool", changes);
    forget();
    toast(pool ? `${after.name} is changed; new mail goes by it.` : `${after.name} is made.`);
    if (!pool) return navigate(to(`/ippools/${after.id}`, { to: filters.to, from: filters.from, kind: filters.kind }), true);
    reload();
    setEdit(undefined);
  });
  const error = save.error;
  const placed = ["name", "tpsps", "ips", "routingMetaData", "routingStrategy", "overflowPoolName", "toAccountIPPools", "priority", "ttl", "warmupInterval"];
  return (
    <Page title={pool ? pool.name : "New IP pool"} about={pool ? <>{strategyName(pool.routingStrategy)} · id {pool.id} · <a href={to("/messages", { q: `pool:${pool.id}` })}>its messages</a>{settings?.paused && <> · <Status tone="calm">Paused: its mail waits</Status></>}</> : "Who is in it, who gets which mail, and where mail goes when they cannot."}
      actions={may && pool && settings && <><PausePool pool={pool} settings={settings} onChange={reload} /><Button kind="bad" small onClick={() => setDeleting(true)}>Delete</Button></>}>
      {gone.length > 0 && <Note tone="warn">The strategy names {gone.join(", ")}, which the pool has not any more: it is passed over. Saving a change of members or strategy repairs that.</Note>}
      <div class="pool">
        <form class="stack" onSubmit={(e) => (e.preventDefault(), void save.run())} aria-label="The IP pool">
          <Editor draft={draft} set={setEdit} all={all} pools={pools} self={pool?.id} may={may} error={error} />
          {unplaced(error, ...placed) && <Failed error={error!} />}
          {may && (
            <div class="row save-bar">
              <Button type="submit" kind="main" busy={save.busy} disabled={!edited || (!pool && !draft.name.trim())}>{pool ? "Save" : "Create the IP pool"}</Button>
              {pool && edited && <Button onClick={() => (save.clear(), setEdit(undefined))}>Discard the changes</Button>}
              {!pool && <ButtonLink href="/ippools">Cancel</ButtonLink>}
              <span class="small quiet">{!pool && !draft.name.trim() ? "It needs a name." : edited && pool ? "In force at once; the count of turns begins anew." : ""}</span>
            </div>
          )}
          {save.busy && <Progress label="It is being saved." />}
        </form>
        {empty ? (
          <div class="pool-preview"><Card title="What it would do"><p class="quiet">Add a member, or a pool that it leads to: its shares stand here.</p></Card></div>
        ) : <PoolPreview strategy={draft.strategy} preview={preview} edited={edited} order={draft.members} />}
      </div>
      {deleting && pool && <Delete pool={pool} onClose={() => setDeleting(false)} />}
    </Page>
  );
}

/** What a message holds, as a preview asks about it: one without a template has a subject only. */
const kindOf = (kind: string, alias: string) => (kind === "template" ? { tpspTemplate: alias } : kind === "raw" ? { subject: "Subject" } : {});

function Delete({ pool, onClose }: { pool: Pool; onClose: () => void }) {
  const gone = () => {
    forget();
    toast(`${pool.name} is deleted.`);
    navigate("/ippools");
  };
  const force = useAction(async () => {
    await del(`/account/ippool/${pool.id}`, { query: { force: true } });
    gone();
  });
  return (
    <Confirm title="Delete the IP pool?" verb="Delete" bad onClose={onClose}
      act={async () => {
        await del(`/account/ippool/${pool.id}`);
        gone();
      }}
      onRefused={(e) => e.code === "messages_waiting" && (
        <div class="stack-tight">
          <p>Deleted all the same, that mail leaves as it was planned, also when the pool is paused.</p>
          {force.error && <Failed error={force.error} />}
          <div class="row"><Button kind="bad" busy={force.busy} onClick={() => void force.run()}>Delete all the same</Button></div>
        </div>
      )}>
      <p>Sends that name <bdi>{pool.name}</bdi> are refused from then on. What was sent through it keeps its events and statistics.</p>
    </Confirm>
  );
}
