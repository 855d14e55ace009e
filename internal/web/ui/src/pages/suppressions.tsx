import { useState } from "preact/hooks";
import { API, call, del, post, raw, useAction, useGet } from "../api";
import { count, day, plural } from "../format";
import { useFilters } from "../route";
import type { Import, Suppression, SuppressionsSynced } from "../schema";
import { useMayChange, useSession } from "../session";
import { Button, Card, Check, Code, Confirm, Dialog, Empty, Failed, Field, Input, Loaded, Note, Page, Progress, Select, Status, Table, toast, type Tone, When } from "../ui";
import { SubAccountChoice, useSubAccount } from "./choice";

const size = 50;

/** The reasons, as the API names and numbers them. */
const reasons: [key: string, name: string, tone: Tone][] = [["manual", "entered", "calm"], ["unsubscribe", "unsubscribed", "calm"], ["hardBounce", "hard bounce", "bad"], ["spamComplaint", "complaint", "bad"]];
const choices = reasons.map(([key, name]): [string, string] => [key, name]);

export function Suppressions() {
  const [f, set] = useFilters();
  const may = useMayChange();
  const session = useSession()!;
  const of = useSubAccount();
  const offset = Number(f.offset) || 0;
  const from = f.from || day(60);
  const to = f.to || day(0);
  const selection = { search: f.search, type: f.type, from, to };
  const list = useGet<Suppression[]>(of.id === undefined ? null : "/subaccount/suppression", { ...selection, offset, limit: size }, { subAccount: of.id });
  const total = useGet<{ count: number }>(of.id === undefined ? null : "/subaccount/suppression/count", selection, { subAccount: of.id });
  const [asked, ask] = useState<"" | "add" | "import" | "sync">("");
  const [again, reactivate] = useState<Suppression>();
  const changed = () => (list.reload(), total.reload());
  const exported = useAction(async () => {
    const answer = await raw("POST", `${API}/subaccount/suppression/export`, { query: f.from || f.to ? selection : { search: f.search, type: f.type }, subAccount: of.id });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `suppressions-${of.id}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
  const filtered = f.search || f.type || f.from || f.to;
  return (
    <Page title="Suppressions" about="Addresses that get no mail of a sub-account: their mail is accepted and dropped, with an event that says so."
      actions={<>
        {may && of.id !== undefined && <Button kind="main" onClick={() => ask("add")}>Suppress addresses</Button>}
        {may && of.id !== undefined && <Button onClick={() => ask("import")}>Import CSV</Button>}
        {of.id !== undefined && <Button busy={exported.busy} onClick={() => void exported.run()}>Export CSV</Button>}
        {may && <Button onClick={() => ask("sync")}>Sync with providers</Button>}
      </>}>
      {exported.error && <Failed error={exported.error} />}
      <search class="filters">
        <SubAccountChoice of={of} />
        <Field label="Search" wide><Input type="search" value={f.search ?? ""} onInput={(v) => set({ search: v, offset: "" }, true)} placeholder="part of the address" /></Field>
        <Field label="Reason"><Select value={f.type ?? ""} onChange={(type) => set({ type, offset: "" })} options={[["", "Any"], ...choices]} /></Field>
        <Field label="From"><Input type="date" value={from} onInput={(v) => set({ from: v, offset: "" }, true)} /></Field>
        <Field label="To"><Input type="date" value={to} onInput={(v) => set({ to: v, offset: "" }, true)} /></Field>
      </search>
      <Loaded of={of.list}>
        {(subs) => of.id === undefined ? (
          <Card><Empty title={subs.length ? "Choose a sub-account" : "There is no sub-account"}><p>{subs.length ? "The address names one that the account does not have." : <a href="/subaccounts">Make one first</a>}</p></Empty></Card>
        ) : (
          <Card flush title={total.data ? plural(total.data.count, "address", "addresses") : undefined}>
            <Loaded of={list}>
              {(rows) => (
                <>
                  <Table label="Suppressions" rows={rows} keyOf={(s) => s.id} columns={[
                    { name: "Address", cell: (s) => <bdi class="break mono">{s.email}</bdi> },
                    { name: "Reason", cell: (s) => { const [, name, tone] = reasons[s.reason] ?? ["", String(s.reason), "calm" as Tone]; return <Status tone={tone}>{name}</Status>; } },
                    { name: "In the words of the server", cell: (s) => s.smtp_error ? <span class="break small" dir="auto">{s.smtp_error}</span> : null },
                    { name: "Since", cell: (s) => <When at={s.created} exact /> },
                    ...(may ? [{ name: "", cell: (s: Suppression) => <Button small label={`Reactivate ${s.email}`} onClick={() => reactivate(s)}>Reactivate</Button> }] : []),
                  ]} empty={filtered ? <Empty title="No address fits"><p>No suppression of this sub-account fits. <a href={`/suppressions?subaccount=${of.id}`}>Show all of the last 60 days</a></p></Empty> : (
                    <Empty title="Nobody was suppressed in the last 60 days">
                      <p>Hard bounces, complaints and unsubscriptions put addresses here by themselves. {may ? <>Others can be entered here, imported from a CSV file, or by the API:</> : "Admins can enter others, by the API or here:"}</p>
                      <Code>{`curl ${session.publicUrl}/api/v1/subaccount/suppression -H "X-SubAccount-ApiKey: $KEY" -d '{"manual": [{"email": "ana@example.com"}]}'`}</Code>
                    </Empty>
                  )} />
                  {(offset > 0 || rows.length === size) && (
                    <div class="row" style={{ padding: "var(--space-3) var(--space-4)" }}>
                      <Button disabled={offset === 0} onClick={() => set({ offset: offset > size ? String(offset - size) : "" })}>Newer</Button>
                      <Button disabled={rows.length < size} onClick={() => set({ offset: String(offset + size) })}>Older</Button>
                      <span class="small quiet">{count(offset + 1)} to {count(offset + rows.length)}</span>
                    </div>
                  )}
                </>
              )}
            </Loaded>
          </Card>
        )}
      </Loaded>
      {asked === "add" && <Add subAccount={of.id!} onClose={() => ask("")} changed={changed} />}
      {asked === "import" && <ImportFile subAccount={of.id!} onClose={() => ask("")} changed={changed} />}
      {asked === "sync" && <Sync onClose={() => ask("")} changed={changed} />}
      {again && (
        <Confirm title="Send to this address again?" verb="Reactivate" onClose={() => reactivate(undefined)} act={async () => {
          await del("/subaccount/suppression", { body: { suppressions: [{ email: again.email }] }, subAccount: of.id });
          toast(`${again.email} gets mail again.`);
          changed();
        }}>
          <p><bdi class="break">{again.email}</bdi> gets mail of this sub-account again, and is taken off the lists of providers that are kept in step.
            {again.reason === 3 && " The recipient complained: more mail can harm your reputation."}</p>
        </Confirm>
      )}
    </Page>
  );
}

function Add({ subAccount, onClose, changed }: { subAccount: number; onClose: () => void; changed: () => void }) {
  const [text, setText] = useState("");
  const [reason, setReason] = useState("manual");
  const add = useAction(async () => {
    const emails = text.split(/[\s,;]+/).filter(Boolean).map((email) => ({ email }));
    const done = await post<Suppression[]>("/subaccount/suppression", { [reason]: emails }, { subAccount });
    toast(`${plural(done.length, "address is", "addresses are")} suppressed.`);
    changed();
    onClose();
  });
  return (
    <Dialog title="Suppress addresses" onClose={onClose}>
      <form class="stack" onSubmit={(e) => (e.preventDefault(), void add.run())}>
        <Field label="Addresses" name={reason} error={add.error} hint="one a line, or with commas between them">
          <textarea value={text} required rows={6} spellcheck={false} onInput={(e) => setText(e.currentTarget.value)} />
        </Field>
        <Field label="Reason"><Select value={reason} onChange={setReason} options={choices} /></Field>
        {add.error && !add.error.field.startsWith(reason) && <Failed error={add.error} />}
        <div class="dialog-end"><Button onClick={onClose}>Cancel</Button><Button type="submit" kind="main" busy={add.busy}>Suppress</Button></div>
      </form>
    </Dialog>
  );
}

function ImportFile({ subAccount, onClose, changed }: { subAccount: number; onClose: () => void; changed: () => void }) {
  const [file, setFile] = useState<File>();
  const [type, setType] = useState("manual");
  const [dryRun, setDryRun] = useState(true);
  const [came, setCame] = useState<Import>();
  const run = useAction(async () => {
    setCame(undefined);
    const body = new Blob([file!], { type: "text/csv" });
    const answer = await call<Import>("POST", `${API}/subaccount/suppression/bulk`, { query: { type, dryRun }, body, subAccount });
    setCame(answer);
    if (!answer.dryRun) changed();
    else setDryRun(false);
  });
  return (
    <Dialog title="Import addresses" wide onClose={onClose}>
      <form class="stack" onSubmit={(e) => (e.preventDefault(), void run.run())}>
        <p class="quiet">A CSV file with a column <span class="mono">email</span>, and perhaps <span class="mono">type</span>; what <em>Export CSV</em> gives can be imported.</p>
        <Field label="File"><input type="file" accept=".csv,text/csv,text/plain" required onChange={(e) => (setFile(e.currentTarget.files?.[0]), setCame(undefined), setDryRun(true))} /></Field>
        <Field label="Reason of lines that have none"><Select value={type} onChange={setType} options={choices} /></Field>
        <Check checked={dryRun} onChange={setDryRun}>Only check the file</Check>
        {run.busy && <Progress label={dryRun ? "The file is being checked." : "The addresses are being suppressed."} />}
        {run.error && <Failed error={run.error} />}
        {came && (
          <>
            <Note tone={came.refusedCount > 0 ? "warn" : "good"}>
              <p>{came.dryRun ? `${plural(came.read, "address", "addresses")} can be read.` : `${count(came.suppressed)} of ${plural(came.read, "address", "addresses")} ${came.suppressed === 1 ? "is" : "are"} suppressed now.`} {came.refusedCount > 0 && `${plural(came.refusedCount, "line is", "lines are")} left out.`}</p>
              {came.dryRun && <p>Nothing was changed. Import the file to suppress the addresses.</p>}
            </Note>
            {came.refused.length > 0 && (
              <Table label="Lines that are left out" rows={came.refused} keyOf={(l) => l.line} columns={[
                { name: "Line", cell: (l) => count(l.line), end: true },
                { name: "Why", cell: (l) => <span class="break" dir="auto">{l.message}</span> },
              ]} />
            )}
          </>
        )}
        <div class="dialog-end"><Button onClick={onClose}>Close</Button><Button type="submit" kind="main" busy={run.busy}>{dryRun ? "Check the file" : "Import"}</Button></div>
      </form>
    </Dialog>
  );
}

function Sync({ onClose, changed }: { onClose: () => void; changed: () => void }) {
  const [came, setCame] = useState<SuppressionsSynced[]>();
  const sync = useAction(async () => {
    setCame(undefined);
    setCame(await post<SuppressionsSynced[]>("/account/suppression/sync", { tpspId: 0 }));
    changed();
  });
  return (
    <Dialog title="Sync with providers" wide onClose={onClose}>
      <div class="stack">
        <p>The suppression lists of the account's providers and the ones here are brought in step now. It happens by itself as well.</p>
        {sync.busy && <Progress label="The lists of providers are being read." />}
        {sync.error && <Failed error={sync.error} />}
        {came && (
          <Table label="What came of it" rows={came} keyOf={(s) => s.tpspId} columns={[
            { name: "Provider", cell: (s) => <a href={`/providers/${s.tpspId}`}><bdi>{s.name}</bdi></a> },
            { name: "On its list", cell: (s) => count(s.listed), end: true },
            { name: "Suppressed here", cell: (s) => count(s.suppressed), end: true },
            { name: "Reactivated here", cell: (s) => count(s.reactivated), end: true },
            { name: "Changed there", cell: (s) => count(s.pushed), end: true },
            { name: "Trouble", cell: (s) => s.error || s.refused.length ? (
              <div class="stack-tight">{s.error && <span class="break" dir="auto">{s.error}</span>}{s.refused.map((r) => <span key={r.email} class="small break"><bdi>{r.email}</bdi> ({r.change}): <bdi>{r.message}</bdi></span>)}</div>
            ) : null },
          ]} empty={<Empty title="No provider has such a list"><p>Sync needs a provider whose suppression list is kept in step.</p></Empty>} />
        )}
        <div class="dialog-end"><Button onClick={onClose}>Close</Button><Button kind="main" busy={sync.busy} onClick={() => void sync.run()}>Sync now</Button></div>
      </div>
    </Dialog>
  );
}
