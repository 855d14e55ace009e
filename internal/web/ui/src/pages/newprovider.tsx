import { useEffect, useState } from "preact/hooks";
import { forget, post, Refusal, useAction, useGet } from "../api";
import { count } from "../format";
import { navigate, to, useFilters } from "../route";
import type { Kind, Pool, Tpsp, TpspRequest } from "../schema";
import { useMayChange } from "../session";
import { HealthWords, useKinds, WebhookWords } from "../switchyard/parts";
import { StreamChoice, useStreams } from "../switchyard/streams";
import { TestSend } from "../switchyard/testsend";
import { Button, ButtonLink, Card, Check, Empty, Failed, Field, Input, Loaded, Page, Progress, Select, unplaced } from "../ui";

/** Fields of connections: what they are called, and which hold secrets. What they hold says the server. */
const labels: Record<string, Record<number, string> & { else: string }> = {
  key: { 1: "API Key", 3: "Access key id", 4: "Server API Token", 6: "User name", else: "Key" },
  secret: { 3: "Secret access key", 6: "Password", else: "Secret" },
  endpoint: { 3: "Region or URL", 6: "Mail server", else: "Endpoint" },
  domain: { 3: "Region of another URL", 6: "Name for EHLO", else: "Domain" },
  port: { else: "Port" },
};

export const fieldLabel = (field: string, type: number) => labels[field]?.[type] ?? labels[field]?.else ?? field;

/** SendGrid's secret is its key once more, as SendPost has it there. */
export const asked = (kind: Kind) => kind.fields.filter((f) => f.name !== "messageStream" && !(kind.type === 1 && f.name === "secret"));

/** User names and key ids are no secrets. */
export const isSecret = (field: string, type: number) => field === "secret" || (field === "key" && type !== 6 && type !== 3);

export const postmark = 4;

export function NewProvider(_: { id: string }) {
  const [filters] = useFilters();
  const may = useMayChange();
  const kinds = useKinds();
  if (!may) {
    return (
      <Page title="Connect a provider">
        <Empty title="Viewers cannot connect providers.">Ask an owner or admin of the account. <a href="/providers">To the providers</a></Empty>
      </Page>
    );
  }
  if (filters.connected) return <Connected id={filters.connected} kinds={kinds.data} />;
  return (
    <Page title="Connect a provider" about="Postyard checks the credentials, registers its webhook with the provider, and makes an IP pool that leads to it.">
      <Loaded of={kinds}>{(list) => <Wizard kinds={list} />}</Loaded>
    </Page>
  );
}

type Values = Record<string, string>;

function Wizard({ kinds }: { kinds: Kind[] }) {
  const [filters, setFilters] = useFilters();
  const kind = kinds.find((k) => String(k.type) === filters.type) ?? kinds.find((k) => k.type === postmark) ?? kinds[0]!;
  const [values, setValues] = useState<Values>({});
  const [name, setName] = useState("");
  const [stream, setStream] = useState("");
  const [rate, setRate] = useState("");
  const [raw, setRaw] = useState(false);
  const [policy, setPolicy] = useState("at-least-once");
  const [sync, setSync] = useState("both");

  const value = (field: string) => values[`${kind.type}.${field}`] ?? "";
  const set = (field: string) => (v: string) => setValues({ ...values, [`${kind.type}.${field}`]: v });
  const fields = asked(kind);
  const streams = useStreams({ type: kind.type, key: value("key").trim(), endpoint: value("endpoint").trim() }, () => (save.clear(), setStream("")));
  const missing = [
    name.trim() ? "" : "a name",
    ...fields.filter((f) => f.required && !value(f.name).trim()).map((f) => fieldLabel(f.name, kind.type)),
    kind.streams && !(streams.list && stream) ? "a message stream" : "",
  ].filter(Boolean);

  const save = useAction(async () => {
    streams.fetch.clear();
    const body: TpspRequest = { name: name.trim(), type: kind.type, ambiguousPolicy: policy };
    for (const f of fields) {
      const v = value(f.name).trim();
      if (v !== "") Object.assign(body, { [f.name]: f.name === "port" ? Number(v) : v });
    }
    if (kind.streams) body.messageStream = stream;
    if (kind.allowRaw) body.allowRaw = raw;
    if (kind.suppresses) body.suppressionSync = sync;
    if (rate !== "") body.ratePerHour = Number(rate);
    if (body.port !== undefined && !Number.isInteger(body.port)) throw new Refusal(0, "invalid", "The port is a whole number.", "port");
    const made = await post<Tpsp>("/account/tpsp", body);
    forget();
    navigate(to("/providers/new", { connected: made.id, pool: made.ipPool?.id }), true);
  });

  const error = save.error ?? streams.fetch.error;
  const placed = ["name", "type", "messageStream", "ratePerHour", ...fields.map((f) => f.name)];
  return (
    <form class="stack wizard" onSubmit={(e) => (e.preventDefault(), missing.length === 0 && void save.run())} autocomplete="off">
      <Card title="1. The provider">
        <div class="stack">
          <div class="form-row">
            <Field label="Name" name="name" error={error} hint="as you will see it in lists and statistics"><Input value={name} onInput={setName} placeholder={kind.title} required autofocus /></Field>
            <Field label="Type" name="type" error={error}>
              <Select value={String(kind.type)} onChange={(t) => (save.clear(), streams.fetch.clear(), setFilters({ type: t }, true))} options={kinds.map((k) => [String(k.type), k.title])} />
            </Field>
          </div>
          <p class="small quiet">{abilities(kind)}</p>
          <div class="form-row">
            {fields.map((f) => (
              <Field key={`${kind.type}.${f.name}`} label={fieldLabel(f.name, kind.type) + (f.required ? "" : " (optional)")} name={f.name} error={error} hint={f.holds}>
                <Input value={value(f.name)} onInput={set(f.name)} type={isSecret(f.name, kind.type) ? "password" : f.name === "port" ? "number" : "text"} required={f.required}
                  class="mono" autocomplete={isSecret(f.name, kind.type) ? "new-password" : "off"} spellcheck={false} placeholder={f.name === "endpoint" ? placeholder(kind.type) : undefined} />
              </Field>
            ))}
          </div>
        </div>
      </Card>

      {kind.streams && (
        <Card title="2. The message stream">
          <StreamChoice of={streams} kind={kind} chosen={stream} onChoose={setStream} error={error} needs={value("key").trim() ? "" : fieldLabel("key", kind.type)}>
            <p class="small quiet">A connection is to one message stream of the server. To use several, connect it once for each.</p>
          </StreamChoice>
        </Card>
      )}

      <Card>
        <details>
          <summary>More settings</summary>
          <div class="stack after">
            <div class="form-row">
              <Field label="Messages an hour" name="ratePerHour" error={error} hint={kind.ratePerHour ? `empty: ${count(kind.ratePerHour)}; 0: no limit` : "empty or 0: no limit"}>
                <Input value={rate} onInput={setRate} type="number" min={0} max={100000000} placeholder={kind.ratePerHour ? String(kind.ratePerHour) : "no limit"} />
              </Field>
              <Field label="When nobody knows whether it has a message"><Select value={policy} onChange={setPolicy} options={policies} /></Field>
              {kind.suppresses && <Field label="Its suppression list"><Select value={sync} onChange={setSync} options={syncs} /></Field>}
            </div>
            {kind.allowRaw && <Check checked={raw} onChange={setRaw}>It takes messages without a template, too (allowRaw)</Check>}
          </div>
        </details>
      </Card>

      {error && unplaced(error, ...placed) && <Failed error={error} />}
      <div class="row">
        <Button type="submit" kind="main" busy={save.busy} disabled={missing.length > 0}>Save</Button>
        <ButtonLink href="/providers">Cancel</ButtonLink>
        {missing.length > 0 && <span class="small quiet">Still needed: {missing.join(", ")}.</span>}
      </div>
      {save.busy && <Progress label={`The credentials are checked, ${kind.reports ? "the webhook is registered, " : ""}and an IP pool is made.`} />}
    </form>
  );
}

export const policies: [string, string][] = [["at-least-once", "send it again: it may arrive twice"], ["at-most-once", "leave it as sent: it may be lost"]];
export const syncs: [string, string][] = [["both", "kept in step, both ways"], ["from-provider", "followed here only"], ["off", "left alone"]];

const placeholder = (type: number) => ({ 1: "https://api.sendgrid.com", 3: "eu-west-1", 4: "https://api.postmarkapp.com", 6: "smtps://smtp.example.com" })[type] ?? "";

/** What a kind of provider can, in a sentence. */
function abilities(k: Kind) {
  const can = [k.reports ? "reports events" : "reports no events", k.templates && "renders templates of its own", k.allowRaw && "takes messages without a template where you allow it",
    k.recalls && "lets missed events be read back", k.suppresses && "has its suppression list kept in step"].filter(Boolean) as string[];
  return `${k.title} ${can.length > 1 ? can.slice(0, -1).join(", ") + " and " + can.at(-1) : can[0]}.`;
}

/** What is there after saving: the webhook, the pool that was made, and a test email with both filled in. */
function Connected({ id, kinds }: { id: string; kinds?: Kind[] }) {
  const [filters, setFilters] = useFilters();
  const [changed, setChanged] = useState<Tpsp>();
  const tpsp = useGet<Tpsp>(`/account/tpsp/${encodeURIComponent(id)}`, undefined, { every: 4000 });
  const pool = useGet<Pool>(filters.pool ? `/account/ippool/${encodeURIComponent(filters.pool)}` : null);
  useEffect(() => setChanged(undefined), [tpsp.data]);
  const t = changed ?? tpsp.data;
  const kind = kinds?.find((k) => k.type === t?.type);
  return (
    <Page title={t ? `${t.name} is connected` : "Connected"} about="Next: send a test email, and see its events come in." actions={<><ButtonLink href={`/providers/${id}`}>Open the provider</ButtonLink><ButtonLink href="/providers/new">Connect another one</ButtonLink></>}>
      <Loaded of={tpsp}>
        {() => (
          <>
            <div class="columns">
              <Card title="Webhook">
                <WebhookWords tpsp={t!} onChange={setChanged} full />
              </Card>
              <Card title="IP pool" actions={filters.pool ? <ButtonLink small href={`/ippools/${filters.pool}`}>Open the IP pool</ButtonLink> : undefined}>
                {pool.data ? (
                  <dl class="facts">
                    <dt>Made for it</dt><dd><a href={`/ippools/${pool.data.id}`}><bdi>{pool.data.name}</bdi></a></dd>
                    <dt>Leads to</dt><dd><bdi>{pool.data.thirdPartySendingProviders.map((m) => m.name).join(", ")}</bdi>, 100 %</dd>
                    <dt>Named in a send</dt><dd><code>"ippool": {JSON.stringify(pool.data.name)}</code></dd>
                  </dl>
                ) : pool.error ? <Failed error={pool.error} /> : <p class="quiet">{filters.pool ? "…" : <>See <a href="/ippools">IP pools</a>.</>}</p>}
              </Card>
              <Card title="Health">
                <div class="stack-tight">
                  <HealthWords health={t!.health} />
                  <span class="small quiet">{kind?.title}{t!.messageStream && <>, message stream <code>{t!.messageStream}</code></>}</span>
                </div>
              </Card>
            </div>
            <TestSend tpsp={t!} kind={kind} pool={pool.data?.name ?? ""} sent={filters.sent ?? ""} onSent={(sent) => setFilters({ sent }, true)} />
          </>
        )}
      </Loaded>
    </Page>
  );
}
