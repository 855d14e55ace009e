// What the pages of providers and IP pools show alike.
import { useState } from "preact/hooks";
import { post, put, useAction, useGet } from "../api";
import { day } from "../format";
import { to } from "../route";
import type { Event, FailedAttempt, Failures, Health, Kind, Tpsp, Webhook } from "../schema";
import { useMayChange } from "../session";
import { Button, Copy, Dialog, Failed, Field, Input, Progress, Select, Status, toast, type Tone, Until, useNow, When } from "../ui";
import { eventName, eventTone, failures, healthWords, webhookWords } from "./words";

/** The kinds of providers that can be connected. */
export const useKinds = () => useGet<Kind[]>("/account/tpsp/kinds");

export const kindTitle = (kinds: Kind[] | undefined, type: number) => kinds?.find((k) => k.type === type)?.title ?? `Type ${type}`;

/** Whether mail goes through a provider; why not, since when, and when it is tried again. */
export function HealthWords({ health }: { health: Health }) {
  const [tone, words] = healthWords(health);
  return (
    <div class="stack-tight">
      <span class="row">
        <Status tone={tone}>{words}</Status>
        {health.since > 0 && <span class="small quiet">since <When at={health.since} /></span>}
        {health.probeAt > 0 && <span class="small quiet">{health.state === "drill" ? "it ends" : "mail tries it again"} <Until at={health.probeAt} /></span>}
      </span>
      {health.reason && health.state !== "paused" && health.state !== "drill" && <span class="small break" dir="auto">{health.reason}</span>}
      {health.refusedSenders.length > 0 && (
        <ul class="stack-tight small" aria-label="Refused sender domains">
          {health.refusedSenders.map((r) => (
            <li key={r.domain} class="break">
              <b><bdi>{r.domain}</bdi></b> is refused as a sender{r.since > 0 && <> since <When at={r.since} /></>}: <bdi>{r.reason}</bdi>
              {r.probeAt > 0 && <span class="quiet"> It is tried again <Until at={r.probeAt} />.</span>}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

interface WebhookProps {
  tpsp: Tpsp;
  onChange: (t: Tpsp) => void;
  /** With the URL and what it answered. */
  full?: boolean;
}

/** Where a provider's webhook stands, and "Register again". */
export function WebhookWords({ tpsp, onChange, full }: WebhookProps) {
  const may = useMayChange();
  const w = tpsp.webhookStatus;
  const [tone, words] = webhookWords(w);
  const again = useAction(async () => {
    const t = await post<Tpsp>(`/account/tpsp/${tpsp.id}/webhook`);
    onChange(t);
    toast(t.webhookStatus.state === "registered" ? `The webhook of ${tpsp.name} is registered.` : `The webhook of ${tpsp.name}: ${webhookWords(t.webhookStatus)[1].toLowerCase()}.`);
  });
  return (
    <div class="stack-tight">
      <span class="row">
        <Status tone={tone}>{words}</Status>
        {w.nextTry > 0 && <span class="small quiet">tried again <Until at={w.nextTry} /></span>}
        {may && w.state !== "none" && <Button small busy={again.busy} onClick={() => void again.run()}>Register again</Button>}
      </span>
      {again.busy && <Progress label="The provider is asked to register the webhook, and calls it." />}
      {again.error && <Failed error={again.error} />}
      {w.message && <span class="small break" dir="auto">{w.message}</span>}
      {w.paused.length > 0 && <span class="small">Not reported by the provider: <bdi>{w.paused.join(", ")}</bdi></span>}
      {full && w.url && (
        <span class="row small">
          <code class="break">{w.url}</code>
          <Copy text={w.url} of="the webhook's URL" />
        </span>
      )}
      {full && w.results.length > 0 && <Probes webhook={w} />}
    </div>
  );
}

/** How our URL answered when the provider called it. */
const Probes = ({ webhook }: { webhook: Webhook }) => (
  <ul class="stack-tight small" aria-label="What the provider got when it called the URL">
    {webhook.results.map((p, i) => (
      <li key={i} class="row">
        <Status tone={p.success ? "good" : "bad"}>{p.statusCode || "no answer"}</Status>
        <bdi>{p.trigger}</bdi>
        <span class="quiet break"><bdi>{p.message}</bdi></span>
      </li>
    ))}
  </ul>
);

const lengths: [string, string][] = [["60", "1 minute"], ["300", "5 minutes"], ["900", "15 minutes"], ["3600", "1 hour"], ["86400", "1 day"], ["", "another length"]];

/** The button that rehearses an outage; while one runs, how long it still takes and the button that ends it. */
export function Drill({ tpsp, onChange }: { tpsp: Tpsp; onChange: (t: Tpsp) => void }) {
  const [open, setOpen] = useState(false);
  const [choice, setChoice] = useState("60");
  const [own, setOwn] = useState("120");
  const seconds = Number(choice || own);
  const drill = useAction(async (n: number) => {
    onChange(await post<Tpsp>(`/account/tpsp/${tpsp.id}/drill`, { seconds: n }));
    toast(n ? `The drill of ${tpsp.name} has begun.` : `The drill of ${tpsp.name} has ended.`);
  });
  const running = tpsp.health.state === "drill";
  if (running) {
    return (
      <>
        <Button small busy={drill.busy} onClick={() => void drill.run(0)}><span>End the drill (<Countdown at={tpsp.health.probeAt} onEnd={() => onChange(tpsp)} />)</span></Button>
        {drill.error && <Failed error={drill.error} />}
      </>
    );
  }
  return (
    <>
      <Button small onClick={() => setOpen(true)}>Drill</Button>
      {open && (
        <Dialog title="Rehearse an outage" onClose={() => setOpen(false)}>
          <form class="stack" onSubmit={async (e) => (e.preventDefault(), (await drill.run(seconds)) && setOpen(false))}>
            <p><bdi>{tpsp.name}</bdi> counts as stopped for so long, although it is well. Its mail goes to the others of its IP pools, or waits.</p>
            <Field label="Length"><Select value={choice} onChange={setChoice} options={lengths} /></Field>
            {choice === "" && <Field label="Seconds" name="seconds" error={drill.error}><Input value={own} onInput={setOwn} type="number" min={1} max={86400} required /></Field>}
            {drill.error && <Failed error={drill.error} />}
            <div class="dialog-end">
              <Button onClick={() => setOpen(false)}>Cancel</Button>
              <Button type="submit" kind="main" busy={drill.busy}>Begin the drill</Button>
            </div>
          </form>
        </Dialog>
      )}
    </>
  );
}

/** Minutes and seconds until a time. */
function Countdown({ at, onEnd }: { at: number; onEnd: () => void }) {
  const left = Math.max(0, Math.ceil(at / 1e9 - useNow() / 1000));
  const [told, tell] = useState(false);
  if (left === 0 && !told) {
    tell(true);
    onEnd();
  }
  const h = Math.floor(left / 3600), m = Math.floor((left % 3600) / 60), s = String(left % 60).padStart(2, "0");
  return <span class="num" role="timer">{h > 0 ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`}</span>;
}

/** The button that lets a provider rest, or go on. */
export function PauseProvider({ tpsp, onChange }: { tpsp: Tpsp; onChange: (t: Tpsp) => void }) {
  const act = useAction(async () => {
    onChange(await put<Tpsp>(`/account/tpsp/${tpsp.id}`, { active: !tpsp.active }));
    toast(tpsp.active ? `${tpsp.name} is paused: no mail leaves through it.` : `${tpsp.name} goes on.`);
  });
  return (
    <>
      <Button small busy={act.busy} onClick={() => void act.run()}>{tpsp.active ? "Pause" : "Resume"}</Button>
      {act.error && <Failed error={act.error} />}
    </>
  );
}

interface Trouble {
  key: string;
  at: number;
  messageID: string;
  tone: Tone;
  what: string;
  to: string;
  words: string;
}

/** What failed at a provider within a week: events that tell of mail that did not arrive, and calls that it did not accept, whoever carried the mail after that. */
function troublesOf(events: Event[], attempts: FailedAttempt[]): Trouble[] {
  const told = new Set(events.map((e) => e.messageID)); // the event says it already
  return [
    ...events.map((e) => ({ key: e.eventID, at: e.submittedAt, messageID: e.messageID, tone: eventTone(e.type), what: eventName(e.type), to: e.to, words: e.smtpDescription })),
    ...attempts.filter((a) => !told.has(a.messageID)).map((a): Trouble => ({
      key: `${a.messageID} ${a.n}`, at: a.finished, messageID: a.messageID, tone: "warn", what: `Call: ${a.class}`, to: "", words: a.text || a.code || (a.httpStatus ? `HTTP ${a.httpStatus}` : ""),
    })),
  ].sort((a, b) => b.at - a.at);
}

/** The last things that went wrong at a provider. */
export function LastErrors({ id, limit }: { id: number; limit: number }) {
  const list = useGet<Event[]>("/account/event", { tpspId: id, type: failures.join(","), from: day(7), order: "desc", limit }, { every: 10_000 });
  const calls = useGet<Failures>(`/account/tpsp/${id}/failures`, undefined, { every: 30_000 });
  const error = list.error ?? calls.error;
  if (error && !(list.data && calls.data)) return <Failed error={error} retry={() => (list.reload(), calls.reload())} />;
  if (!list.data || !calls.data) return <span class="small quiet">…</span>;
  const troubles = troublesOf(list.data, calls.data.attempts).slice(0, limit);
  if (troubles.length === 0) return <span class="small quiet">None within a week.</span>;
  return (
    <ul class="troubles">
      {troubles.map((e) => (
        <li key={e.key}>
          <a href={`/messages/${e.messageID}`} class="row">
            <Status tone={e.tone}>{e.what}</Status>
            <bdi class="break">{e.to || "its message"}</bdi>
          </a>
          <span class="small quiet"><When at={e.at} /></span>
          {e.words && <span class="small break clamp" dir="auto" title={e.words}>{e.words}</span>}
        </li>
      ))}
      <li><a class="small" href={to("/messages", { q: `provider:TPSP_${id} status:bounced,dropped` })}>All bounced and dropped messages</a></li>
    </ul>
  );
}

/** What is still to be read back. */
export function CatchUpWords({ tpsp }: { tpsp: Tpsp }) {
  const c = tpsp.catchUp;
  if (!c) return null;
  return (
    <div class="stack-tight">
      <span class="row">
        <Status tone={c.state === "failed" ? "bad" : "wait"}>{c.state === "running" ? "Being read back" : c.state === "failed" ? "Cannot be read back" : "To be read back"}</Status>
        <span class="small quiet">events since <When at={c.since} exact />{c.nextTry > 0 && <>, tried <Until at={c.nextTry} /></>}</span>
      </span>
      {c.message && <span class="small break" dir="auto">{c.message}</span>}
    </div>
  );
}
