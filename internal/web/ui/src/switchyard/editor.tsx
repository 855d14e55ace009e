// An IP pool, edited by hand: members, shares, rows, and where it leads.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Refusal } from "../api";
import { duration } from "../format";
import type { Pool } from "../schema";
import { Button, Card, Check, Field, Input, Select } from "../ui";
import { byDomain, byMailbox, byVolume, divide, type Draft, keyName, type Member, others, type Row, setVolume, strategies, withMembers } from "./strategy";
import { mailboxes } from "../mail";

interface EditorProps {
  draft: Draft;
  set: (d: Draft) => void;
  all: Member[];
  pools: Pool[];
  self?: number;
  may: boolean;
  error?: Refusal;
}

export function Editor({ draft: d, set, all, pools, self, may, error }: EditorProps) {
  const name = (id: string) => all.find((m) => m.id === id)?.name ?? id;
  const elsewhere = pools.filter((p) => p.id !== self).map((p) => p.name);
  const wrong = (field: string) => error?.field === field && <span class="wrong small" role="alert">{error.message}</span>;
  return (
    <>
      <Card title="Members">
        <div class="stack-tight">
          <Field label="Name of the pool" name="name" error={error} hint="what a send names as ippool"><Input value={d.name} onInput={(v) => set({ ...d, name: v })} required disabled={!may} dir="auto" /></Field>
          <Ordered label="Members" items={d.members} may={may} nameOf={name} set={(members) => set(withMembers(d, members))}
            note={(id) => <span class="small quiet">{id}</span>} />
          {may && <Select value="" aria-label="Add a provider or IP" onChange={(m) => m && set(withMembers(d, [...d.members, m]))}
            options={[["", "Add a provider or IP…"], ...all.filter((m) => !d.members.includes(m.id)).map((m) => [m.id, m.ip ? `${m.name} (IP)` : m.name] as [string, string])]} />}
          {wrong("tpsps")}
          {wrong("ips")}
        </div>
      </Card>
      <Card title="Who gets which mail">
        <div class="stack">
          <fieldset disabled={!may}>
            <legend class="off-screen">Strategy</legend>
            <div class="strategies">
              {strategies.map((s) => (
                <label key={s.id} class="choice" data-chosen={d.strategy === s.id ? "" : undefined}>
                  <input type="radio" name="routingStrategy" value={s.id} checked={d.strategy === s.id} onChange={() => set({ ...d, strategy: s.id })} />
                  <span class="choice-words"><b>{s.name}</b><br /><span class="small quiet">{s.about}</span></span>
                </label>
              ))}
            </div>
          </fieldset>
          {d.members.length === 0 && d.strategy !== 0 && <p class="quiet">Add members first.</p>}
          {d.strategy === byVolume && d.members.length > 0 && <Volumes d={d} set={set} name={name} may={may} />}
          {d.strategy === byMailbox && <Rows d={d} rows={d.mailboxRows} set={(mailboxRows) => set({ ...d, mailboxRows })} name={name} may={may} />}
          {d.strategy === byDomain && <Rows d={d} rows={d.domainRows} set={(domainRows) => set({ ...d, domainRows })} name={name} may={may} />}
          {wrong("routingMetaData")}
          {wrong("routingStrategy")}
        </div>
      </Card>
      <Card title="When its members cannot">
        <div class="stack">
          <Field label="Overflow into" name="overflowPoolName" error={error} hint="takes what the members cannot carry, and what is above their limits">
            <Select value={d.overflow} disabled={!may} onChange={(overflow) => set({ ...d, overflow })} options={[["", "no pool: the mail waits"], ...elsewhere.map((n) => [n, n] as [string, string])]} />
          </Field>
          <div class="stack-tight">
            <h3>After that, these pools in their order</h3>
            {d.targets.length === 0 && <p class="small quiet">None.</p>}
            <Ordered label="Pools that are tried after that" items={d.targets} may={may} nameOf={(n) => n} set={(targets) => set({ ...d, targets })} />
            {may && elsewhere.length > 0 && <Select value="" aria-label="Add a pool that is tried after that" onChange={(n) => n && set({ ...d, targets: [...d.targets, n] })}
              options={[["", "Add a pool…"], ...elsewhere.filter((n) => !d.targets.includes(n)).map((n) => [n, n] as [string, string])]} />}
            {wrong("toAccountIPPools")}
          </div>
        </div>
      </Card>
      <Card title="Its mail">
        <div class="form-row">
          <Field label="Priority" name="priority" error={error} hint="-100 to 100: mail of higher ones leaves first"><Input value={d.priority} onInput={(v) => set({ ...d, priority: v })} type="number" min={-100} max={100} disabled={!may} /></Field>
          <Field label="Seconds that it may wait" name="ttl" error={error} hint={Number(d.ttl) > 0 ? `that is ${duration(Number(d.ttl) * 1000)}` : "0: as the server has it"}><Input value={d.ttl} onInput={(v) => set({ ...d, ttl: v })} type="number" min={0} max={2592000} disabled={!may} /></Field>
          <Field label="Warm-up interval, hours" name="warmupInterval" error={error} hint="kept for clients of SendPost"><Input value={d.warmup} onInput={(v) => set({ ...d, warmup: v })} type="number" min={1} max={8784} disabled={!may} /></Field>
        </div>
      </Card>
    </>
  );
}

interface OrderedProps {
  label: string;
  items: string[];
  set: (items: string[]) => void;
  nameOf: (item: string) => string;
  note?: (item: string) => ComponentChildren;
  may: boolean;
}

/** A list whose order counts: it is changed by buttons, or by dragging. */
function Ordered({ label, items, set, nameOf, note, may }: OrderedProps) {
  const [dragged, drag] = useState(-1);
  const [over, setOver] = useState(-1);
  const move = (from: number, at: number) => {
    if (from < 0 || from === at || at < 0 || at >= items.length) return;
    const list = items.slice();
    list.splice(at, 0, ...list.splice(from, 1));
    set(list);
  };
  const stop = () => (drag(-1), setOver(-1));
  if (items.length === 0) return null;
  return (
    <ol class="ordered" aria-label={label}>
      {items.map((item, i) => (
        <li key={item} draggable={may && items.length > 1} data-over={over === i && dragged !== i ? "" : undefined}
          onDragStart={(e: DragEvent) => (drag(i), e.dataTransfer?.setData("text/plain", item))} onDragEnd={stop}
          onDragOver={(e: DragEvent) => dragged >= 0 && (e.preventDefault(), setOver(i))} onDrop={(e: DragEvent) => (e.preventDefault(), move(dragged, i), stop())}>
          <span class="place">{i + 1}</span>
          <span class="grow break"><bdi>{nameOf(item)}</bdi> {note?.(item)}</span>
          {may && (
            <>
              <Button small kind="bare" label={`Move ${nameOf(item)} up`} disabled={i === 0} onClick={() => move(i, i - 1)}>↑</Button>
              <Button small kind="bare" label={`Move ${nameOf(item)} down`} disabled={i === items.length - 1} onClick={() => move(i, i + 1)}>↓</Button>
              <Button small kind="bare" label={`Take ${nameOf(item)} out`} onClick={() => set(items.filter((x) => x !== item))}>✕</Button>
            </>
          )}
        </li>
      ))}
    </ol>
  );
}

interface PartProps {
  d: Draft;
  set: (d: Draft) => void;
  name: (id: string) => string;
  may: boolean;
}

/** Shares that always make up the whole: when one is changed, the others give or take in their proportions. */
function Volumes({ d, set, name, may }: PartProps) {
  const change = (m: string) => (v: number) => set({ ...d, volumes: setVolume(d.members, d.volumes, m, v) });
  return (
    <div class="stack-tight" role="group" aria-label="Shares">
      {d.members.map((m) => <Volume key={m} name={name(m)} value={d.volumes[m] ?? 0} alone={d.members.length === 1} may={may} change={change(m)} />)}
      <div class="row-between small quiet">
        <span>The shares make up 100 %. A share of 0: only when the others cannot.</span>
        {may && <Button small onClick={() => set({ ...d, volumes: Object.fromEntries(divide(d.members.map(() => 1)).map((v, i) => [d.members[i]!, v])) })}>Equal shares</Button>}
      </div>
    </div>
  );
}

function Volume({ name, value, alone, may, change }: { name: string; value: number; alone: boolean; may: boolean; change: (v: number) => void }) {
  const [text, setText] = useState<string>();
  useEffect(() => {
    if (text !== undefined && Math.round(Number(text) * 100) !== value) setText(undefined);
  }, [value]);
  return (
    <div class="volume">
      <span class="break"><bdi>{name}</bdi></span>
      <input type="range" min={0} max={10_000} step={100} value={value} disabled={!may || alone} aria-label={`Share of ${name}`} aria-valuetext={`${value / 100} %`} onInput={(e) => (setText(undefined), change(Number(e.currentTarget.value)))} />
      <input type="number" min={0} max={100} step={0.01} value={text ?? String(value / 100)} disabled={!may || alone} aria-label={`Share of ${name} in percent`}
        onInput={(e) => {
          const typed = e.currentTarget.value;
          setText(typed);
          if (typed !== "" && Number(typed) >= 0 && Number(typed) <= 100) change(Number(typed) * 100);
        }} onBlur={() => setText(undefined)} />
    </div>
  );
}

interface RowsProps {
  d: Draft;
  rows: Row[];
  set: (rows: Row[]) => void;
  name: (id: string) => string;
  may: boolean;
}

/** Which members the mail of a mailbox provider, or of a sending domain, goes to. */
function Rows({ d, rows, set, name, may }: RowsProps) {
  const mailbox = d.strategy === byMailbox;
  const free = mailboxes.map(([, n], i) => [String(i), n] as [string, string]).filter(([k]) => !rows.some((r) => r.key === k));
  const change = (i: number, r: Row) => set(rows.map((x, j) => (i === j ? r : x)));
  const add = (key: string) => set([...rows.slice(0, -1), { key, members: d.members.slice(0, 1) }, rows.at(-1)!]);
  return (
    <div class="stack-tight" role="group" aria-label={mailbox ? "Mailbox providers" : "Sending domains"}>
      {rows.map((r, i) => (
        <div key={mailbox ? r.key : i === rows.length - 1 ? others : i} class="mapping" role="group" aria-label={r.key ? keyName(d.strategy, r.key) : "A new domain"}>
          <div class="row-between">
            {r.key === others && i === rows.length - 1 ? <b>{keyName(d.strategy, others)}</b> : mailbox ? (
              <Select value={r.key} disabled={!may} aria-label="Mailbox provider" onChange={(key) => change(i, { ...r, key })} options={[[r.key, keyName(byMailbox, r.key)], ...free]} />
            ) : <Input value={r.key} disabled={!may} aria-label="Sending domain" placeholder="example.com" class="mono" spellcheck={false} onInput={(key) => change(i, { ...r, key })} />}
            {may && i < rows.length - 1 && <Button small kind="bare" label={`Take the row of ${r.key ? keyName(d.strategy, r.key) : "the new domain"} out`} onClick={() => set(rows.filter((_, j) => j !== i))}>✕</Button>}
          </div>
          <div class="picks">
            {d.members.map((m) => (
              <Check key={m} checked={r.members.includes(m)} disabled={!may} onChange={(on) => change(i, { ...r, members: d.members.filter((x) => (x === m ? on : r.members.includes(x))) })}><bdi>{name(m)}</bdi></Check>
            ))}
          </div>
          {r.key === others && r.members.length === 0 && <span class="small quiet">Nobody is chosen: all members share it.</span>}
        </div>
      ))}
      {may && mailbox && <Select value="" aria-label="Add a mailbox provider" onChange={(k) => k && add(k)} options={[["", "Add a mailbox provider…"], ...free]} />}
      {may && !mailbox && <div class="row"><Button small onClick={() => add("")}>Add a domain</Button></div>}
    </div>
  );
}
