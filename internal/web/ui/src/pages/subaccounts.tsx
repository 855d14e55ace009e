// Sub-accounts: who stands under whom, their keys, limits, pauses, blocks and numbers.
import { useMemo, useState } from "preact/hooks";
import { del, post, put, useAction, useGet } from "../api";
import { count, day, percent, plural } from "../format";
import { navigate, to, useFilters } from "../route";
import type { Branch, DailyStat, Label, StatCounters, SubAccount as Shown, Tree } from "../schema";
import { useMayChange, useSession } from "../session";
import {
  Button, Card, Chart, Check, Code, type Column, Confirm, Copy, Dialog, Empty, Failed, Field, Input, Loaded, Meter, Note, Page, Select, Status, Table, Tabs, Tile, toast, unplaced, Until,
  When,
} from "../ui";

const PATH = "/account/subaccount";
const REFRESH = 10_000;
const spans: [string, string][] = [["1", "Today"], ["7", "7 days"], ["30", "30 days"]];

const daysOf = (given: string | undefined) => (spans.some(([d]) => d === given) ? given! : "7");
const bounced = (s: StatCounters) => s.hardBounced + s.softBounced;

/** Those that stand under one, and itself: it cannot be put under any of them. */
function below(tree: Branch[], id: number): Set<number> {
  const found = new Set([id]);
  for (const b of tree) if (b.parentId !== null && found.has(b.parentId)) found.add(b.id); // parents come first
  return found;
}

export function SubAccounts(_: { id: string }) {
  const [filters, set] = useFilters();
  const mayChange = useMayChange();
  const days = daysOf(filters.days);
  const tree = useGet<Tree>(`${PATH}/tree`, { days }, { every: REFRESH });
  const shown = useGet<Shown[]>(PATH);
  const [making, make] = useState(false);
  const keys = useMemo(() => new Map((shown.data ?? []).map((s) => [s.id, s.apiKey])), [shown.data]);
  const reload = () => (tree.reload(), shown.reload());
  const q = (filters.q ?? "").toLowerCase();
  return (
    <Page title="Sub-accounts" about="One for each customer, product or stream of mail, with its own key, suppressions and statistics. They can stand under each other: numbers, limits and blocks count for all below."
      actions={mayChange && <Button kind="main" onClick={() => make(true)}>New sub-account</Button>}>
      <Card flush>
        <div class="filters" style={{ padding: "var(--space-3) var(--space-4) 0" }}>
          <Field label="Name"><Input data-search value={filters.q ?? ""} onInput={(v) => set({ q: v }, true)} type="search" placeholder="Part of a name" /></Field>
          <Field label="Counted"><Select value={days} onChange={(v) => set({ days: v === "7" ? "" : v })} options={spans} /></Field>
        </div>
        <Loaded of={tree}>
          {({ subAccounts }) => {
            const rows = subAccounts.filter((b) => b.name.toLowerCase().includes(q));
            return (
              <Table label="Sub-accounts" rows={rows} keyOf={(b) => b.id} href={(b) => `/subaccounts/${b.id}`}
                columns={columns(subAccounts, keys, days, q === "", mayChange, reload)}
                empty={<Empty title="No sub-account has a name like that."><Button onClick={() => set({ q: "" })}>Show all</Button></Empty>} />
            );
          }}
        </Loaded>
      </Card>
      {tree.data && tree.data.subAccounts.length === 1 && <First />}
      {making && tree.data && <Make tree={tree.data.subAccounts} onClose={() => make(false)} />}
    </Page>
  );
}

/** What one with a single sub-account may do next. */
function First() {
  const session = useSession()!;
  return (
    <Card>
      <Empty title="Give each customer or stream of mail a sub-account of its own">
        <p class="quiet">Its mail, bounces and suppressions then stand apart, and you can limit, pause or block it alone. Your program can make them as well:</p>
        <Code>{`curl -X POST ${session.publicUrl}/api/v1/account/subaccount -H "X-Account-ApiKey: $ACCOUNT_KEY" -d '{"name":"shop"}'`}</Code>
      </Empty>
    </Card>
  );
}

function columns(tree: Branch[], keys: Map<number, string>, days: string, asTree: boolean, mayChange: boolean, reload: () => void): Column<Branch>[] {
  const list: Column<Branch>[] = [
    { name: "Sub-account", cell: (b) => <Name of={b} apiKey={keys.get(b.id)} indent={asTree ? b.level - 1 : 0} /> },
    { name: "State", cell: (b) => <div><State of={b} tree={tree} /></div> },
    { name: "Limit an hour", cell: (b) => <Limit of={b} mayChange={mayChange} reload={reload} /> },
    { name: "Processed", end: true, cell: (b) => <Both of={b} value={(s) => s.processed} href={mailOf(b, days)} /> },
    { name: "Delivered", end: true, cell: (b) => <Both of={b} value={(s) => s.delivered} href={mailOf(b, days, "delivered")} /> },
    { name: "Bounced", end: true, cell: (b) => <Both of={b} value={bounced} href={mailOf(b, days, "bounced")} /> },
  ];
  if (mayChange) {
    list.splice(1, 0, { name: "Under", cell: (b) => <Parent of={b} tree={tree} reload={reload} /> });
    list.push({ name: "Change", cell: (b) => <span class="row"><PauseButton of={b} small reload={reload} /><BlockButton of={b} small reload={reload} /></span> });
  }
  return list;
}

function Name({ of, apiKey, indent }: { of: Branch; apiKey?: string; indent: number }) {
  return (
    <div class="tree-name" style={{ paddingInlineStart: `${indent * 1.25}rem` }}>
      <span class="tree-line">
        {indent > 0 && <span class="quiet" aria-hidden="true">└</span>}
        <a href={`/subaccounts/${of.id}`} class="break"><bdi>{of.name}</bdi></a>
        <span class="quiet small num">#{of.id}</span>
      </span>
      {of.labels.length > 0 && <span class="row">{of.labels.map((l) => <span key={l.id} class="chip"><bdi>{l.name}</bdi></span>)}</span>}
      {apiKey && <Secret value={apiKey} of={`the key of ${of.name}`} />}
    </div>
  );
}

/** A key: masked until it is asked for, and copied without being shown. Viewers get it masked by the server, and no buttons. */
function Secret({ value, of }: { value: string; of: string }) {
  const [open, set] = useState(false);
  const mayChange = useMayChange();
  return (
    <span class="secret">
      <code>{open || !mayChange ? value : `••••••••${value.slice(-4)}`}</code>
      {mayChange && <Button small kind="bare" label={`${open ? "Hide" : "Reveal"} ${of}`} onClick={() => set(!open)}>{open ? "Hide" : "Reveal"}</Button>}
      {mayChange && <Copy text={value} of={of} />}
    </span>
  );
}

function State({ of, tree }: { of: Branch; tree: Branch[] }) {
  if (of.blocked) {
    const by = of.blockedBy === of.id ? "" : ` with ${tree.find((b) => b.id === of.blockedBy)?.name ?? "its parent"}`;
    return <Status tone="bad" title={of.why}>Blocked{by}</Status>;
  }
  if (of.paused) return <Status tone="calm">Paused</Status>;
  if (of.why) return <Status tone="warn" title={of.why}>Limit reached</Status>;
  return <Status tone="good">Sends</Status>;
}

/** A number with that of all below; alone where they are the same. */
function Both({ of, value, href }: { of: Branch; value: (s: StatCounters) => number; href: string }) {
  return (
    <div>
      <a href={href}>{count(value(of.stat))}</a>
      {of.children.length > 0 && <div class="quiet small" title="with all below">{count(value(of.withChildren))} in all</div>}
    </div>
  );
}

/** The search for its messages. */
const mailOf = (b: Branch, days: string, status = "") => to("/messages", { q: `subaccount:${b.id} since:${days}d${status && ` status:${status}`}` });

/** The limit, edited where it stands, and how much of it is taken. */
function Limit({ of, mayChange, reload }: { of: Branch; mayChange: boolean; reload: () => void }) {
  const [text, set] = useState<string>();
  const save = useAction(async () => {
    await put(`${PATH}/${of.id}/hierarchy`, { ratePerHour: text!.trim() === "" ? 0 : Number(text) });
    toast(text!.trim() === "" || Number(text) === 0 ? `${of.name} has no limit.` : `${of.name} may send ${plural(Number(text), "message")} an hour.`);
    set(undefined);
    reload();
  });
  if (text !== undefined) {
    return (
      <form class="limit-cell" onSubmit={(e) => (e.preventDefault(), void save.run())} onKeyDown={(e) => e.key === "Escape" && set(undefined)}>
        <input type="number" min="0" max="100000000" step="1" value={text} onInput={(e) => set(e.currentTarget.value)} aria-label={`Limit an hour of ${of.name}, 0 for none`} autofocus />
        {save.error && <span class="wrong" role="alert">{save.error.message}</span>}
        <span class="row"><Button small type="submit" kind="main" busy={save.busy}>Save</Button><Button small onClick={() => set(undefined)}>Cancel</Button></span>
      </form>
    );
  }
  return (
    <div class="limit-cell">
      <span class="row">
        <span class="num">{of.ratePerHour > 0 ? `${count(of.taken)} of ${count(of.ratePerHour)}` : <span class="quiet">none · {count(of.taken)} sent</span>}</span>
        {mayChange && <Button small kind="bare" label={`Edit the limit of ${of.name}`} onClick={() => set(String(of.ratePerHour || ""))}>Edit</Button>}
      </span>
      {of.ratePerHour > 0 && <Meter value={of.taken} max={of.ratePerHour} label={`of the limit of ${of.name} taken`} />}
      {of.freeAt > 0 && <span class="small quiet">next one <Until at={of.freeAt} /></span>}
    </div>
  );
}

function Parent({ of, tree, reload }: { of: Branch; tree: Branch[]; reload: () => void }) {
  const move = useAction(async (parent: string) => {
    await put(`${PATH}/${of.id}/hierarchy`, { parentId: parent === "" ? null : Number(parent) });
    toast(parent === "" ? `${of.name} stands alone.` : `${of.name} stands under ${tree.find((b) => b.id === Number(parent))?.name}.`);
    reload();
  });
  const not = below(tree, of.id);
  return (
    <div class="parent-cell">
      <Select value={of.parentId === null ? "" : String(of.parentId)} disabled={move.busy} onChange={(v) => void move.run(v)} aria-label={`${of.name} stands under`}
        options={[["", "none"], ...tree.filter((b) => !not.has(b.id)).map((b): [string, string] => [String(b.id), "\u00a0\u00a0".repeat(b.level - 1) + b.name])]} />
      {move.error && <div class="small" role="alert">{move.error.message}</div>}
    </div>
  );
}

function PauseButton({ of, small, reload }: { of: Branch; small?: boolean; reload: () => void }) {
  const act = useAction(async () => {
    await post(`${PATH}/${of.id}/${of.paused ? "resume" : "pause"}`);
    toast(of.paused ? `The mail of ${of.name} goes on.` : `The mail of ${of.name} waits.`);
    reload();
  });
  return (
    <>
      <Button small={small} busy={act.busy} label={`${of.paused ? "Resume" : "Pause"} ${of.name}`} title={of.paused ? undefined : "Its mail is accepted and waits"} onClick={() => act.run()}>
        {of.paused ? "Resume" : "Pause"}
      </Button>
      {act.error && <span class="small" role="alert">{act.error.message}</span>}
    </>
  );
}

function BlockButton({ of, small, reload }: { of: Branch; small?: boolean; reload: () => void }) {
  const [open, set] = useState(false);
  const own = of.blockedBy === of.id;
  return (
    <>
      <Button small={small} kind={own ? undefined : "bad"} label={`${own ? "Unblock" : "Block"} ${of.name}`} onClick={() => set(true)}>{own ? "Unblock" : "Block"}</Button>
      {open && (own ? <Unblock of={of} onClose={() => set(false)} reload={reload} /> : <Block of={of} onClose={() => set(false)} reload={reload} />)}
    </>
  );
}

interface Asked {
  of: Branch;
  onClose: () => void;
  reload: () => void;
}

function Block({ of, onClose, reload }: Asked) {
  const [reason, set] = useState("");
  const act = useAction(async () => {
    await post(`${PATH}/${of.id}/block`, { reason });
    toast(`${of.name} is blocked.`);
    reload();
  });
  return (
    <Dialog title={`Block ${of.name}?`} onClose={onClose}>
      <form class="stack" onSubmit={async (e) => (e.preventDefault(), (await act.run()) && onClose())}>
        <p>
          Requests to send are refused at once{of.children.length > 0 ? ", also for all sub-accounts below" : ""}. What waits stands still until you unblock it.
        </p>
        <Field label="Reason" name="reason" hint="Those who send see it." error={act.error}><Input value={reason} onInput={set} maxLength={500} autofocus /></Field>
        {unplaced(act.error, "reason") && <Failed error={act.error!} />}
        <div class="dialog-end">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="bad" busy={act.busy}>Block</Button>
        </div>
      </form>
    </Dialog>
  );
}

const Unblock = ({ of, onClose, reload }: Asked) => (
  <Confirm title={`Unblock ${of.name}?`} verb="Unblock" onClose={onClose} act={async () => {
    await post(`${PATH}/${of.id}/unblock`);
    toast(`${of.name} sends again.`);
    reload();
  }}>
    <p>It is blocked since <When at={of.blockedAt} />{of.blockReason && <>: <bdi>{of.blockReason}</bdi></>}. What waits leaves at once.</p>
  </Confirm>
);

function Make({ tree, onClose }: { tree: Branch[]; onClose: () => void }) {
  const [name, setName] = useState("");
  const [parent, setParent] = useState("");
  const act = useAction(async () => {
    const made = await post<Shown>(PATH, { name });
    if (parent !== "") {
      try {
        await put(`${PATH}/${made.id}/hierarchy`, { parentId: Number(parent) });
      } catch (e) {
        toast(`${made.name} is made, but stands alone: ${(e as Error).message}`);
      }
    }
    toast(`${made.name} is made.`);
    navigate(`/subaccounts/${made.id}`);
  });
  return (
    <Dialog title="New sub-account" onClose={onClose}>
      <form class="stack" onSubmit={(e) => (e.preventDefault(), void act.run())}>
        <Field label="Name" name="name" error={act.error}><Input value={name} onInput={setName} required maxLength={100} autofocus autocomplete="off" /></Field>
        <Field label="Under" name="parentId" error={act.error}>
          <Select value={parent} onChange={setParent} options={[["", "none"], ...tree.map((b): [string, string] => [String(b.id), "\u00a0\u00a0".repeat(b.level - 1) + b.name])]} />
        </Field>
        {unplaced(act.error, "name", "parentId") && <Failed error={act.error!} />}
        <div class="dialog-end">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="main" busy={act.busy}>Make it</Button>
        </div>
      </form>
    </Dialog>
  );
}

export function SubAccount({ id }: { id: string }) {
  const [filters] = useFilters();
  const days = daysOf(filters.days);
  const tree = useGet<Tree>(`${PATH}/tree`, { days }, { every: REFRESH });
  const shown = useGet<Shown>(/^\d+$/.test(id) ? `${PATH}/${id}` : null);
  const found = tree.data?.subAccounts.find((b) => String(b.id) === id);
  if (tree.data && !found) {
    return (
      <Page title="Sub-account">
        <Card><Empty title="There is no such sub-account."><p class="quiet">It may have been deleted; its mail and events stay.</p><a href="/subaccounts">All sub-accounts</a></Empty></Card>
      </Page>
    );
  }
  if (!found) return <Page title="Sub-account"><Loaded of={tree}>{() => null}</Loaded></Page>;
  return <Details of={found} tree={tree.data!.subAccounts} days={days} all={filters.with === "all"} shown={shown.data} reload={() => (tree.reload(), shown.reload())} />;
}

interface DetailsProps {
  of: Branch;
  tree: Branch[];
  days: string;
  /** Statistics are those with all below. */
  all: boolean;
  shown?: Shown;
  reload: () => void;
}

function Details({ of, tree, days, all, shown, reload }: DetailsProps) {
  const mayChange = useMayChange();
  const [asked, ask] = useState<"rename" | "delete">();
  const above = ancestors(tree, of);
  return (
    <Page title={of.name} about={<nav aria-label="Above it"><a href="/subaccounts">Sub-accounts</a>{above.map((b) => <span key={b.id}> › <a href={`/subaccounts/${b.id}`}><bdi>{b.name}</bdi></a></span>)}</nav>}
      actions={mayChange && (
        <>
          <Button onClick={() => ask("rename")}>Rename</Button>
          <PauseButton of={of} reload={reload} />
          <BlockButton of={of} reload={reload} />
          {!of.default && <Button kind="bad" onClick={() => ask("delete")}>Delete</Button>}
        </>
      )}>
      {of.why && <Note tone={of.blocked ? "bad" : "warn"}><p><bdi>{of.why}</bdi>{of.blocked ? ". Requests to send are refused, and what waits stands still." : ". What is above it waits, and does not grow older."}</p></Note>}
      {of.paused && <Note tone="calm"><p>It is paused: its mail is accepted and waits.</p></Note>}
      <div class="columns">
        <Place of={of} tree={tree} mayChange={mayChange} reload={reload} />
        <Access of={of} shown={shown} />
        <Labels of={of} mayChange={mayChange} reload={reload} />
      </div>
      <Statistics of={of} days={days} all={all} />
      {asked === "rename" && <Rename of={of} onClose={() => ask(undefined)} reload={reload} />}
      {asked === "delete" && (
        <Confirm title={`Delete ${of.name}?`} verb="Delete" bad onClose={() => ask(undefined)} act={async () => {
          await del(`${PATH}/${of.id}`);
          toast(`${of.name} is deleted.`);
          navigate("/subaccounts");
        }}>
          <p>Its key stops working. Its messages and events stay, and what waits still leaves: cancel it before, or block the sub-account, if it must not.</p>
        </Confirm>
      )}
    </Page>
  );
}

function ancestors(tree: Branch[], of: Branch): Branch[] {
  const list: Branch[] = [];
  for (let b: Branch | undefined = of; b && b.parentId !== null; ) {
    const parent: Branch | undefined = tree.find((o) => o.id === b!.parentId);
    if (parent) list.unshift(parent);
    b = parent;
  }
  return list;
}

const Place = ({ of, tree, mayChange, reload }: { of: Branch; tree: Branch[]; mayChange: boolean; reload: () => void }) => (
  <Card title="Place and limit">
    <dl class="facts">
      <dt>State</dt><dd><State of={of} tree={tree} /></dd>
      <dt>Under</dt>
      <dd>{mayChange ? <Parent of={of} tree={tree} reload={reload} /> : of.parentId === null ? "none" : <a href={`/subaccounts/${of.parentId}`}><bdi>{tree.find((b) => b.id === of.parentId)?.name}</bdi></a>}</dd>
      <dt>Below</dt>
      <dd>
        {of.children.length === 0 ? <span class="quiet">none</span> : of.children.map((c, i) => (
          <span key={c}>{i > 0 && ", "}<a href={`/subaccounts/${c}`}><bdi>{tree.find((b) => b.id === c)?.name}</bdi></a></span>
        ))}
      </dd>
      <dt>Limit an hour</dt><dd><Limit of={of} mayChange={mayChange} reload={reload} /></dd>
      <dt>Made</dt><dd><When at={of.created} exact /></dd>
    </dl>
    <p class="quiet small">The limit is for it and all below, over every provider together. What is above it waits.</p>
  </Card>
);

function Access({ of, shown }: { of: Branch; shown?: Shown }) {
  const session = useSession()!;
  return (
    <Card title="Key">
      <div class="stack-tight">
        {shown ? <Secret value={shown.apiKey} of={`the key of ${of.name}`} /> : <div class="skeleton" aria-busy="true" />}
        <p class="quiet small">It opens the operations of this sub-account in <code>X-SubAccount-ApiKey</code>. Send the first email:</p>
        <Code>{`curl ${session.publicUrl}/api/v1/subaccount/email/ -H "X-SubAccount-ApiKey: $SUBACCOUNT_KEY" -H "Content-Type: application/json" -d '{"from":{"email":"hello@example.com"},"to":[{"email":"ana@example.net"}],"subject":"Welcome","textBody":"Hello"}'`}</Code>
      </div>
    </Card>
  );
}

function Labels({ of, mayChange, reload }: { of: Branch; mayChange: boolean; reload: () => void }) {
  const all = useGet<Label[]>("/account/label");
  const [name, set] = useState("");
  const has = new Set(of.labels.map((l) => l.id));
  const change = useAction(async (ids: number[]) => {
    await put(`${PATH}/${of.id}`, { labels: ids });
    reload();
  });
  const add = useAction(async () => {
    const made = await post<Label>("/account/label", { name });
    await put(`${PATH}/${of.id}`, { labels: [...has, made.id] });
    set("");
    all.reload();
    reload();
  });
  return (
    <Card title="Labels">
      <div class="stack-tight">
        {!mayChange && (of.labels.length ? <span class="row">{of.labels.map((l) => <span key={l.id} class="chip"><bdi>{l.name}</bdi></span>)}</span> : <span class="quiet">none</span>)}
        {mayChange && (
          <Loaded of={all}>
            {(list) => (
              <>
                {list.length === 0 && <p class="quiet">Labels tell sub-accounts apart: plans, regions, teams. Make the first one:</p>}
                {list.map((l) => (
                  <Check key={l.id} checked={has.has(l.id)} disabled={change.busy} onChange={(on) => void change.run(on ? [...has, l.id] : [...has].filter((id) => id !== l.id))}><bdi>{l.name}</bdi></Check>
                ))}
              </>
            )}
          </Loaded>
        )}
        {change.error && <Failed error={change.error} />}
        {mayChange && (
          <form class="row" onSubmit={(e) => (e.preventDefault(), void add.run())}>
            <Input value={name} onInput={set} required maxLength={100} aria-label="New label" placeholder="New label" />
            <Button type="submit" busy={add.busy}>Add</Button>
          </form>
        )}
        {add.error && <Failed error={add.error} />}
      </div>
    </Card>
  );
}

function Statistics({ of, days, all: asked }: { of: Branch; days: string; all: boolean }) {
  const below = of.children.length > 0;
  const all = below && asked; // with all below
  const daily = useGet<DailyStat[]>(`${PATH}/stat/${of.id}`, { from: day(Number(days) - 1), to: day(), withChildren: all || undefined });
  const path = `/subaccounts/${of.id}`;
  const [shown, other] = all ? [of.withChildren, of.stat] : [of.stat, of.withChildren];
  const words = (value: string) => (below ? `${value} ${all ? "of its own" : "with all below"}` : undefined);
  const tile = (label: string, value: (s: StatCounters) => number, href?: string) => (
    <Tile label={label} value={count(value(shown))} href={all ? undefined : href} about={words(count(value(other)))} />
  );
  const share = (s: StatCounters) => percent(s.sent ? s.delivered / s.sent : null);
  const chart = useMemo(() => plotted(daily.data ?? [], Number(days)), [daily.data, days]);
  const at = (change: { days?: string; with?: string }) => to(path, { days: days === "7" ? "" : days, with: all ? "all" : "", ...change });
  return (
    <Card title="Statistics" actions={
      <>
        {below && <Tabs label="Whose" current={all ? "all" : "own"} items={[{ key: "own", name: "Its own", href: at({ with: "" }) }, { key: "all", name: "With all below", href: at({ with: "all" }) }]} />}
        <Tabs label="Counted" current={days} items={spans.map(([d, name]) => ({ key: d, name, href: at({ days: d === "7" ? "" : d }) }))} />
      </>
    }>
      <div class="stack">
        <div class="tiles">
          {tile("Processed", (s) => s.processed, mailOf(of, days))}
          {tile("Delivered", (s) => s.delivered, mailOf(of, days, "delivered"))}
          {tile("Bounced", bounced, mailOf(of, days, "bounced"))}
          {tile("Dropped", (s) => s.dropped, mailOf(of, days, "dropped"))}
          {tile("Opened", (s) => s.opened)}
          {tile("Complaints", (s) => s.spam)}
          <Tile label="Delivered of sent" value={share(shown)} about={words(share(other))} />
        </div>
        <Loaded of={daily}>
          {(list) => list.length === 0 ? (
            <Empty title="Nothing was sent on these days."><p class="quiet">Send an email with its key, and it is counted here at once.</p></Empty>
          ) : <Chart label={`Mail of ${of.name}${all ? " and all below" : ""} by day`} times={chart.times} series={chart.series} />}
        </Loaded>
      </div>
    </Card>
  );
}

/** One value for every day, also for those without any mail. */
function plotted(list: DailyStat[], days: number) {
  const of = new Map(list.map((d) => [d.date, d.stat]));
  const dates = Array.from({ length: days }, (_, i) => day(days - 1 - i));
  const line = (name: string, value: (s: StatCounters) => number) => ({ name, values: dates.map((d) => (of.has(d) ? value(of.get(d)!) : 0)) });
  return {
    times: dates.map((d) => Date.parse(d) / 1000),
    series: [line("Processed", (s) => s.processed), line("Delivered", (s) => s.delivered), line("Bounced", bounced)],
  };
}

function Rename({ of, onClose, reload }: Asked) {
  const [name, set] = useState(of.name);
  const act = useAction(async () => {
    await put(`${PATH}/${of.id}`, { name });
    toast("It is renamed.");
    reload();
  });
  return (
    <Dialog title={`Rename ${of.name}`} onClose={onClose}>
      <form class="stack" onSubmit={async (e) => (e.preventDefault(), (await act.run()) && onClose())}>
        <Field label="Name" name="name" error={act.error}><Input value={name} onInput={set} required maxLength={100} autofocus autocomplete="off" /></Field>
        {unplaced(act.error, "name") && <Failed error={act.error!} />}
        <div class="dialog-end">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="main" busy={act.busy}>Rename</Button>
        </div>
      </form>
    </Dialog>
  );
}
