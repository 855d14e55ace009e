import { useEffect, useRef, useState } from "preact/hooks";
import { API, raw, Refusal, useAction, useGet } from "../api";
import { bytes, count, plural } from "../format";
import { kindOf, kinds, mailboxes } from "../mail";
import { useKeys } from "../keys";
import { type Filters, to, useFilters } from "../route";
import type * as Schema from "../schema";
import { Button, Chips, Empty, Failed, Field, Input, Page, Progress, Select, Status, Table, When } from "../ui";

/** What may stand in the address, and what it says to the API. */
const names = ["kind", "via", "from", "to", "sub", "mailbox", "group", "recipient"];

/** What statistics count events under, as the API and the address name it. Other pages lead here with it; it is shown only when it is asked for. */
const counted: Record<string, string> = { domain: "Sender's domain", reason: "Why it bounced", device: "Device", client: "Program", os: "System", country: "Country", first: "Of each message" };

function query(f: Filters): Record<string, string> {
  const q: Record<string, string> = {};
  const types = (f.kind ?? "").split(",").flatMap((name) => kinds.find((k) => k.name === name)?.types ?? []); // other pages may name several
  if (types.length) q.type = types.join(",");
  const [what, id] = (f.via ?? "").split("_");
  if (what === "TPSP") q.tpspId = id ?? "";
  else if (what === "IP") q.ipId = id ?? "";
  else if (f.via) q.provider = f.via;
  if (f.from) q.from = f.from;
  if (f.to) q.to = f.to;
  if (f.sub) q.subAccountId = f.sub;
  if (f.mailbox) q.mailbox = f.mailbox;
  if (f.group) q.group = f.group;
  for (const name of Object.keys(counted)) if (f[name]) q[name] = name === "first" ? "true" : f[name]!;
  if (f.recipient) q[/^[^@\s]+@[^@\s]+\.[^@\s]+$/.test(f.recipient) ? "recipient" : "search"] = f.recipient;
  return q;
}

/** The central log: what all providers reported, in one place. */
export function Events(_: { id: string }) {
  const [filters, set] = useFilters();
  const asked = query(filters);
  const key = JSON.stringify(asked);
  const tpsps = useGet<Schema.Tpsp[]>("/account/tpsp");
  const ips = useGet<Schema.Ip[]>("/account/ip");
  const subs = useGet<Schema.SubAccount[]>("/account/subaccount");
  const total = useGet<Schema.Count>("/account/event/count", asked);
  const page = usePages(asked, key);
  const live = filters.live === "1";
  const tail = useTail(live, asked, key);
  const rows = [...tail.shown, ...page.rows];
  const viaName = (e: Schema.Event) =>
    e.tpspId ? (tpsps.data?.find((t) => t.id === e.tpspId)?.name ?? `TPSP_${e.tpspId}`) : e.ipID ? (ips.data?.find((i) => i.id === e.ipID)?.publicIP ?? `IP_${e.ipID}`) : "Postyard";
  useKeys({ l: [live ? "stop following events" : "follow events", () => set({ live: live ? "" : "1" })] });
  const under = Object.keys(counted).filter((n) => filters[n]);
  const filtered = under.length > 0 || names.some((n) => filters[n]);
  return (
    <Page title="Events" about="What happened to your mail, whichever provider said so." actions={
      <>
        <Button pressed={live} kind={live ? "main" : undefined} onClick={() => set({ live: live ? "" : "1" })} title="Follow (l)">{live ? "Following" : "Follow live"}</Button>
        {live && <Button pressed={tail.paused} onClick={tail.pause}>{tail.paused ? (tail.held ? `Show ${plural(tail.held, "new event")}` : "Go on") : "Pause"}</Button>}
      </>
    }>
      <form class="filters" onSubmit={(e) => e.preventDefault()} aria-label="Filters">
        <Field label="Event"><Select value={filters.kind ?? ""} onChange={(kind) => set({ kind })} options={[["", "Any"], ...kinds.map((k): [string, string] => [k.name, k.name]), ...(filters.kind?.includes(",") ? [[filters.kind, filters.kind.replaceAll(",", ", ")] as [string, string]] : [])]} /></Field>
        <Field label="Provider"><Select value={filters.via ?? ""} onChange={(via) => set({ via })} options={[["", "Any"], ["postmark", "All of Postmark"], ["sendgrid", "All of SendGrid"], ["ses", "All of Amazon SES"], ["custom-smtp", "All mail servers"],
          ...(tpsps.data ?? []).map((t): [string, string] => [`TPSP_${t.id}`, t.name]), ...(ips.data ?? []).map((i): [string, string] => [`IP_${i.id}`, i.publicIP])]} /></Field>
        <Field label="From"><input type="date" value={filters.from ?? ""} onChange={(e) => set({ from: e.currentTarget.value })} /></Field>
        <Field label="To"><input type="date" value={filters.to ?? ""} onChange={(e) => set({ to: e.currentTarget.value })} /></Field>
        <Field label="Sub-account"><Select value={filters.sub ?? ""} onChange={(sub) => set({ sub })} options={[["", "Any"], ...(subs.data ?? []).map((s): [string, string] => [String(s.id), s.name])]} /></Field>
        <Field label="Mailbox provider"><Select value={filters.mailbox ?? ""} onChange={(mailbox) => set({ mailbox })} options={[["", "Any"], ...mailboxes]} /></Field>
        <Field label="Group"><Later value={filters.group ?? ""} onChange={(group) => set({ group }, true)} /></Field>
        <Field label="Recipient"><Later value={filters.recipient ?? ""} onChange={(recipient) => set({ recipient }, true)} placeholder="address or a part" /></Field>
        {filtered && <Button kind="bare" onClick={() => set(Object.fromEntries([...names, ...under].map((n) => [n, ""])))}>Clear</Button>}
      </form>
      <Chips label="What they count under" chips={under.map((n) => [counted[n]!, n === "first" ? "only the first" : filters[n]!, to("/events", { ...filters, [n]: "" })])} />
      <div class="row-between">
        <p class="quiet" aria-live="polite">
          {total.error ? <span class="small">{total.error.message}</span> : total.data ? plural(total.data.count, "event") : "Counting…"}
          {live && tail.state && <> · <span class="small">{tail.state}</span></>}
        </p>
        <Export asked={asked} />
      </div>
      {page.error && <Failed error={page.error} retry={page.again} />}
      <section class="card card-flush" aria-label="Events" aria-busy={page.busy && rows.length === 0 ? true : undefined}>
        <Table label="Events" rows={rows} keyOf={(e) => e.eventID} href={(e) => `/messages/${e.messageID}`} empty={page.busy || page.error ? <div class="skeleton" /> : <Nothing filtered={filtered} />} columns={[
          { name: "When", cell: (e) => <a href={`/messages/${e.messageID}`}><When at={e.submittedAt} /></a> },
          { name: "Event", cell: (e) => <Status tone={kindOf(e.type).tone} title={`type ${e.type}`}>{kindOf(e.type).name}</Status> },
          { name: "Recipient", cell: (e) => <bdi class="break">{e.to}</bdi> },
          { name: "What was said", cell: (e) => <span class="lines" dir="auto">{e.smtpDescription || e.eventMetadata.clickedURL || e.messageSubject}</span> },
          { name: "Provider", cell: (e) => <bdi>{viaName(e)}</bdi> },
          { name: "Mailbox", cell: (e) => e.messageType },
        ]} />
        {page.more && (
          <div class="more">
            <Button busy={page.busy} onClick={page.next}>Load more</Button>
            {page.sparse && <span class="small quiet">Nothing more was found so far; the log goes on.</span>}
          </div>
        )}
      </section>
    </Page>
  );
}

const Nothing = ({ filtered }: { filtered: boolean }) =>
  filtered ? <Empty title="No event has all of this"><p class="quiet">Take a filter away, or look at other days.</p></Empty>
    : <Empty title="Nothing has happened yet"><p class="quiet">Events appear here as soon as mail is sent.</p></Empty>;

/** A text that is taken over a moment after the last key. */
function Later({ value, onChange, ...rest }: { value: string; onChange: (v: string) => void; [more: string]: unknown }) {
  const [text, setText] = useState(value);
  const timer = useRef(0);
  useEffect(() => setText(value), [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const type = (v: string) => {
    setText(v);
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => onChange(v.trim()), 350);
  };
  return <Input value={text} onInput={type} type="search" autocomplete="off" spellcheck={false} {...rest} />;
}

/** Pages of the log, the newest first. */
function usePages(asked: Record<string, string>, key: string) {
  const [state, setState] = useState<{ key: string; rows: Schema.Event[]; cursor: string; busy: boolean; sparse: boolean; error?: Refusal }>({ key: "", rows: [], cursor: "", busy: true, sparse: false });
  const stop = useRef<AbortController | undefined>(undefined);
  const read = async (before: string, rows: Schema.Event[]) => {
    stop.current?.abort();
    const mine = (stop.current = new AbortController());
    setState((s) => ({ ...s, key, rows, cursor: before, busy: true, error: undefined }));
    try {
      const answer = await raw("GET", API + "/account/event", { query: { ...asked, order: "desc", limit: 50, before }, signal: mine.signal });
      const found = (await answer.json()) as Schema.Event[];
      const known = new Set(rows.map((e) => e.eventID));
      setState({ key, rows: [...rows, ...found.filter((e) => !known.has(e.eventID))], cursor: answer.headers.get("X-Next-Cursor") ?? "", busy: false, sparse: found.length === 0 });
    } catch (e) {
      if ((e as Error).name !== "AbortError") setState((s) => ({ ...s, busy: false, error: e as Refusal }));
    }
  };
  useEffect(() => {
    void read("", []);
    return () => stop.current?.abort();
  }, [key]);
  const mine = state.key === key;
  return {
    rows: mine ? state.rows : [], busy: !mine || state.busy, error: mine ? state.error : undefined, more: mine && state.cursor !== "", sparse: state.sparse,
    next: () => void read(state.cursor, state.rows), again: () => void read(state.cursor, state.rows),
  };
}

const mostShown = 500; // of a tail: a page that is left open must not grow

/** Follows the log. What comes while it is paused is held. */
function useTail(on: boolean, asked: Record<string, string>, key: string) {
  const [shown, setShown] = useState<Schema.Event[]>([]);
  const [held, setHeld] = useState<Schema.Event[]>([]);
  const [paused, setPaused] = useState(false);
  const [state, setState] = useState("");
  const holding = useRef(false);
  holding.current = paused;
  useEffect(() => {
    setShown([]);
    setHeld([]);
    if (!on) return setState("");
    setState("connecting…");
    const { from: _from, to: _to, ...rest } = asked; // what happens now is asked for
    const source = new EventSource(to(API + "/account/event/stream", rest));
    let waiting: Schema.Event[] = [];
    let frame = 0;
    const flush = () => {
      frame = 0;
      const some = waiting.reverse();
      waiting = [];
      (holding.current ? setHeld : setShown)((list) => [...some, ...list].slice(0, mostShown));
    };
    source.addEventListener("ready", () => setState("waiting for events"));
    source.onmessage = (m) => {
      waiting.push(JSON.parse(m.data) as Schema.Event);
      if (waiting.length > mostShown) waiting.shift();
      frame ||= requestAnimationFrame(flush);
    };
    source.onerror = () => setState(source.readyState === EventSource.CLOSED ? "the server ended it; follow again to go on" : "connecting again…");
    return () => {
      cancelAnimationFrame(frame);
      source.close();
    };
  }, [on, key]);
  const pause = () => {
    if (paused) {
      setShown((list) => [...held, ...list].slice(0, mostShown));
      setHeld([]);
    }
    setPaused(!paused);
  };
  return { shown: on ? shown : [], held: held.length, paused, pause, state };
}

/** Writes what the filters select to a file, and tells how far it is. */
function Export({ asked }: { asked: Record<string, string> }) {
  const [far, setFar] = useState({ bytes: 0, rows: 0 });
  const stop = useRef<AbortController | undefined>(undefined);
  const action = useAction(async (format: string) => {
    stop.current = new AbortController();
    setFar({ bytes: 0, rows: 0 });
    const answer = await raw("POST", to(API + "/account/event/export", { ...asked, format }), { signal: stop.current.signal }).catch(unlessStopped);
    if (!answer) return;
    const parts: BlobPart[] = [];
    let size = 0;
    let rows = format === "csv" ? -1 : 0;
    const reader = answer.body!.getReader();
    try {
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
        parts.push(piece.value as BlobPart);
        size += piece.value.length;
        for (const b of piece.value) if (b === 10) rows++;
        setFar({ bytes: size, rows: Math.max(0, rows) });
      }
    } catch (e) {
      return void unlessStopped(e);
    }
    const url = URL.createObjectURL(new Blob(parts, { type: answer.headers.get("Content-Type") ?? "" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = `events.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  });
  return (
    <div class="row">
      {action.error && <Failed error={action.error} />}
      {action.busy ? (
        <>
          <Progress label={`${count(far.rows)} events, ${bytes(far.bytes)}`} />
          <Button small onClick={() => stop.current?.abort()}>Stop</Button>
        </>
      ) : (
        <>
          <Button small onClick={() => void action.run("csv")}>Export CSV</Button>
          <Button small onClick={() => void action.run("ndjson")}>Export NDJSON</Button>
        </>
      )}
    </div>
  );
}

function unlessStopped(e: unknown) {
  if ((e as Error).name !== "AbortError") throw e;
  return undefined;
}
