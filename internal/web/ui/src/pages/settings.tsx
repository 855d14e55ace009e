import { useEffect, useState } from "preact/hooks";
import { call, useAction } from "../api";
import { loadSession, useSession } from "../session";
import type { Theme } from "../theme";
import { Button, Card, Code, Failed, Field, Input, Page, Select, Status, Table, toast, unplaced, useTheme, When } from "../ui";

export function Settings() {
  const session = useSession()!;
  const [theme, setTheme] = useTheme();
  return (
    <Page title="Settings" about="Of yourself and this browser.">
      <div class="columns">
        <Card title="You">
          <dl class="facts">
            <dt>Name</dt><dd><bdi>{session.member.name}</bdi></dd>
            <dt>Email</dt><dd><bdi>{session.member.email}</bdi></dd>
            <dt>Role</dt><dd>{session.member.role}</dd>
            <dt>Account</dt><dd><bdi>{session.account.name}</bdi> (id {session.account.id})</dd>
          </dl>
        </Card>
        <Password />
        <Sessions />
        <Card title="Colours">
          <Field label="Theme"><Select value={theme} onChange={(t) => setTheme(t as Theme)} options={[["system", "As the system"], ["light", "Light"], ["dark", "Dark"]]} /></Field>
        </Card>
        <Card title="API">
          <div class="stack-tight">
            <p class="quiet">Clients of SendPost work with this base URL. <a href="/docs" target="_blank" rel="noopener">API reference</a></p>
            <Code>{`${session.publicUrl}/api/v1`}</Code>
          </div>
        </Card>
      </div>
    </Page>
  );
}

function Password() {
  const session = useSession()!;
  const [current, setCurrent] = useState("");
  const [password, setPassword] = useState("");
  const action = useAction(async () => {
    await call("PUT", "/web/password", { body: { current, password } });
    await loadSession();
    setCurrent("");
    setPassword("");
    toast("The password is changed. Your other sessions have ended.");
  });
  return (
    <Card title="Password">
      <form class="stack" onSubmit={(e) => (e.preventDefault(), void action.run())}>
        <input type="email" value={session.member.email} autocomplete="username" readOnly hidden />
        <Field label="Current password" name="current" error={action.error}><Input value={current} onInput={setCurrent} type="password" required autocomplete="current-password" /></Field>
        <Field label="New password" name="password" hint="10 characters or more" error={action.error}><Input value={password} onInput={setPassword} type="password" required minLength={10} autocomplete="new-password" /></Field>
        {unplaced(action.error, "current", "password") && <Failed error={action.error!} />}
        <Button type="submit" busy={action.busy}>Change the password</Button>
      </form>
    </Card>
  );
}

interface Place {
  current: boolean;
  address: string;
  agent: string;
  created: number;
  used: number;
}

/** Where the member is signed in. */
function Sessions() {
  const [list, set] = useState<Place[]>();
  const read = useAction(async () => set(await call<Place[]>("GET", "/web/sessions")));
  const end = useAction(async () => {
    await call("DELETE", "/web/sessions");
    toast("Your other sessions have ended.");
    await read.run();
  });
  useEffect(() => void read.run(), []);
  return (
    <Card title="Sessions" flush actions={list && list.length > 1 && <Button small busy={end.busy} onClick={() => end.run()}>End the others</Button>}>
      {(read.error ?? end.error) && <Failed error={(read.error ?? end.error)!} />}
      <Table label="Sessions" rows={list ?? []} keyOf={(p) => p.created} columns={[
        { name: "From", cell: (p) => <><bdi class="mono">{p.address}</bdi> {p.current && <Status tone="good">this one</Status>}</> },
        { name: "Browser", cell: (p) => <bdi class="small break">{p.agent || "–"}</bdi> },
        { name: "Used", cell: (p) => <When at={p.used} /> },
      ]} />
    </Card>
  );
}
