import { useState } from "preact/hooks";
import { del, post, useAction, useGet } from "../api";
import { useFilters } from "../route";
import type { DnsRecord, Domain } from "../schema";
import { useMayChange, useSession } from "../session";
import { Button, Card, Code, Confirm, Copy, Dialog, Empty, Failed, Field, Input, Loaded, Note, Page, Progress, Status, Table, toast } from "../ui";
import { SubAccountChoice, useSubAccount } from "./choice";

export function Domains() {
  const [f, set] = useFilters();
  const may = useMayChange();
  const of = useSubAccount();
  const session = useSession()!;
  const list = useGet<Domain[]>(of.id === undefined ? null : "/subaccount/domain", { search: f.search }, { subAccount: of.id });
  const [gone, remove] = useState<Domain>();
  return (
    <Page title="Domains" about="The domains that a sub-account sends from. Each shows the records that belong into its DNS, and which of them are found there."
      actions={may && of.id !== undefined && <Button kind="main" onClick={() => set({ new: "1" })}>Add a domain</Button>}>
      <search class="filters">
        <SubAccountChoice of={of} />
        <Field label="Search" wide><Input type="search" value={f.search ?? ""} onInput={(v) => set({ search: v }, true)} placeholder="part of the domain" /></Field>
      </search>
      <Loaded of={of.list}>
        {(subs) => of.id === undefined ? (
          <Card><Empty title={subs.length ? "Choose a sub-account" : "There is no sub-account"}><p>{subs.length ? "The address names one that the account does not have." : <a href="/subaccounts">Make one first</a>}</p></Empty></Card>
        ) : (
          <Loaded of={list}>
            {(domains) => domains.length === 0 ? (
              <Card>{f.search ? <Empty title="No domain fits"><p>No domain of this sub-account has this in its name.</p></Empty> : (
                <Empty title="No domains yet">
                  <p>Mail from a domain that stands here is signed with a key of its own (DKIM) where it leaves through your own servers. {may ? <>Add it here, or by the API:</> : "An admin can add one, by the API or here:"}</p>
                  <Code>{`curl ${session.publicUrl}/api/v1/subaccount/domain -H "X-SubAccount-ApiKey: $KEY" -d '{"name": "example.com"}'`}</Code>
                </Empty>
              )}</Card>
            ) : domains.map((d) => <One key={d.id} domain={d} subAccount={of.id!} changed={list.reload} remove={() => remove(d)} />)}
          </Loaded>
        )}
      </Loaded>
      {f.new && may && of.id !== undefined && <Add subAccount={of.id} onClose={() => set({ new: "" })} added={list.reload} />}
      {gone && (
        <Confirm title="Delete this domain?" verb="Delete" bad onClose={() => remove(undefined)} act={async () => {
          await del(`/subaccount/domain/${gone.id}`, { subAccount: of.id });
          toast(`${gone.name} is deleted.`);
          list.reload();
        }}>
          <p>Mail from <bdi class="break">{gone.name}</bdi> is not signed with its key any more. Take its records out of DNS afterwards.</p>
        </Confirm>
      )}
    </Page>
  );
}

function Add({ subAccount, onClose, added }: { subAccount: number; onClose: () => void; added: () => void }) {
  const [name, setName] = useState("");
  const add = useAction(async () => {
    await post<Domain>("/subaccount/domain", { name }, { subAccount });
    toast("The domain is added. Put its records into DNS.");
    added();
    onClose();
  });
  return (
    <Dialog title="Add a domain" onClose={onClose}>
      <form class="stack" onSubmit={(e) => (e.preventDefault(), void add.run())}>
        <Field label="Domain" name="name" error={add.error} hint="what stands behind the @ of senders"><Input value={name} onInput={setName} required placeholder="example.com" autocapitalize="off" spellcheck={false} /></Field>
        {add.error && add.error.field !== "name" && <Failed error={add.error} />}
        <div class="dialog-end"><Button onClick={onClose}>Cancel</Button><Button type="submit" kind="main" busy={add.busy}>Add the domain</Button></div>
      </form>
    </Dialog>
  );
}

interface Row {
  name: string;
  about: string;
  record: DnsRecord;
  found: boolean;
  why: string;
}

/** The records that a domain is to have; what nobody looks at is left out. */
const recordsOf = (d: Domain): Row[] =>
  [
    { name: "DKIM", about: "the key that mail is signed with: it alone decides", record: d.dkim, found: d.dkimVerified, why: d.dkimFailureReason },
    { name: "SPF", about: "who may send", record: d.spf, found: d.spfVerified, why: "" },
    { name: "Return path", about: "where bounces go", record: d.returnPath, found: d.returnPathVerified, why: d.returnPathFailureReason },
    { name: "Tracking", about: "links and pictures under your own name", record: d.track, found: d.trackVerified, why: d.trackFailureReason },
    { name: "DMARC", about: "what receivers do with mail that is not yours", record: d.dmarc, found: d.dmarcVerified, why: d.dmarcFailureReason },
  ].filter((r) => r.record.host !== "");

function One({ domain: d, subAccount, changed, remove }: { domain: Domain; subAccount: number; changed: () => void; remove: () => void }) {
  const may = useMayChange();
  const rows = recordsOf(d);
  const check = useAction(async () => {
    const now = await post<Domain>(`/subaccount/domain/${d.id}/verify`, undefined, { subAccount });
    const found = recordsOf(now).filter((r) => r.found).length;
    toast(`${found} of ${recordsOf(now).length} records of ${d.name} are found.`);
    changed();
  });
  return (
    <Card title={d.name} flush actions={<>
      <Status tone={d.verified ? "good" : "warn"} title={d.verified ? undefined : d.dkimFailureReason || undefined}>{d.verified ? "verified" : "not verified"}</Status>
      {may && <Button small busy={check.busy} onClick={() => void check.run()}>Check now</Button>}
      {may && <Button small kind="bad" label={`Delete ${d.name}`} onClick={remove}>Delete</Button>}
    </>}>
      {check.busy && <Progress label="DNS is asked for the records." />}
      {check.error && <Failed error={check.error} />}
      {!d.verified && d.dkimFailureReason && <Note tone="warn"><p class="break" dir="auto">{d.dkimFailureReason}</p></Note>}
      <Table label={`Records of ${d.name}`} rows={rows} keyOf={(r) => r.name} columns={[
        { name: "Record", cell: (r) => <div><strong>{r.name}</strong><div class="small quiet">{r.about}</div></div> },
        { name: "In DNS", cell: (r) => (
          <div class="stack-tight"><span><Status tone={r.found ? "good" : "warn"}>{r.found ? "found" : "missing"}</Status></span>{!r.found && r.why && <span class="small break" dir="auto">{r.why}</span>}</div>
        ) },
        { name: "Type", cell: (r) => <span class="mono">{r.record.type}</span> },
        { name: "Host", cell: (r) => <Part text={r.record.host} of={`the host of ${r.name} of ${d.name}`} /> },
        { name: "Value", cell: (r) => <Part text={r.record.textValue} of={`the value of ${r.name} of ${d.name}`} /> },
      ]} />
    </Card>
  );
}

const Part = ({ text, of }: { text: string; of: string }) => (
  <div class="stack-tight"><bdi class="mono break">{text}</bdi><div><Copy text={text} of={of} /></div></div>
);
