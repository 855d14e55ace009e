import { useEffect, useState } from "preact/hooks";
import { del, get, post, put, useAction, useGet } from "../api";
import { count, duration, plural } from "../format";
import { navigate, useFilters } from "../route";
import type { Hook, NamedWebhook, Secret, WebhookAttempt, WebhookReplay, WebhookReplayed, WebhookStatus, WebhookTested } from "../schema";
import { useMayChange, useSession } from "../session";
import { Button, Card, Check, Code, Confirm, Copy, Dialog, Empty, Failed, Field, Input, Loaded, Note, Page, Progress, Select, Status, Table, toast, type Tone, unplaced, Until, When } from "../ui";

/** The toggles of a webhook: which events are posted to it. */
const toggles = [
  ["processed", "processed", "accepted by Postyard"],
  ["sent", "sent", "accepted by a provider or a mail server"],
  ["delivered", "delivered", "taken by the recipient's server"],
  ["dropped", "dropped", "whoever dropped it"],
  ["smtpDropped", "smtpDropped", "dropped by a provider that had it already"],
  ["softBounced", "softBounced", "soft bounces, and deferred"],
  ["hardBounced", "hardBounced", "hard bounces"],
  ["opened", "opened", "every open"],
  ["uniqueOpen", "uniqueOpen", "the first open of a message"],
  ["clicked", "clicked", "every click"],
  ["uniqueClick", "uniqueClick", "the first click of a message"],
  ["unsubscribed", "unsubscribed", "unsubscribed"],
  ["spam", "spam", "complaints"],
] as const;
type Toggle = (typeof toggles)[number][0];

const states: Record<string, [Tone, string]> = { ok: ["good", "ok"], "backing-off": ["warn", "backing off"], paused: ["calm", "paused"], disabled: ["calm", "disabled"] };

const State = ({ of }: { of: { state: string; reason?: string } }) => {
  const [tone, words] = states[of.state] ?? (["warn", of.state] as [Tone, string]);
  return <Status tone={tone} title={of.reason || undefined}>{words}</Status>;
};

export function Webhooks() {
  const [f, set] = useFilters();
  const may = useMayChange();
  const session = useSession()!;
  const list = useGet<Hook[]>("/account/webhook", { search: f.search });
  const named = useGet<NamedWebhook[]>("/account/webhookendpoint", { search: f.search, limit: 100 });
  const making = f.new !== undefined && may;
  return (
    <Page title="Webhooks" about="Where the events of this account are posted to: one signed request for each event, in their order, again and again until it is taken."
      actions={may && <Button kind="main" onClick={() => set({ new: "1" })}>New webhook</Button>}>
      <search class="filters">
        <Field label="Search" wide><Input type="search" value={f.search ?? ""} onInput={(v) => set({ search: v }, true)} placeholder="part of a URL" /></Field>
      </search>
      <Card title="Webhooks of the account" flush>
        <Loaded of={list}>
          {(hooks) => (
            <Table label="Webhooks" rows={hooks} keyOf={(h) => h.id} href={(h) => `/webhooks/${h.id}`} columns={[
              { name: "URL", cell: (h) => <a class="break" href={`/webhooks/${h.id}`}><bdi>{h.url}</bdi></a> },
              { name: "State", cell: (h) => <HookState id={h.id} /> },
              { name: "Events", cell: (h) => <EventNames of={h} /> },
              { name: "Made", cell: (h) => <When at={h.created} /> },
            ]} empty={f.search ? <Empty title="No webhook fits"><p>No webhook has this in its URL.</p></Empty> : (
              <Empty title="No webhooks yet">
                <p>A webhook tells your application what became of its mail. {may ? <>Make one here with <em>New webhook</em>, or by the API:</> : "Ask an admin to make one, by the API or here:"}</p>
                <Code>{`curl ${session.publicUrl}/api/v1/account/webhook -H "X-Account-ApiKey: $KEY" -d '{"url": "https://app.example.com/mail-events", "enabled": true, "delivered": true, "hardBounced": true, "spam": true}'`}</Code>
              </Empty>
            )} />
          )}
        </Loaded>
      </Card>
      <Card title="URLs that messages named" flush>
        <Loaded of={named}>
          {(urls) => (
            <Table label="URLs that messages named" rows={urls} keyOf={(h) => h.id} href={(h) => `/webhooks/${h.id}`} columns={[
              { name: "URL", cell: (h) => <a class="break" href={`/webhooks/${h.id}`}><bdi>{h.url}</bdi></a> },
              { name: "State", cell: (h) => <State of={h} /> },
              { name: "First named", cell: (h) => <When at={h.created} /> },
            ]} empty={<Empty title={f.search ? "None fits" : "No message named a URL"}><p>A request to send may name a URL for the events of its own messages:</p><Code>{`"webhookEndpoint": "https://app.example.com/one-campaign"`}</Code></Empty>} />
          )}
        </Loaded>
      </Card>
      {making && <NewWebhook onClose={() => set({ new: "" })} />}
    </Page>
  );
}

function HookState({ id }: { id: number }) {
  const s = useGet<WebhookStatus>(`/account/webhook/${id}/status`, {}, { every: 15_000 });
  if (!s.data) return s.error ? <Status tone="warn" title={s.error.message}>unknown</Status> : null;
  return <span class="row"><State of={s.data} />{s.data.queued > 0 && <span class="small quiet">{count(s.data.queued)} waiting</span>}</span>;
}

const EventNames = ({ of }: { of: Hook }) => {
  const on = toggles.filter(([key]) => of[key]).map(([key]) => key);
  return on.length === toggles.length ? <>all</> : on.length ? <span class="break">{on.join(", ")}</span> : <span class="quiet">none</span>;
};

type Choice = Record<Toggle, boolean>;
const chosen = (h?: Hook) => Object.fromEntries(toggles.map(([key]) => [key, h ? h[key] : false])) as Choice;

function Toggles({ value, onChange }: { value: Choice; onChange: (c: Choice) => void }) {
  const all = toggles.every(([key]) => value[key]);
  return (
    <fieldset class="stack-tight">
      <legend>Events</legend>
      <Check checked={all} onChange={(on) => onChange(Object.fromEntries(toggles.map(([key]) => [key, on])) as Choice)}>All of them</Check>
      <div class="columns">
        {[toggles.slice(0, 7), toggles.slice(7)].map((part, i) => (
          <div key={i} class="stack-tight">
            {part.map(([key, name, about]) => (
              <Check key={key} checked={value[key]} onChange={(on) => onChange({ ...value, [key]: on })}>{name} <span class="small quiet">{about}</span></Check>
            ))}
          </div>
        ))}
      </div>
    </fieldset>
  );
}

function NewWebhook({ onClose }: { onClose: () => void }) {
  const [url, setURL] = useState("");
  const [events, setEvents] = useState<Choice>({ ...chosen(), delivered: true, hardBounced: true, softBounced: true, dropped: true, spam: true });
  const make = useAction(async () => {
    const h = await post<Hook>("/account/webhook", { url, enabled: true, ...events });
    toast("The webhook is made. Events that are recorded from now on are posted to it.");
    navigate(`/webhooks/${h.id}`);
  });
  return (
    <Dialog title="New webhook" wide onClose={onClose}>
      <form class="stack" onSubmit={(e) => (e.preventDefault(), void make.run())}>
        <Field label="URL" name="url" error={make.error} hint="https, and reachable from the server"><Input value={url} onInput={setURL} type="url" required placeholder="https://app.example.com/mail-events" /></Field>
        <Toggles value={events} onChange={setEvents} />
        {unplaced(make.error, "url") && <Failed error={make.error!} />}
        <div class="dialog-end"><Button onClick={onClose}>Cancel</Button><Button type="submit" kind="main" busy={make.busy}>Make the webhook</Button></div>
      </form>
    </Dialog>
  );
}

export function Webhook({ id }: { id: string }) {
  const may = useMayChange();
  const path = `/account/webhook/${encodeURIComponent(id)}`;
  const status = useGet<WebhookStatus>(path + "/status", {}, { every: 5_000 });
  const hook = useGet<Hook>(path);
  const [asked, ask] = useState<"" | "delete" | "rotate">("");
  const [, set] = useFilters();
  const pause = useAction(async () => {
    await post(`${path}/${status.data?.state === "paused" ? "resume" : "pause"}`);
    status.reload();
  });
  // A URL that messages named has no webhook behind it, but everything else.
  const own = hook.data !== undefined;
  const missing = hook.error?.status === 404;
  return (
    <Page title={status.data?.url ?? "Webhook"} about={<a href="/webhooks">All webhooks</a>}
      actions={may && status.data && (
        <>
          <Button busy={pause.busy} onClick={() => void pause.run()}>{status.data.state === "paused" ? "Resume" : "Pause"}</Button>
          {own && <Button kind="bad" onClick={() => ask("delete")}>Delete</Button>}
        </>
      )}>
      {pause.error && <Failed error={pause.error} />}
      <Loaded of={status}>
        {(s) => (
          <>
            {!own && missing && <Note tone="calm"><p>Messages named this URL (<span class="mono">webhookEndpoint</span>); it is no webhook of the account. All events of those messages are posted to it.</p></Note>}
            <div class="columns">
              <HowItGoes of={s} />
              <SecretCard path={path} asked={asked === "rotate"} ask={(on) => ask(on ? "rotate" : "")} />
            </div>
            {own && <Settings key={JSON.stringify(hook.data)} hook={hook.data!} path={path} saved={() => (hook.reload(), status.reload())} />}
            <div class="columns">
              {may && <Test path={path} />}
              {may && <Replay path={path} status={s} reload={status.reload} />}
            </div>
            <Attempts path={path} />
          </>
        )}
      </Loaded>
      {asked === "delete" && (
        <Confirm title="Delete this webhook?" verb="Delete" bad onClose={() => ask("")} act={async () => {
          await del(path);
          toast("The webhook is deleted.");
          set({}, true);
          navigate("/webhooks", true);
        }}>
          <p>Nothing more is posted to <bdi class="break">{status.data?.url}</bdi>. {status.data && status.data.queued > 0 && <>{plural(status.data.queued, "event")} that wait for it are not posted.</>} This cannot be taken back.</p>
        </Confirm>
      )}
    </Page>
  );
}

function HowItGoes({ of: s }: { of: WebhookStatus }) {
  return (
    <Card title="How it goes">
      <dl class="facts">
        <dt>State</dt><dd><State of={s} /> {s.reason && <span dir="auto">{s.reason}</span>}</dd>
        <dt>Waiting</dt><dd>{plural(s.queued, "event")}{s.oldestQueued > 0 && <>, the oldest since <When at={s.oldestQueued} /></>}</dd>
        {s.consecutiveFailures > 0 && <><dt>Failing</dt><dd>{plural(s.consecutiveFailures, "call")} in a row, since <When at={s.failingSince} /></dd></>}
        {s.state === "backing-off" && <><dt>Next try</dt><dd>{s.nextTry ? <Until at={s.nextTry} /> : "at once"}</dd></>}
        <dt>Last call</dt><dd>{s.lastTry ? <><When at={s.lastTry} />: {s.lastError ? <bdi class="break">{s.lastError}</bdi> : `answered ${s.lastStatus}`}</> : "none yet"}</dd>
        <dt>Last success</dt><dd>{s.lastSuccess ? <When at={s.lastSuccess} /> : "none yet"}</dd>
        <dt>Given up</dt><dd>{plural(s.givenUp, "event")}{s.givenUp > 0 && <span class="quiet"> — replay what is missing to post them again</span>}</dd>
        {s.pausedSince > 0 && <><dt>Paused</dt><dd><When at={s.pausedSince} /></dd></>}
      </dl>
    </Card>
  );
}

function SecretCard({ path, asked, ask }: { path: string; asked: boolean; ask: (on: boolean) => void }) {
  const may = useMayChange();
  const [secret, setSecret] = useState<Secret>();
  const show = useAction(async () => setSecret(await get<Secret>(path + "/secret")));
  return (
    <Card title="Secret">
      <div class="stack">
        <p class="quiet">Every body is signed with it (HMAC-SHA-256), so that your application can tell that it comes from here.</p>
        {!may && <p>Viewers do not see secrets.</p>}
        {may && (secret ? (
          <>
            <Code>{secret.secret}</Code>
            {secret.formerValidTo > 0 && <p class="small">The former secret signs as well until <When at={secret.formerValidTo} exact />.</p>}
          </>
        ) : null)}
        {show.error && <Failed error={show.error} />}
        {may && (
          <div class="row">
            {secret ? <Button onClick={() => setSecret(undefined)}>Hide</Button> : <Button busy={show.busy} onClick={() => void show.run()}>Show the secret</Button>}
            <Button onClick={() => ask(true)}>Rotate</Button>
          </div>
        )}
      </div>
      {asked && (
        <Confirm title="Give this webhook another secret?" verb="Rotate" onClose={() => ask(false)} act={async () => {
          setSecret(await post<Secret>(path + "/secret/rotate"));
          toast("There is a new secret. The former one signs as well for a day.");
        }}>
          <p>Bodies are signed with both secrets for a day: give your application the new one meanwhile.</p>
        </Confirm>
      )}
    </Card>
  );
}

function Settings({ hook, path, saved }: { hook: Hook; path: string; saved: () => void }) {
  const may = useMayChange();
  const [url, setURL] = useState(hook.url);
  const [enabled, setEnabled] = useState(hook.enabled);
  const [events, setEvents] = useState(chosen(hook));
  const save = useAction(async () => {
    await put<Hook>(path, { url, enabled, ...events });
    toast("The webhook is changed.");
    saved();
  });
  if (!may) return <Card title="Settings"><dl class="facts"><dt>Enabled</dt><dd>{hook.enabled ? "yes" : "no"}</dd><dt>Events</dt><dd><EventNames of={hook} /></dd></dl></Card>;
  return (
    <Card title="Settings">
      <form class="stack" onSubmit={(e) => (e.preventDefault(), void save.run())}>
        <Field label="URL" name="url" error={save.error}><Input value={url} onInput={setURL} type="url" required /></Field>
        <Check checked={enabled} onChange={setEnabled}>Enabled <span class="small quiet">while it is not, it gets nothing new, and what waits stays</span></Check>
        <Toggles value={events} onChange={setEvents} />
        {unplaced(save.error, "url") && <Failed error={save.error!} />}
        <div><Button type="submit" kind="main" busy={save.busy}>Save</Button></div>
      </form>
    </Card>
  );
}

function Test({ path }: { path: string }) {
  const [event, setEvent] = useState("delivered");
  const [answer, setAnswer] = useState<WebhookTested>();
  const test = useAction(async () => {
    setAnswer(undefined);
    setAnswer(await post<WebhookTested>(path + "/test", { event }));
  });
  return (
    <Card title="Test">
      <div class="stack">
        <p class="quiet">Posts a sample event now, and shows what is answered. Your application sees by its ids that it is of no message.</p>
        <div class="filters">
          <Field label="Kind of event"><Select value={event} onChange={setEvent} options={toggles.map(([key, name]) => [key, name])} /></Field>
          <Button busy={test.busy} onClick={() => void test.run()}>Post a sample</Button>
        </div>
        {test.busy && <Progress label="The sample is being posted." />}
        {test.error && <Failed error={test.error} />}
        {answer && (
          <Note tone={answer.ok ? "good" : "bad"}>
            <p>{answer.ok ? `It was taken: the answer was ${answer.status}` : answer.status ? `It was refused with ${answer.status}` : "There was no answer"} after {duration(answer.durationMs)}.</p>
            {answer.error && <p class="break" dir="auto">{answer.error}</p>}
            <p class="small quiet">Event <span class="mono break">{answer.eventId}</span>, type {answer.type}</p>
          </Note>
        )}
      </div>
    </Card>
  );
}

function Replay({ path, status, reload }: { path: string; status: WebhookStatus; reload: () => void }) {
  const [what, setWhat] = useState("missing");
  const [eventId, setEvent] = useState("");
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  const [begun, setBegun] = useState<{ queued: number; at: number }>();
  const replay = useAction(async () => {
    setBegun(undefined);
    const body: WebhookReplay = what === "event" ? { eventId: eventId.trim() } : what === "range" ? { from: utc(from), to: utc(to) } : { missing: true };
    const answer = await post<WebhookReplayed>(path + "/replay", body);
    setBegun({ queued: answer.queued, at: Date.now() });
    reload();
  });
  const busy = begun && begun.queued > 0 && status.queued > 0;
  useEffect(() => {
    if (!busy) return;
    const tick = setInterval(reload, 1000);
    return () => clearInterval(tick);
  }, [busy]);
  const left = begun ? Math.min(begun.queued, status.queued) : 0;
  return (
    <Card title="Post again">
      <form class="stack" onSubmit={(e) => (e.preventDefault(), void replay.run())}>
        <Field label="What"><Select value={what} onChange={setWhat} options={[["missing", "All that are missing"], ["range", "The events of a time"], ["event", "One event"]]} /></Field>
        {what === "event" && <Field label="Event's id" name="eventId" error={replay.error}><Input value={eventId} onInput={setEvent} required /></Field>}
        {what === "range" && (
          <div class="form-row">
            <Field label="From" name="from" error={replay.error}><Input type="datetime-local" value={from} onInput={setFrom} required /></Field>
            <Field label="To" name="to" error={replay.error} hint="now, when it is left out"><Input type="datetime-local" value={to} onInput={setTo} /></Field>
          </div>
        )}
        <div><Button type="submit" busy={replay.busy}>Post again</Button></div>
        {replay.busy && <Progress label="The events are being looked for." />}
        {unplaced(replay.error, ...(what === "event" ? ["eventId"] : what === "range" ? ["from", "to"] : [])) && <Failed error={replay.error!} />}
        {begun && (begun.queued === 0 ? <Note tone="calm"><p>There is nothing to post again.</p></Note> : (
          <div class="stack-tight" role="status">
            <span>{left > 0 ? `${count(begun.queued - left)} of ${plural(begun.queued, "event")} posted` : `${plural(begun.queued, "event")} posted again`}{left > 0 && status.state !== "ok" && <> — it is {states[status.state]?.[1] ?? status.state}</>}</span>
            <progress max={begun.queued} value={begun.queued - left} aria-label="Events posted again" />
          </div>
        ))}
      </form>
    </Card>
  );
}

/** The reader's own time, as the API takes an instant. */
const utc = (local: string) => (local ? new Date(local).toISOString() : "");

const outcomes: Record<string, [Tone, string]> = { delivered: ["good", "taken"], retry: ["warn", "tried again"], kept: ["wait", "waits"], "given-up": ["bad", "given up"] };

function Attempts({ path }: { path: string }) {
  const [f, set] = useFilters();
  const first = useGet<WebhookAttempt[]>(path + "/attempts", { limit: 50, eventId: f.event, before: f.before }, { every: 10_000 });
  return (
    <Card title="Calls" flush actions={<span class="row">
      {f.event && <Button small onClick={() => set({ event: "", before: "" })}>All events</Button>}
      {f.before && <Button small onClick={() => set({ before: "" })}>Newest</Button>}
      <Button small onClick={first.reload}>Refresh</Button>
    </span>}>
      <Loaded of={first}>
        {(list) => (
          <>
            <Table label="Calls" rows={list} keyOf={(a) => a.id} columns={[
              { name: "When", cell: (a) => <When at={a.at} exact /> },
              { name: "Event", cell: (a) => <span class="row"><a class="mono break" href={`?event=${encodeURIComponent(a.eventId)}`}>{a.eventId}</a><Copy text={a.eventId} of={`the id ${a.eventId}`} /></span> },
              { name: "Try", cell: (a) => a.attempt, end: true },
              { name: "Took", cell: (a) => duration(a.durationMs), end: true },
              { name: "Answer", cell: (a) => <span class="break" dir="auto">{a.error || a.status}</span> },
              { name: "Came of it", cell: (a) => { const [tone, words] = outcomes[a.outcome] ?? (["calm", a.outcome] as [Tone, string]); return <Status tone={tone}>{words}</Status>; } },
            ]} empty={<Empty title={f.event ? "No calls for this event" : "Nothing was posted yet"}><p>{f.event ? "Either it was not posted here, or the calls are older than what is kept." : "Send a message, or post a sample event above."}</p></Empty>} />
            {list.length === 50 && <div class="row" style={{ padding: "var(--space-3) var(--space-4)" }}><Button onClick={() => set({ before: String(list.at(-1)!.id) })}>Older calls</Button></div>}
          </>
        )}
      </Loaded>
    </Card>
  );
}
