// A test email: filled in, sent for real, and followed until it is there.
import { useEffect, useState } from "preact/hooks";
import { post, Refusal, useAction, useGet } from "../api";
import { toneOf } from "../mail";
import type { EmailResponse, Event, Explain, Kind, Pool, SendRequest, SubAccount, Template, Tpsp } from "../schema";
import { useSession } from "../session";
import { Button, ButtonLink, Card, Code, Failed, Field, Input, Note, Progress, Select, Status, unplaced, Until, When } from "../ui";
import { ended, eventName, eventTone } from "./words";

interface TestSendProps {
  tpsp: Tpsp;
  kind?: Kind;
  /** The pool that is filled in. */
  pool: string;
  /** The message that was sent last, and how it is kept. */
  sent: string;
  onSent: (id: string) => void;
}

export function TestSend({ tpsp, kind, pool: given, sent, onSent }: TestSendProps) {
  const session = useSession()!;
  const subs = useGet<SubAccount[]>("/account/subaccount");
  const pools = useGet<Pool[]>("/account/ippool");
  const last = useGet<Event[]>("/account/event", { order: "desc", limit: 1 });
  const templates = useTemplates(tpsp.id, !!kind?.templates);

  const [sub, setSub] = useState("");
  const [pool, setPool] = useState(given);
  const [template, setTemplate] = useState<string>(); // undefined: the first one that is known
  const [typed, setTyped] = useState(false);
  const [from, setFrom] = useState<string>();
  const [to, setTo] = useState(session.member.email);
  const [subject, setSubject] = useState("Test from Postyard");
  const [fields, setFields] = useState(JSON.stringify({ name: session.member.name || "Ada" }));
  const [text, setText] = useState("This is a test.");

  useEffect(() => setPool((p) => p || given), [given]);
  const chosen = subs.data?.find((s) => String(s.id) === sub) ?? subs.data?.[0];
  const sender = from ?? last.data?.[0]?.from ?? "";
  const aliases = templates.aliases;
  const alias = template ?? aliases?.[0] ?? "";
  const write = typed || (aliases !== undefined && aliases.length === 0 && !templates.waiting);
  const raw = alias === "";

  const parsed = parse(fields);
  const body: SendRequest = {
    from: { email: sender },
    to: [{ email: to }],
    subject,
    ippool: pool,
    ...(raw ? { textBody: text } : { tpspTemplate: alias }),
    ...(parsed.value ? { customFields: parsed.value } : {}),
  };
  const send = useAction(async () => {
    if (parsed.wrong) throw new Refusal(0, "invalid", parsed.wrong, "customFields");
    const [answer] = await post<EmailResponse[]>("/subaccount/email/", body, { subAccount: chosen?.id });
    if (!answer || answer.errorCode !== 0) throw new Refusal(0, "refused", answer?.message ?? "The email was not taken.", "to");
    onSent(answer.messageId);
  });

  return (
    <Card title="Send a test email">
      <div class="test">
      <form class="stack" onSubmit={(e) => (e.preventDefault(), void send.run())}>
        <div class="form-row">
          <Field label="IP pool (ippool)" name="ippool" error={send.error}>
            <Select value={pool} onChange={setPool} options={(pools.data?.map((p) => [p.name, p.name]) ?? [[pool, pool]]) as [string, string][]} />
          </Field>
          {kind?.templates && !write && (
            <Field label="Template (tpspTemplate)" name="tpspTemplate" error={send.error} hint={templates.waiting ? "The provider's templates are being read." : undefined}>
              <Select value={alias} onChange={(v) => (v === "\n" ? (setTyped(true), setTemplate("")) : setTemplate(v))}
                options={[...(aliases ?? []).map((a) => [a, a] as [string, string]), ["", tpsp.allowRaw ? "none: a text" : aliases?.length ? "none" : "…"], ["\n", "another alias…"]]} />
            </Field>
          )}
          {write && <Field label="Template (tpspTemplate)" name="tpspTemplate" error={send.error} hint={kind?.templates ? "the alias of a template of the provider's" : "of a connected Postmark server; empty: a text"}><Input value={template ?? ""} onInput={setTemplate} class="mono" spellcheck={false} /></Field>}
        </div>
        <div class="form-row">
          <Field label="From" name="from" error={send.error} hint="an address of a domain that the provider lets you send from"><Input value={sender} onInput={setFrom} type="email" required /></Field>
          <Field label="To" name="to" error={send.error}><Input value={to} onInput={setTo} type="email" required /></Field>
        </div>
        <div class="form-row">
          <Field label="Subject" name="subject" error={send.error}><Input value={subject} onInput={setSubject} /></Field>
          <Field label="Sub-account"><Select value={String(chosen?.id ?? "")} onChange={setSub} options={subs.data?.map((s) => [String(s.id), s.name]) ?? []} /></Field>
        </div>
        {raw && <Field label="Text (textBody)" name="textBody" error={send.error}><textarea value={text} onInput={(e) => setText(e.currentTarget.value)} rows={3} /></Field>}
        <Field label="Values for the template (customFields)" name="customFields" error={send.error} hint="a JSON object">
          <textarea class="mono" rows={3} value={fields} spellcheck={false} onInput={(e) => setFields(e.currentTarget.value)} />
        </Field>
        {unplaced(send.error, "ippool", "tpspTemplate", "from", "to", "subject", "customFields", "textBody") && <Failed error={send.error!} />}
        <div class="row"><Button type="submit" kind="main" busy={send.busy} disabled={!pool || !chosen}>Send the test</Button></div>
        {send.busy && <Progress label="The email is being stored." />}
      </form>
      <div class="stack">
        <div class="stack-tight">
          <h3>The same with curl</h3>
          <Code>{curl(`${session.publicUrl}/api/v1/subaccount/email/`, chosen?.apiKey ?? "", body)}</Code>
        </div>
        {sent ? <Follow key={sent} id={sent} tpsp={tpsp.id} /> : <p class="small quiet">What becomes of the email stands here, as it happens.</p>}
      </div>
      </div>
    </Card>
  );
}

/** The aliases that are known of a provider's templates. Those of a new provider come a moment after it. */
function useTemplates(id: number, has: boolean) {
  const [tries, setTries] = useState(0);
  const list = useGet<Template[]>(has ? "/account/templates" : null);
  const aliases = has ? list.data?.filter((t) => t.tpspId === id && t.type === "template" && t.alias).map((t) => t.alias) : [];
  const waiting = has && !list.error && aliases?.length === 0 && tries < 10;
  useEffect(() => {
    if (!waiting || list.loading) return;
    const timer = setTimeout(() => (setTries(tries + 1), list.reload()), 1000);
    return () => clearTimeout(timer);
  }, [waiting, tries, list.loading]);
  return { aliases: list.error ? [] : aliases, waiting };
}

function parse(text: string): { value?: Record<string, unknown>; wrong?: string } {
  if (!text.trim()) return {};
  try {
    const value = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return { value };
    return { wrong: "customFields must be a JSON object, such as {\"name\": \"Ada\"}" };
  } catch (e) {
    return { wrong: `customFields is not valid JSON: ${(e as Error).message}` };
  }
}

const quote = (s: string) => `'${s.replaceAll("'", `'\\''`)}'`;

const curl = (url: string, key: string, body: SendRequest) =>
  [`curl -X POST ${quote(url)} \\`, `  -H ${quote("X-SubAccount-ApiKey: " + key)} \\`, `  -H 'Content-Type: application/json' \\`, `  -d ${quote(JSON.stringify(body))}`].join("\n");

/** What becomes of a message, as it happens. */
function Follow({ id, tpsp }: { id: string; tpsp: number }) {
  const [began] = useState(Date.now());
  const at = useGet<Explain>(`/account/message/${id}/explain`);
  const events = useGet<Event[]>(`/account/message/${id}/events`);
  const state = at.data?.state ?? "queued";
  useEffect(() => {
    const since = Date.now() - began;
    if (since > 600_000 || at.loading || events.loading) return;
    const timer = setTimeout(() => (at.reload(), events.reload()), ended(state) ? 3000 : since < 20_000 ? 500 : 2000);
    return () => clearTimeout(timer);
  }, [at.loading, events.loading, state]);
  return (
    <section class="stack-tight" aria-label="The test email" aria-live="polite">
      <div class="row-between">
        <span class="row">
          <Status tone={toneOf(state)}>{state}</Status>
          {at.data?.waiting && <span class="small break"><bdi>{at.data.waiting}</bdi>{at.data.dueAt > 0 && <span class="quiet">, until <Until at={at.data.dueAt} /></span>}</span>}
        </span>
        <ButtonLink small href={`/messages/${id}`}>Open the message</ButtonLink>
      </div>
      {at.error && <Failed error={at.error} />}
      <ol class="events-of" aria-label="Events">
        {events.data?.map((e) => (
          <li key={e.eventID} class="row">
            <Status tone={eventTone(e.type)}>{eventName(e.type)}</Status>
            <span class="small quiet"><When at={e.submittedAt} exact /></span>
            {e.smtpDescription && <span class="small break"><bdi>{e.smtpDescription}</bdi></span>}
          </li>
        ))}
      </ol>
      {!ended(state) && <Progress label="Waiting for what comes next" />}
      {state === "delivered" && <Note tone="good"><p>It is there. The provider's events are in the <a href={`/messages/${id}`}>message</a> and under <a href={`/events?via=TPSP_${tpsp}`}>Events</a>.</p></Note>}
    </section>
  );
}
