import { useState } from "preact/hooks";
import { get, type Refusal, useAction, useGet } from "../api";
import { useFilters } from "../route";
import type { Audit as Entry } from "../schema";
import { useSession } from "../session";
import { Button, ButtonLink, Card, Code, Empty, Failed, Field, Input, Loaded, Page, Select, Status, Table, type Tone, When } from "../ui";

const size = 50;

const kinds: [string, string][] = [["", "Everybody"], ["member", "Members"], ["account-key", "The account's key"], ["sub-account-key", "Sub-accounts' keys"], ["system", "Nobody (failed sign-ins)"]];

export function Audit() {
  const [f, set] = useFilters();
  const session = useSession()!;
  const query = { actor: f.actor, operation: f.operation, from: f.from, to: f.to, search: f.search, limit: size };
  const first = useGet<Entry[]>("/account/audit", query);
  const filtered = ["actor", "operation", "from", "to", "search"].some((k) => f[k]);
  const known = kinds.some(([k]) => k === (f.actor ?? ""));
  return (
    <Page title="Audit log" about="Who changed what, from where, and what came of it. Entries are written before the change is made, and kept for 400 days.">
      <search>
        <form class="filters" onSubmit={(e) => e.preventDefault()}>
          <Field label="Search" wide><Input type="search" placeholder="part of an operation, a thing, a path, a name or an address" value={f.search ?? ""} onInput={(v) => set({ search: v }, true)} /></Field>
          <Field label="Who">
            <Select value={f.actor ?? ""} onChange={(actor) => set({ actor })} options={known ? kinds : [...kinds, [f.actor!, `Only ${f.actor}`]]} />
          </Field>
          <Field label="Operation"><Input value={f.operation ?? ""} onInput={(v) => set({ operation: v }, true)} placeholder="a provider" /></Field>
          <Field label="From"><Input type="date" value={f.from ?? ""} onInput={(v) => set({ from: v }, true)} /></Field>
          <Field label="To"><Input type="date" value={f.to ?? ""} onInput={(v) => set({ to: v }, true)} /></Field>
          {filtered && <ButtonLink href="/audit">Show all</ButtonLink>}
        </form>
      </search>
      <Card flush>
        <Loaded of={first}>
          {(list) =>
            list.length === 0 ? (
              filtered ? <Empty title="Nothing fits"><p>No change fits these filters. <a href="/audit">Show all</a></p></Empty> : (
                <Empty title="Nothing was changed yet">
                  <p>Whatever is changed here, by the API or by the command line leaves an entry. Change something, such as:</p>
                  <Code>{`curl -X POST ${session.publicUrl}/api/v1/account/label -H "X-Account-ApiKey: $KEY" -d '{"name": "trial"}'`}</Code>
                </Empty>
              )
            ) : <Entries key={JSON.stringify(query)} first={list} query={query} />
          }
        </Loaded>
      </Card>
    </Page>
  );
}

function Entries({ first, query }: { first: Entry[]; query: Record<string, string | number | undefined> }) {
  const [older, setOlder] = useState<Entry[]>([]);
  const [end, setEnd] = useState(first.length < size);
  const last = older.at(-1) ?? first.at(-1)!;
  const more = useAction(async () => {
    const next = await get<Entry[]>("/account/audit", { ...query, before: last.id });
    setOlder((l) => [...l, ...next]);
    setEnd(next.length < size);
  });
  // What came since the page was read stands above; what was read below stays.
  const shown = new Set<number>();
  const rows = [...first, ...older].filter((e) => !shown.has(e.id) && shown.add(e.id));
  return (
    <>
      <Table label="Changes" rows={rows} keyOf={(e) => e.id} columns={[
        { name: "When", cell: (e) => <When at={e.at} exact /> },
        { name: "Who", cell: (e) => <Who of={e} /> },
        { name: "What", cell: (e) => <What of={e} /> },
        { name: "Changed", cell: (e) => <Changes of={e} /> },
        { name: "Came of it", cell: (e) => <Came status={e.status} /> },
      ]} />
      {more.error && <Failed error={more.error as Refusal} />}
      {!end && <div class="row" style={{ padding: "var(--space-3) var(--space-4)" }}><Button onClick={() => void more.run()} busy={more.busy}>Older entries</Button></div>}
    </>
  );
}

const names: Record<string, string> = { member: "member", "account-key": "the account's key", "sub-account-key": "a sub-account's key", system: "nobody who is known" };

const Who = ({ of }: { of: Entry }) => (
  <div>
    <bdi class="break">{of.actor.name || "–"}</bdi>
    <div class="small quiet">{of.role || names[of.actor.kind] || of.actor.kind}{of.address && <> from <span class="mono">{of.address}</span></>}</div>
  </div>
);

const What = ({ of }: { of: Entry }) => (
  <div class="stack-tight">
    <span>{of.operation}</span>
    {of.target && <bdi class="break"><strong>{of.target}</strong></bdi>}
    <span class="small quiet mono break">{of.method} {of.path}</span>
  </div>
);

const Came = ({ status }: { status: number }) => {
  const [tone, words]: [Tone, string] = status === 0 ? ["warn", "begun"] : status < 300 ? ["good", "done"] : status < 500 ? ["calm", "refused"] : ["bad", "failed"];
  return <Status tone={tone} title={status === 0 ? "It began, and it is not known what came of it: the server ended in the middle of it." : `The answer was ${status}.`}>{words}{status ? ` (${status})` : ""}</Status>;
};

/** What was asked for, name by name, with what stood there before where that is known. */
function Changes({ of }: { of: Entry }) {
  const after = Object.entries((of.changes ?? {}) as Record<string, unknown>);
  const before = (of.before ?? {}) as Record<string, unknown>;
  if (after.length === 0) return null;
  const few = 4;
  const list = (part: [string, unknown][]) => (
    <dl class="facts small">
      {part.map(([name, value]) => [
        <dt key={name + "-"}><bdi>{name}</bdi></dt>,
        <dd key={name} class="break mono">
          {name in before && <><del aria-label={`before: ${written(before[name])}`} dir="auto">{written(before[name])}</del> <span aria-hidden="true">→</span> </>}
          <bdi>{written(value)}</bdi>
        </dd>,
      ])}
    </dl>
  );
  return (
    <div class="stack-tight">
      {list(after.slice(0, few))}
      {after.length > few && <details><summary>{after.length - few} more</summary>{list(after.slice(few))}</details>}
    </div>
  );
}

const written = (v: unknown) => (typeof v === "string" ? v || "“”" : JSON.stringify(v));
