import { useMemo } from "preact/hooks";
import { useGet } from "../api";
import { count, day, duration, percent, short } from "../format";
import { mailboxName } from "../mail";
import { useFilters } from "../route";
import type { ComparedEgress, ComparedLane, ComparedRate, Comparison, ReasonRow, SubAccount, Tpsp } from "../schema";
import { Group } from "./analytics";
import { type Counter, eventsOf } from "../stat";
import { Button, Card, Empty, Field, Input, Loaded, Note, Page, Select, Table } from "../ui";

type RateKey = "delivered" | "hardBounced" | "softBounced" | "spam" | "opened" | "clicked";

interface Measure {
  name: string;
  of: string; // what it is a part of
  better: "more" | "fewer";
}

const measures: Record<RateKey, Measure> = {
  delivered: { name: "Delivered", of: "accepted", better: "more" },
  hardBounced: { name: "Hard bounced", of: "accepted", better: "fewer" },
  softBounced: { name: "Soft bounced", of: "accepted", better: "fewer" },
  spam: { name: "Complaints", of: "accepted", better: "fewer" },
  opened: { name: "Opened", of: "accepted", better: "more" },
  clicked: { name: "Clicked", of: "accepted", better: "more" },
};

/** Whether nobody reports what becomes of an egress's mail: then its rates say nothing. */
const silent = (e: ComparedEgress, measure: RateKey) =>
  measure !== "opened" && measure !== "clicked" && (e.ipId > 0 || (e.total.delivered.count === 0 && e.total.hardBounced.count === 0 && e.total.softBounced.count === 0));

const keyOf = (e: ComparedEgress) => (e.tpspId ? `tpsp-${e.tpspId}` : `ip-${e.ipId}`);

export function Compare(_: { id: string }) {
  const [f, set] = useFilters();
  const days = Number(f.days) || 7;
  const range = f.from && f.to ? { from: f.from, to: f.to } : { from: day(days - 1), to: day() };
  const measure = (f.measure && f.measure in measures ? f.measure : "delivered") as RateKey;
  const answer = useGet<Comparison>("/account/stat/compare", { ...range, tpspId: f.tpspId, group: f.group, subAccountId: f.subAccountId }, { every: 15_000 });
  const providers = useGet<Tpsp[]>("/account/tpsp");
  const subs = useGet<SubAccount[]>("/account/subaccount");
  return (
    <Page title="Compare providers" about="The same mail through different providers: which delivers better, and how sure that is. Rates are of the messages that the provider accepted; the bar is the interval that holds the true rate in 95 of 100 cases.">
      <div class="filters">
        <Field label="Measure"><Select value={measure} onChange={(v) => set({ measure: v === "delivered" ? "" : v })} options={Object.entries(measures).map(([k, m]) => [k, m.name])} /></Field>
        <Field label="Time"><Select value={f.from && f.to ? "own" : String(days)} onChange={(v) => (v === "own" ? set({ from: range.from, to: range.to, days: "" }) : set({ days: v === "7" ? "" : v, from: "", to: "" }))}
          options={[["1", "Today"], ["7", "7 days"], ["14", "14 days"], ["30", "30 days"], ["90", "90 days"], ["366", "a year"], ["own", "From … to"]]} /></Field>
        {f.from && f.to && <>
          <Field label="From"><Input type="date" value={f.from} max={f.to} onInput={(v) => v && set({ from: v }, true)} /></Field>
          <Field label="To"><Input type="date" value={f.to} min={f.from} onInput={(v) => v && set({ to: v }, true)} /></Field>
        </>}
        <Field label="Sub-account"><Select value={f.subAccountId ?? ""} onChange={(v) => set({ subAccountId: v })} options={[["", "All"], ...(subs.data ?? []).map((s): [string, string] => [String(s.id), s.name])]} /></Field>
        <Group value={f.group ?? ""} set={(group) => set({ group })} />
      </div>
      {(providers.data?.length ?? 0) > 1 && <Chosen list={providers.data!} ids={f.tpspId ?? ""} set={(tpspId) => set({ tpspId })} />}
      <Loaded of={answer}>{(c) => <Matrix c={c} measure={measure} chosen={f.cell ?? ""} choose={(cell) => set({ cell })} range={range} group={f.group} subAccountId={f.subAccountId} />}</Loaded>
    </Page>
  );
}

/** Which providers are compared: all, or those that are pressed. */
function Chosen({ list, ids, set }: { list: Tpsp[]; ids: string; set: (ids: string) => void }) {
  const chosen = ids.split(",").filter(Boolean);
  const toggle = (id: string) => set(chosen.includes(id) ? chosen.filter((c) => c !== id).join(",") : [...chosen, id].join(","));
  return (
    <div class="row" role="group" aria-label="Providers">
      <button type="button" class="filter-chip" aria-pressed={!chosen.length} onClick={() => set("")}>All</button>
      {list.map((p) => <button key={p.id} type="button" class="filter-chip" aria-pressed={chosen.includes(String(p.id))} onClick={() => toggle(String(p.id))}><bdi class="clip">{p.name}</bdi></button>)}
    </div>
  );
}

interface Row {
  key: string; // a mailbox provider, "" for all
  lanes: (ComparedLane | undefined)[]; // as the egresses are
}

interface MatrixProps {
  c: Comparison;
  measure: RateKey;
  chosen: string; // "tpsp-1:gmail"
  choose: (cell: string) => void;
  range: { from: string; to: string };
  group?: string;
  subAccountId?: string;
}

function Matrix({ c, measure, chosen, choose, range, group, subAccountId }: MatrixProps) {
  const m = measures[measure];
  const rows = useMemo(() => rowsOf(c), [c]);
  if (c.egresses.length === 0) {
    return <Card><Empty title="No mail in this time"><p class="quiet">Choose another time, or send some: a pool with several providers gives all of them the same mail.</p><a class="button" href="/ippools">IP pools</a></Empty></Card>;
  }
  // One scale for all cells, so that bars can be compared.
  const ends = rows.flatMap((r) => r.lanes.flatMap((l, i) => (l && !silent(c.egresses[i]!, measure) && l[measure].low !== null ? [l[measure].low!, l[measure].high!] : [])));
  const scale: [number, number] = measure === "delivered" ? [Math.min(0.95, Math.max(0, Math.min(1, ...ends) - 0.02)), 1] : [0, Math.max(0.01, Math.min(1, Math.max(0, ...ends) * 1.05))];
  const [egress, mailbox = ""] = chosen.split(":");
  const at = c.egresses.findIndex((e) => keyOf(e) === egress);
  const row = rows.find((r) => r.key === mailbox);
  return (
    <>
      <div class="matrix"><Card flush title={`${m.name}, of ${m.of} messages`} actions={<span class="small quiet num">{c.from} to {c.to} (UTC), scale {percent(scale[0])} to {percent(scale[1])}</span>}>
        <Table label={`${m.name} by provider and mailbox provider`} scroll rows={rows} keyOf={(r) => r.key || "all"} columns={[
          { name: "Mailbox provider", cell: (r) => <b>{r.key ? mailboxName(r.key) : "All mail"}</b> },
          ...c.egresses.map((e, i) => ({
            name: e.name,
            cell: (r: Row) => {
              const l = r.lanes[i];
              const key = `${keyOf(e)}:${r.key}`;
              if (!l) return <span class="quiet">no mail</span>;
              return (
                <button type="button" class="cell" aria-pressed={chosen === key} onClick={() => choose(chosen === key ? "" : key)}>
                  <span class="off-screen">{e.name} to {r.key ? mailboxName(r.key) : "all"}:</span>
                  {silent(e, measure) ? <span class="quiet small">nobody reports it</span> : <Interval rate={l[measure]} scale={scale} />}
                  <span class="small quiet num">{short(l[measure].count)} of {short(l.accepted)}</span>
                </button>
              );
            },
          })),
          { name: "Difference", cell: (r) => <Verdict row={r} egresses={c.egresses} measure={measure} /> },
        ]} />
      </Card></div>
      {at >= 0 && row?.lanes[at] && <Behind egress={c.egresses[at]!} lane={row.lanes[at]!} mailbox={mailbox} range={range} group={group} subAccountId={subAccountId} close={() => choose("")} />}
      <Times c={c} rows={rows} />
      <details>
        <summary>How to read the intervals</summary>
        <ul class="bullets small">
          <li>Intervals that do not overlap: the providers differ, and hardly by chance.</li>
          <li>One rate lies within the other's interval: this mail says nothing about which is better. Wait for more.</li>
          <li>They overlap, but neither rate lies in the other's interval: there may be a difference. Look at a longer time.</li>
          <li>Of many comparisons some differ by chance alone. And like is to be compared with like: a provider that carries the newsletter has more complaints than one that carries receipts, which is not its fault.</li>
        </ul>
      </details>
    </>
  );
}

function rowsOf(c: Comparison): Row[] {
  const sums = new Map<string, number>();
  for (const e of c.egresses) for (const l of e.mailboxes) sums.set(l.provider, (sums.get(l.provider) ?? 0) + l.accepted);
  const keys = [...sums].sort((a, b) => b[1] - a[1]).map(([k]) => k);
  return [{ key: "", lanes: c.egresses.map((e) => e.total) }, ...keys.map((key) => ({ key, lanes: c.egresses.map((e) => e.mailboxes.find((l) => l.provider === key)) }))];
}

const words = (r: ComparedRate) => (r.rate === null ? "no rate" : `${percent(r.rate)}, 95 % interval ${percent(r.low)} to ${percent(r.high)}`);

/** A rate in its interval. */
export function Interval({ rate, scale: [from, to] }: { rate: ComparedRate; scale: [number, number] }) {
  if (rate.rate === null) return <span class="quiet">no rate</span>;
  const x = (v: number) => 4 + ((Math.max(from, Math.min(to, v)) - from) / (to - from || 1)) * 112;
  return (
    <span class="interval">
      <svg viewBox="0 0 120 14" aria-hidden="true">
        <path class="interval-ground" d="M4 7h112" />
        <path class="interval-bar" d={`M${x(rate.low!)} 7H${x(rate.high!)}M${x(rate.low!)} 3v8M${x(rate.high!)} 3v8`} />
        <circle class="interval-dot" cx={x(rate.rate)} cy="7" r="3.5" />
      </svg>
      <span class="num"><b>{percent(rate.rate)}</b> <span class="small quiet">{bare(rate.low!)}–{bare(rate.high!)}</span></span>
    </span>
  );
}

const bare = (v: number) => percent(v).replace(" %", "");

/** What the intervals say of the best provider of a row against each other one. */
export function verdict(row: Row, egresses: ComparedEgress[], measure: RateKey): { sure: boolean; text: string } | undefined {
  const known = egresses.flatMap((e, i) => (row.lanes[i] && !silent(e, measure) && row.lanes[i]!.accepted > 0 && row.lanes[i]![measure].rate !== null ? [{ e, r: row.lanes[i]![measure] }] : []));
  if (known.length < 2) return undefined;
  const sign = measures[measure].better === "more" ? 1 : -1;
  known.sort((a, b) => sign * (b.r.rate! - a.r.rate!));
  const best = known[0]!;
  const apart = known.slice(1).filter((k) => k.r.high! < best.r.low! || k.r.low! > best.r.high!);
  const within = known.slice(1).every((k) => (k.r.rate! >= best.r.low! && k.r.rate! <= best.r.high!) || (best.r.rate! >= k.r.low! && best.r.rate! <= k.r.high!));
  const verb = { more: "better than", fewer: "fewer than" }[measures[measure].better];
  if (apart.length > 0) return { sure: true, text: `${best.e.name}: ${verb} ${apart.map((k) => k.e.name).join(", ")}` };
  return { sure: false, text: within ? "No significant difference" : "Perhaps a difference: not sure yet" };
}

function Verdict({ row, egresses, measure }: { row: Row; egresses: ComparedEgress[]; measure: RateKey }) {
  const v = verdict(row, egresses, measure);
  if (!v) return <span class="quiet small">nothing to compare</span>;
  return <span class={v.sure ? "small verdict" : "small quiet verdict"}><bdi>{v.text}</bdi></span>;
}

interface BehindProps {
  egress: ComparedEgress;
  lane: ComparedLane;
  mailbox: string;
  range: { from: string; to: string };
  group?: string;
  subAccountId?: string;
  close: () => void;
}

/** What stands behind a cell: all of its rates, and why mail bounced. */
function Behind({ egress, lane, mailbox, range, group, subAccountId, close }: BehindProps) {
  const path = egress.tpspId ? `/account/tpsp/stat/${egress.tpspId}/aggregate/reason` : `/account/ip/stat/${egress.ipId}/aggregate/reason`;
  const reasons = useGet<ReasonRow[]>(path, { ...range, provider: mailbox, subAccountId, limit: 20 });
  const lanes = { ...(egress.tpspId ? { tpspId: egress.tpspId } : { ipId: egress.ipId }), mailbox, subAccountId, ...range };
  const where = { ...lanes, group };
  return (
    <Card title={`${egress.name} to ${mailbox ? mailboxName(mailbox) : "all"}`} actions={<Button small onClick={close}>Close</Button>}>
      <div class="columns">
        <dl class="facts">
          <dt>Accepted</dt><dd class="num"><a href={eventsOf("sent", where)}>{count(lane.accepted)}</a></dd>
          {(Object.keys(measures) as RateKey[]).map((k) => [
            <dt key={k}>{measures[k].name}</dt>,
            <dd key={k + "-is"} class="num">{lane[k].count ? <a href={eventsOf(k as Counter, where)}>{count(lane[k].count)}</a> : "0"} {!silent(egress, k) && <span class="quiet">({words(lane[k])})</span>}</dd>,
          ])}
          {lane.delay && <><dt>Time to deliver</dt><dd class="num">{time(lane)}</dd></>}
          {lane.failovers && <><dt>Failovers</dt><dd class="num">{count(lane.failovers.away)} away, {count(lane.failovers.in)} in</dd></>}
        </dl>
        <div class="stack-tight">
          <h3>Why mail bounced{group && ", whatever its group"}</h3>
          <Loaded of={reasons}>{(list) => (
            <Table label="Bounce reasons" rows={list} keyOf={(r) => r.reason} empty={<p class="quiet">Nothing bounced.</p>} columns={[
              { name: "Reason", cell: (r) => <bdi class="break">{r.reason}</bdi> },
              { name: "Hard", end: true, cell: (r) => (r.hardBounced ? <a href={eventsOf("hardBounced", { ...lanes, reason: r.reason })}>{count(r.hardBounced)}</a> : "0") },
              { name: "Soft", end: true, cell: (r) => (r.softBounced ? <a href={eventsOf("softBounced", { ...lanes, reason: r.reason })}>{count(r.softBounced)}</a> : "0") },
            ]} />
          )}</Loaded>
        </div>
      </div>
    </Card>
  );
}

const time = (l: ComparedLane | undefined) => (l?.delay?.medianMs != null ? `${duration(l.delay.medianMs)} median, ${duration(l.delay.p95Ms!)} for 95 %` : "not known");

/** How long delivery took, and who stood in for whom. */
function Times({ c, rows }: { c: Comparison; rows: Row[] }) {
  if (c.egresses.every((e) => !e.total.delay)) return <Note tone="calm">Times and failovers are not counted by group.</Note>;
  return (
    <div class="matrix"><Card flush title="Time to deliver, and failovers">
      <Table label="Time to deliver and failovers" scroll rows={rows} keyOf={(r) => r.key || "all"} columns={[
        { name: "Mailbox provider", cell: (r) => <b>{r.key ? mailboxName(r.key) : "All mail"}</b> },
        ...c.egresses.map((e, i) => ({
          name: e.name,
          cell: (r: Row) => {
            const l = r.lanes[i];
            if (!l) return <span class="quiet">no mail</span>;
            return (
              <div class="num nowrap">
                {l.delay?.medianMs != null ? <><b>{duration(l.delay.medianMs)}</b> <span class="small quiet">95 %: {duration(l.delay.p95Ms!)}</span></> : <span class="quiet">no reports</span>}
                <div class="small quiet">{l.failovers ? `${short(l.failovers.away)} away, ${short(l.failovers.in)} in` : ""}</div>
              </div>
            );
          },
        })),
      ]} />
    </Card></div>
  );
}
