// What an IP pool would do as it is edited: shares, where an address would go, and what to know.
import { useEffect, useRef, useState } from "preact/hooks";
import { post, Refusal } from "../api";
import { count, percent, plural } from "../format";
import { useFilters } from "../route";
import type { FirstChoice, PoolRequest, Preview, Route, Share, Warning } from "../schema";
import { Card, Field, Input, Note, Select, Status, type Tone } from "../ui";
import { keyName } from "./strategy";
import { mailboxName } from "../mail";

/** Asks what a pool would do, a moment after it was changed. The last answer stays until the next one is there. */
export function usePreview(body: (PoolRequest & Record<string, unknown>) | null) {
  const [state, set] = useState<{ data?: Preview; error?: Refusal; busy: boolean }>({ busy: true });
  const key = JSON.stringify(body);
  const first = useRef(true);
  useEffect(() => {
    if (!body) return;
    const stop = new AbortController();
    set((s) => ({ ...s, busy: true }));
    const timer = setTimeout(async () => {
      try {
        const data = await post<Preview>("/account/ippool/preview", body, { signal: stop.signal });
        set({ data, busy: false });
      } catch (e) {
        if ((e as Error).name !== "AbortError") set((s) => ({ data: s.data, error: e as Refusal, busy: false }));
      }
    }, first.current ? 0 : 200);
    first.current = false;
    return () => (clearTimeout(timer), stop.abort());
  }, [key]);
  return state;
}

interface PreviewProps {
  strategy: number;
  preview: ReturnType<typeof usePreview>;
  edited: boolean;
  order: string[]; // of members: it decides their colours
}

export function PoolPreview({ strategy, preview, edited, order }: PreviewProps) {
  const [filters, setFilters] = useFilters();
  const { data, error, busy } = preview;
  const asked = ["to", "from", "sample"];
  return (
    <div class="pool-preview stack">
      <Card title={edited ? "What it would do" : "What it does"} actions={<Status tone={error ? "warn" : edited ? "wait" : "calm"}>{error ? "not possible so" : edited ? "not saved yet" : "as saved"}</Status>}>
        <div class="stack" aria-live="polite" aria-busy={busy && !data ? "true" : undefined}>
          {error && !asked.includes(error.field) && <Note tone="warn"><bdi>{error.message}</bdi></Note>}
          {data && (!error || asked.includes(error.field)) && data.shares.map((s) => <Shares key={s.key} share={s} label={keyName(strategy, s.key)} order={order} />)}
          {data && <p class="small quiet">The first choices of {count(Math.max(0, ...data.shares.map((s) => s.sample.reduce((n, c) => n + c.messages, 0))))} messages in a row{data.shares.length > 1 && ", for each"}. Who comes next, an address tells.</p>}
        </div>
      </Card>
      <Card title="Where would this address go now?">
        <div class="stack">
          <div class="form-row">
            <Field label="To" name="to" error={error}><Input value={filters.to ?? ""} onInput={(to) => setFilters({ to }, true)} type="email" placeholder="ana@gmail.com" spellcheck={false} autocomplete="off" /></Field>
            <Field label="From" name="from" error={error}><Input value={filters.from ?? ""} onInput={(from) => setFilters({ from }, true)} type="email" placeholder="hello@example.com" spellcheck={false} autocomplete="off" /></Field>
          </div>
          <Field label="Message"><Select value={filters.kind ?? ""} onChange={(kind) => setFilters({ kind })} options={[["", "whatever it holds"], ["template", "with a template of a provider's"], ["raw", "without a template"]]} /></Field>
          {!filters.to && <p class="small quiet">Write an address: the plan of a message to it stands here, with the reasons and who is passed over.</p>}
          {data?.route && filters.to && (!error || asked.includes(error.field)) && <Plan route={data.route} stale={!!error || busy} />}
        </div>
      </Card>
      {data && <Warnings list={data.warnings} />}
    </div>
  );
}

const colour = (order: string[], egress: string) => `var(--series-${(Math.max(0, order.indexOf(egress)) % 6) + 1})`;

/** How the mail of a key is shared: a bar, and the same in words. */
export function Shares({ share, label, order }: { share: Share; label: string; order: string[] }) {
  const of = (c: FirstChoice) => `${c.name || c.egress} ${percent(c.share)}`;
  return (
    <section class="share" aria-label={label}>
      <h3 class="break"><bdi>{label}</bdi></h3>
      {share.refusal && <span class="small break"><Status tone="bad">refused</Status> <bdi>{share.refusal}</bdi></span>}
      {share.sample.length > 0 && (
        <>
          <div class="share-bar" role="img" aria-label={share.sample.map(of).join(", ")}>
            {share.sample.map((c) => <span key={c.egress} style={{ width: `${c.share * 100}%`, color: colour(order, c.egress) }} />)}
          </div>
          <ul class="share-keys">
            {share.sample.map((c) => (
              <li key={c.egress}>
                <i style={{ color: colour(order, c.egress) }} />
                <span><bdi>{c.name || c.egress}</bdi> <b class="num">{percent(c.share)}</b> <span class="quiet num">{count(c.messages)}</span></span>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

/** The plan of a message: who is tried in which order and why, and who is passed over. */
function Plan({ route, stale }: { route: Route; stale: boolean }) {
  const sum = route.sample.reduce((n, c) => n + c.messages, 0);
  return (
    <section class="stack-tight" aria-label="Plan" aria-busy={stale || undefined}>
      <p class="break"><bdi>{route.rule}</bdi></p>
      <p class="small quiet">{mailboxName(route.mailbox)}{route.sender && <>, from <bdi>{route.sender}</bdi></>}{sum > 0 && route.sample.length > 1 && <>. Of {plural(sum, "message")} in a row, first: {route.sample.map((c) => `${c.name || c.egress} ${percent(c.share)}`).join(", ")}</>}</p>
      {route.paused && <Note tone="calm">The pool is paused: the message would wait.</Note>}
      {route.refusal && <Note tone="bad">A send would be refused: <bdi>{route.refusal}</bdi></Note>}
      {route.egresses.length > 0 && (
        <ol class="ways" aria-label="Tried in this order">
          {route.egresses.map((w, i) => (
            <li key={w.egress}>
              <span>
                <a href={w.tpspId ? `/providers/${w.tpspId}` : "/ippools"}><b><bdi>{w.name || w.egress}</bdi></b></a> <span class="small quiet">through <bdi>{w.ipPool}</bdi>{route.overflow > 0 && i === route.overflow && " (overflow)"}</span>
                <br /><span class="small"><bdi>{w.reason}</bdi></span>
              </span>
            </li>
          ))}
        </ol>
      )}
      {route.skipped.length > 0 && (
        <>
          <h3>Passed over</h3>
          <ul class="ways over" aria-label="Passed over">
            {route.skipped.map((s) => <li key={s.egress}><span><b><bdi>{s.name || s.egress}</bdi></b><br /><span class="small"><bdi>{s.reason}</bdi></span></span></li>)}
          </ul>
        </>
      )}
    </section>
  );
}

const tones: Record<string, Tone> = { pool_paused: "calm", provider_paused: "calm", empty: "bad", not_connected: "bad", unreadable_metadata: "bad" };

export const warningTone = (code: string): Tone => tones[code] ?? "warn";

/** The gravest of some warnings. */
export const gravest = (list: Warning[]): Tone => (["bad", "warn", "calm"] as Tone[]).find((t) => list.some((w) => warningTone(w.code) === t)) ?? "good";

function Warnings({ list }: { list: Warning[] }) {
  if (list.length === 0) return <Card title="Warnings"><Status tone="good">None</Status></Card>;
  return (
    <Card title="Warnings">
      <ul class="stack-tight" aria-label="Warnings">
        {list.map((w, i) => <li key={i} class="row small"><Status tone={warningTone(w.code)}>{w.code.replaceAll("_", " ")}</Status><span class="break"><bdi>{w.message}</bdi></span></li>)}
      </ul>
    </Card>
  );
}
