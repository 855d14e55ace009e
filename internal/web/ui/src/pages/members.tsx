// Members: who signs in to the dashboard, and what they may do. Owners invite, change and remove.
import { useState } from "preact/hooks";
import { del, post, put, useAction, useGet } from "../api";
import type { Member } from "../schema";
import { loadSession, useIsOwner, useSession } from "../session";
import { Button, Card, Code, Confirm, Dialog, Empty, Failed, Field, Input, Loaded, Note, Page, Select, Status, Table, toast, unplaced, When } from "../ui";

const PATH = "/account/member";

const roles: [string, string][] = [["viewer", "viewer: sees everything but secrets"], ["admin", "admin: changes everything but members"], ["owner", "owner: changes everything"]];

export function Members(_: { id: string }) {
  const list = useGet<Member[]>(PATH);
  const isOwner = useIsOwner();
  const me = useSession()!.member.id;
  const [inviting, invite] = useState(false);
  const [link, show] = useState<Member>();
  const [removing, remove] = useState<Member>();
  return (
    <Page title="Members" about="Who signs in to this dashboard. Programs use keys instead." actions={isOwner && <Button kind="main" onClick={() => invite(true)}>Invite</Button>}>
      {!isOwner && <Note tone="calm"><p>Owners invite, change and remove members.</p></Note>}
      <Card flush>
        <Loaded of={list}>
          {(members) => (
            <Table label="Members" rows={members} keyOf={(m) => m.id}
              columns={[
                { name: "Member", cell: (m) => <><div><bdi>{m.name || m.email}</bdi>{m.id === me && <span class="quiet"> (you)</span>}</div>{m.name && <div class="small quiet break"><bdi>{m.email}</bdi></div>}</> },
                { name: "Role", cell: (m) => (isOwner ? <Role of={m} reload={list.reload} /> : m.role) },
                { name: "State", cell: (m) => <div><Standing of={m} /></div> },
                { name: "Last seen", cell: (m) => <When at={m.lastSeen} /> },
                ...(isOwner ? [{ name: "Change", cell: (m: Member) => (
                  <span class="row">
                    <NewLink of={m} onMade={(made) => (show(made), list.reload())} />
                    <Button small kind="bad" label={`Remove ${m.email}`} onClick={() => remove(m)}>Remove</Button>
                  </span>
                ) }] : []),
              ]} />
          )}
        </Loaded>
      </Card>
      {list.data?.length === 1 && isOwner && (
        <Card>
          <Empty title="You are the only member">
            <p class="quiet">Invite those who look after mail with you. A program can do it as well, with the account's key; the answer has the link:</p>
            <Invitation />
          </Empty>
        </Card>
      )}
      {inviting && <Invite onClose={() => invite(false)} onMade={(m) => (invite(false), show(m), list.reload())} />}
      {link && <Link of={link} onClose={() => show(undefined)} />}
      {removing && (
        <Confirm title={`Remove ${removing.email}?`} verb="Remove" bad onClose={() => remove(undefined)} act={async () => {
          await del(`${PATH}/${removing.id}`);
          toast(`${removing.email} is no longer a member.`);
          if (removing.id === me) await loadSession();
          else list.reload();
        }}>
          <p>{removing.id === me ? "That is you: you are signed out at once." : "Their sessions end at once."} What they did stays in the audit log.</p>
        </Confirm>
      )}
    </Page>
  );
}

function Invitation() {
  const session = useSession()!;
  return <Code>{`curl -X POST ${session.publicUrl}/api/v1/account/member -H "X-Account-ApiKey: $ACCOUNT_KEY" -d '{"email":"ana@example.com","name":"Ana","role":"admin"}'`}</Code>;
}

function Standing({ of }: { of: Member }) {
  if (!of.joined) return of.invitedUntil ? <Status tone="wait">Invited, <When at={of.invitedUntil} /></Status> : <Status tone="warn" title="Make another link">Invitation over</Status>;
  return of.invitedUntil ? <Status tone="wait" title="A link for another password is open">Joined, link open</Status> : <Status tone="good">Joined</Status>;
}

function Role({ of, reload }: { of: Member; reload: () => void }) {
  const me = useSession()!.member.id;
  const change = useAction(async (role: string) => {
    await put(`${PATH}/${of.id}`, { role });
    toast(`${of.email} is ${role} now.`);
    if (of.id === me) await loadSession();
    else reload();
  });
  return (
    <>
      <Select value={of.role} disabled={change.busy} onChange={(r) => void change.run(r)} aria-label={`Role of ${of.email}`} options={roles.map(([r]) => [r, r])} />
      {change.error && <div class="small" role="alert">{change.error.message}</div>}
    </>
  );
}

/** Makes an invitation anew: for those who did not join in time, and for those who forgot their password. */
function NewLink({ of, onMade }: { of: Member; onMade: (m: Member) => void }) {
  const make = useAction(async () => onMade(await post<Member>(`${PATH}/${of.id}/invitation`)));
  return (
    <>
      <Button small busy={make.busy} label={`New link for ${of.email}`} title={of.joined ? "For a forgotten password" : "The old one stops working"} onClick={() => make.run()}>New link</Button>
      {make.error && <span class="small" role="alert">{make.error.message}</span>}
    </>
  );
}

function Invite({ onClose, onMade }: { onClose: () => void; onMade: (m: Member) => void }) {
  const [form, set] = useState({ email: "", name: "", role: "viewer" });
  const act = useAction(async () => onMade(await post<Member>(PATH, form)));
  const input = (key: "email" | "name") => ({ value: form[key], onInput: (v: string) => set((f) => ({ ...f, [key]: v })) });
  return (
    <Dialog title="Invite a member" onClose={onClose}>
      <form class="stack" onSubmit={(e) => (e.preventDefault(), void act.run())}>
        <Field label="Email" name="email" error={act.error}><Input {...input("email")} type="email" required autofocus autocomplete="off" /></Field>
        <Field label="Name" name="name" error={act.error}><Input {...input("name")} autocomplete="off" /></Field>
        <Field label="Role" name="role" error={act.error}><Select value={form.role} onChange={(role) => set((f) => ({ ...f, role }))} options={roles} /></Field>
        {unplaced(act.error, "email", "name", "role") && <Failed error={act.error!} />}
        <div class="dialog-end">
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="main" busy={act.busy}>Make the invitation</Button>
        </div>
      </form>
    </Dialog>
  );
}

const Link = ({ of, onClose }: { of: Member; onClose: () => void }) => (
  <Dialog title={`A link for ${of.name || of.email}`} onClose={onClose}>
    <div class="stack">
      <p>Send it to <bdi>{of.email}</bdi> yourself. Whoever opens it first chooses the password; it works once, for 72 hours, and is not shown again.</p>
      <Code>{of.invitation ?? ""}</Code>
      <div class="dialog-end"><Button kind="main" onClick={onClose}>Done</Button></div>
    </div>
  </Dialog>
);
