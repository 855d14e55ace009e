import { useState } from "preact/hooks";
import { API, get, post, useAction, useGet } from "../api";
import { bytes, duration, instant } from "../format";
import { kindOf, toneOf } from "../mail";
import { to, useFilters } from "../route";
import type * as Schema from "../schema";
import { useMayChange } from "../session";
import { Button, Card, Confirm, Copy, Empty, Failed, Loaded, Note, Page, Status, Table, Tabs, toast, Until, When } from "../ui";
import { SubAccountName } from "./choice";

const pending = ["queued", "sending", "unknown"];

/** Everything that is known of one message. */
export function Message({ id }: { id: string }) {
  const path = `/account/message/${encodeURIComponent(id)}`;
  const message = useGet<Schema.Message>(path);
  const explain = useGet<Schema.Explain>(path + "/explain", undefined, { every: 4000 });
  const state = explain.data?.state ?? "";
  const events = useGet<Schema.Event[]>(path + "/events", { limit: 1000 }, { every: 8000 });
  const tpsps = useGet<Schema.Tpsp[]>("/account/tpsp");
  const m = message.data;
  if (message.error && message.error.status === 404) {
    return <Page title="Message"><Empty title="There is no such message in this account"><p class="quiet break"><bdi class="mono">{id}</bdi></p></Empty></Page>;
  }
  const name = (egress: string, attempts: Schema.Attempt[] = []) =>
    attempts.find((a) => a.egress === egress)?.provider || tpsps.data?.find((t) => `TPSP_${t.id}` === egress)?.name || egress;
  return (
    <Page title={m ? m.subject || "Message without a subject" : "Message"} about={m && <>to <bdi>{m.to.email}</bdi></>} actions={
      <>
        {state && <Status tone={toneOf(state)}>{state}</Status>}
        {state === "queued" && <Cancel path={path} id={id} done={() => (explain.reload(), events.reload())} />}
      </>
    }>
      {explain.data && pending.includes(explain.data.state) && <Waits of={explain.data} />}
      {explain.data?.mark && <Note tone="warn"><p>{explain.data.mark === "resent" ? "It was sent again although the provider could not be asked whether it had it: it may have arrived twice." : "It was left as sent although nobody confirmed it: it may be lost."}</p></Note>}
      <div class="columns">
        <Card title="Message">
          <Loaded of={message}>{(m) => <Facts m={m} id={id} explain={explain.data} />}</Loaded>
        </Card>
        <Card title="Route">
          <Loaded of={explain}>{(e) => <Route of={e} name={name} />}</Loaded>
        </Card>
      </div>
      <Card title="What happened" flush>
        <Loaded of={events}>{(list) => <Timeline events={list} />}</Loaded>
      </Card>
      <Card title="Calls to providers" flush>
        <Loaded of={explain}>{(e) => <Attempts list={e.attempts} />}</Loaded>
      </Card>
      <ContentCard path={path} />
      <Hooks path={path} />
    </Page>
  );
}

/** Why it waits, and until when. */
const Waits = ({ of }: { of: Schema.Explain }) => (
  <Note tone="wait">
    <p aria-live="polite"><span dir="auto">{of.waiting || "It is on its way."}</span>{of.dueAt > 0 && <> · goes on <Until at={of.dueAt} /> <span class="quiet">({instant(of.dueAt)})</span></>}</p>
  </Note>
);

const Facts = ({ m, id, explain }: { m: Schema.Message; id: string; explain?: Schema.Explain }) => (
  <dl class="facts">
    <dt>Id</dt><dd class="row"><code class="break">{id}</code> <Copy text={id} of="the id" /></dd>
    <dt>From</dt><dd><bdi>{m.from.name} &lt;{m.from.email}&gt;</bdi></dd>
    <dt>To</dt><dd><bdi>{m.to.name} &lt;{m.to.email}&gt;</bdi> <span class="quiet">({m.emailType})</span></dd>
    {m.to.cc.length + m.to.bcc.length > 0 && <><dt>Copies</dt><dd><bdi>{[...m.to.cc, ...m.to.bcc].join(", ")}</bdi></dd></>}
    <dt>Submitted</dt><dd><When at={m.submittedAt} exact /></dd>
    <dt>Sub-account</dt><dd><SubAccountName id={m.subAccountID} /></dd>
    <dt>IP pool</dt><dd><a href={`/ippools/${m.accountIPPoolID}`}><bdi>{m.ipPool}</bdi></a></dd>
    {m.groups.length > 0 && <><dt>Groups</dt><dd class="row">{m.groups.map((g) => <a key={g} href={to("/messages", { q: `group:"${g.replace(/["\\]/g, "\\$&")}"` })}><bdi>{g}</bdi></a>)}</dd></>}
    {explain?.providerMessageId && <><dt>The provider's id</dt><dd><code class="break">{explain.providerMessageId}</code></dd></>}
    <dt>Of this recipient</dt><dd><a href={to("/messages", { q: `to:${m.to.email}` })}>all messages</a></dd>
  </dl>
);

/** Which rule chose, in which order providers are tried, and what was passed over. */
const Route = ({ of, name }: { of: Schema.Explain; name: (egress: string, attempts?: Schema.Attempt[]) => string }) => (
  <div class="stack-tight">
    <p dir="auto">{of.plan.rule || "No route was needed."}</p>
    <ol class="route">
      {of.plan.egresses.map((e, i) => {
        const tried = of.attempts.filter((a) => a.egress === e).length;
        const now = e === (of.tpspId ? `TPSP_${of.tpspId}` : of.ipId ? `IP_${of.ipId}` : "");
        return (
          <li key={e}>
            <span class="num quiet">{i + 1}.</span> <bdi>{name(e, of.attempts)}</bdi> <span class="small quiet">{e}</span>{" "}
            {now && <Status tone={toneOf(of.state)}>{pending.includes(of.state) ? "it waits here" : "it has it"}</Status>}
            {tried > 0 && <span class="small quiet"> {tried === 1 ? "called once" : `called ${tried} times`}</span>}
          </li>
        );
      })}
    </ol>
    {of.plan.skipped.length > 0 && (
      <>
        <h3>Passed over</h3>
        <ul class="route">{of.plan.skipped.map((s) => <li key={s.egress}><bdi>{name(s.egress, of.attempts)}</bdi> <span class="small quiet">{s.egress}</span>: <span dir="auto">{s.reason}</span></li>)}</ul>
      </>
    )}
  </div>
);

const Timeline = ({ events }: { events: Schema.Event[] }) =>
  events.length === 0 ? <Empty title="Nothing was recorded yet" /> : (
    <ol class="timeline" aria-label="Timeline">
      {events.map((e) => (
        <li key={e.eventID}>
          <span class="small"><When at={e.submittedAt} exact /></span>
          <div class="stack-tight">
            <div class="row">
              <Status tone={kindOf(e.type).tone} title={`type ${e.type}`}>{kindOf(e.type).name}</Status>
              {e.smtpCode > 0 && <span class="num quiet">{e.smtpCode}</span>}
              <span class="small quiet"><bdi>{e.to}</bdi></span>
            </div>
            {e.smtpDescription && <p class="break" dir="auto">{e.smtpDescription}</p>}
            {e.eventMetadata.clickedURL && <p class="break small mono">{e.eventMetadata.clickedURL}</p>}
            {e.eventMetadata.rawUserAgent && <p class="break small quiet" dir="auto">{e.eventMetadata.rawUserAgent}</p>}
            <Words id={e.eventID} />
          </div>
        </li>
      ))}
    </ol>
  );

/** What the provider said in its own fields, read when it is asked for. */
function Words({ id }: { id: string }) {
  const [fields, set] = useState<Record<string, string>>();
  const read = useAction(async () => set(await get<Record<string, string>>(`/account/event/${encodeURIComponent(id)}/provider`)));
  return (
    <details onToggle={(e) => e.currentTarget.open && !fields && void read.run()}>
      <summary class="small">In the provider's words</summary>
      {read.error && <Failed error={read.error} />}
      {fields && (Object.keys(fields).length === 0 ? <p class="small quiet">No provider said this.</p> : (
        <dl class="facts small">{Object.entries(fields).map(([k, v]) => [<dt key={k}>{k}</dt>, <dd key={k + "-is"} dir="auto">{v}</dd>])}</dl>
      ))}
    </details>
  );
}

const Attempts = ({ list }: { list: Schema.Attempt[] }) => (
  <Table label="Calls to providers" rows={list} keyOf={(a) => a.n} empty={<Empty title="No provider was called yet" />} columns={[
    { name: "Call", cell: (a) => a.n },
    { name: "Provider", cell: (a) => <><bdi>{a.provider}</bdi> <span class="small quiet">{a.egress}</span></> },
    { name: "Began", cell: (a) => <When at={a.began} exact /> },
    { name: "Took", cell: (a) => (a.finished ? duration(a.durationMs) : "open") },
    { name: "Outcome", cell: (a) => <Status tone={outcomeTone(a)}>{a.takenBack ? "taken back" : a.class || "open"}</Status> },
    { name: "Answer", cell: (a) => <span class="break small" dir="auto">{[a.httpStatus || "", a.code, a.text, a.answer && `asked: ${a.answer}`, a.takenBack && `taken back: ${a.takenBack}`].filter(Boolean).join(" · ")}</span> },
  ]} />
);

const outcomeTone = (a: Schema.Attempt) =>
  a.takenBack ? ("warn" as const) : a.class === "accepted" ? ("good" as const) : a.class === "" ? ("wait" as const) : a.class === "rejected" || a.class === "inactive" ? ("bad" as const) : ("warn" as const);

/** What it holds. HTML of strangers is shown in a frame that may run nothing and load nothing. */
function ContentCard({ path }: { path: string }) {
  const [filters] = useFilters();
  const content = useGet<Schema.Content>(path + "/content");
  const tab = ["text", "source", "headers"].includes(filters.view ?? "") ? filters.view! : "html";
  const items = [["html", "As shown"], ["text", "Text"], ["source", "Source"], ["headers", "Headers and fields"]].map(([key, name]) => ({ key: key!, name: name!, href: to(location.pathname, { view: key === "html" ? "" : key }) }));
  return (
    <Card title="Content">
      <Loaded of={content}>
        {(c) => (
          <div class="stack">
            <dl class="facts">
              <dt>Subject</dt><dd dir="auto" class="break">{c.subject || <span class="quiet">none</span>}</dd>
              {c.replyTo && <><dt>Reply to</dt><dd><bdi>{c.replyTo.email}</bdi></dd></>}
              {c.template && <><dt>Template</dt><dd><bdi>{c.template}</bdi></dd></>}
              {c.attachments.length > 0 && <><dt>Attachments</dt><dd><ul>{c.attachments.map((a) => <li key={a.n}><a href={`${API}${path}/content/attachment/${a.n}`} download data-document><bdi>{a.name}</bdi></a> <span class="small quiet">{a.type}, {bytes(a.size)}</span></li>)}</ul></dd></>}
            </dl>
            {c.note && <Note tone="calm"><p dir="auto">{c.note}</p></Note>}
            <Tabs label="Views of the content" items={items} current={tab} />
            {tab === "html" && (c.html || c.text ? <iframe class="mail-frame" title="The message as its recipient sees it" sandbox="" referrerpolicy="no-referrer" src={`${API}${path}/content/html`} /> : <p class="quiet">There is nothing to show.</p>)}
            {tab === "text" && (c.text ? <pre class="mail-text" dir="auto" tabIndex={0} aria-label="Text">{c.text}</pre> : <p class="quiet">It has no text part.</p>)}
            {tab === "source" && <SourceOf of={c.source} path={path} />}
            {tab === "headers" && <Headers of={c} />}
          </div>
        )}
      </Loaded>
    </Card>
  );
}

const SourceOf = ({ of, path }: { of: Schema.Source | null; path: string }) =>
  of ? (
    <div class="stack-tight">
      <p class="small quiet">{of.mediaType}, {bytes(of.size)}, {of.note}. <a href={`${API}${path}/content/source`} download data-document>Save it</a></p>
      <pre class="mail-text" tabIndex={0} aria-label="Source">{of.text}</pre>
      {of.truncated && <p class="small quiet">The rest is in the file.</p>}
    </div>
  ) : <p class="quiet">How it is handed over is not known.</p>;

const Headers = ({ of }: { of: Schema.Content }) => (
  <div class="stack-tight">
    {Object.keys(of.headers).length === 0 && <p class="quiet">The request set no headers.</p>}
    <dl class="facts">{Object.entries(of.headers).map(([k, v]) => [<dt key={k}><code>{k}</code></dt>, <dd key={k + "-is"} dir="auto" class="long" tabIndex={0}>{v}</dd>])}</dl>
    <h3>Custom fields</h3>
    <pre class="mail-text" tabIndex={0} aria-label="Custom fields" dir="auto">{JSON.stringify(of.model, null, 2)}</pre>
  </div>
);

const hookTones = { delivered: "good", waiting: "wait", retry: "warn", "given-up": "bad" } as const;

/** What was posted of its events, and what waits to be. */
function Hooks({ path }: { path: string }) {
  const hooks = useGet<Schema.MessageHook[]>(path + "/webhooks", undefined, { every: 10_000 });
  return (
    <Card title="Webhooks sent" flush>
      <Loaded of={hooks}>
        {(list) => (
          <Table label="Webhooks sent" rows={list} keyOf={(h) => `${h.webhookId} ${h.eventId}`} empty={<Empty title="Nothing was posted of this message"><p class="quiet">No webhook asks for its events, or it is longer than a week ago. <a href="/webhooks">Webhooks</a></p></Empty>} columns={[
            { name: "Event", cell: (h) => <Status tone={kindOf(h.type).tone}>{kindOf(h.type).name}</Status> },
            { name: "To", cell: (h) => (h.named ? <bdi class="break">{h.url}</bdi> : <a href={`/webhooks/${h.webhookId}`}><bdi class="break">{h.url}</bdi></a>) },
            { name: "State", cell: (h) => <span class="row"><Status tone={hookTones[h.state as keyof typeof hookTones] ?? "calm"} title={h.webhookNote}>{h.state}</Status>{h.nextTry > 0 && <Until at={h.nextTry} />}</span> },
            { name: "Calls", cell: (h) => h.attempts, end: true },
            { name: "Last answer", cell: (h) => (h.lastAt ? <span class="small break" dir="auto">{h.lastStatus || ""} {h.lastError} <When at={h.lastAt} /> ({duration(h.lastTookMs)})</span> : <span class="quiet">–</span>) },
          ]} />
        )}
      </Loaded>
    </Card>
  );
}

function Cancel({ path, id, done }: { path: string; id: string; done: () => void }) {
  const [asking, ask] = useState(false);
  if (!useMayChange()) return null;
  return (
    <>
      <Button kind="bad" onClick={() => ask(true)}>Cancel it</Button>
      {asking && (
        <Confirm title="Cancel this message?" verb="Cancel the message" bad onClose={() => ask(false)} act={async () => {
          const answer = await post<Schema.Cancelled>(path + "/cancel");
          toast(answer.cancelled ? "The message is cancelled." : "It left meanwhile; it was not cancelled.");
          done();
        }}>
          <p>It is dropped and not sent any more. <code class="break">{id}</code></p>
        </Confirm>
      )}
    </>
  );
}
