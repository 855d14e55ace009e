import { useEffect, useState } from "preact/hooks";
import { useAction } from "../api";
import { Mark } from "../frame";
import { navigate } from "../route";
import { join, needsSetup, setUp, signIn } from "../session";
import { Button, Code, Failed, Field, Input, Note, unplaced } from "../ui";
import type { ComponentChildren } from "preact";

function Alone({ title, children }: { title: string; children: ComponentChildren }) {
  useEffect(() => {
    document.title = `${title} · Postyard`;
  }, [title]);
  return (
    <div class="alone">
      <main>
        <Mark />
        <h1>{title}</h1>
        {children}
      </main>
    </div>
  );
}

export function SignIn() {
  const [email, setEmail] = useState("");
  const [password, setPassword] = useState("");
  const action = useAction(() => signIn(email, password));
  return (
    <Alone title="Sign in">
      <form class="card stack" onSubmit={(e) => (e.preventDefault(), void action.run())}>
        <Field label="Email" name="email" error={action.error}><Input value={email} onInput={setEmail} type="email" required autocomplete="username" autofocus /></Field>
        <Field label="Password" name="password" error={action.error}><Input value={password} onInput={setPassword} type="password" required autocomplete="current-password" /></Field>
        {unplaced(action.error, "email", "password") && <Failed error={action.error!} />}
        <Button type="submit" kind="main" busy={action.busy}>Sign in</Button>
      </form>
      {needsSetup() ? <p>Nobody is a member yet. <a href="/setup">Set the dashboard up</a></p> : (
        <details>
          <summary>Forgotten the password?</summary>
          <div class="stack-tight">
            <p class="quiet">An owner makes you another invitation under Members, or an operator does on the server:</p>
            <Code>{`postyard members invitation ${email || "you@example.com"}`}</Code>
          </div>
        </details>
      )}
    </Alone>
  );
}

export function SetUp() {
  const [form, set] = useState({ accountKey: "", name: "", email: "", password: "" });
  const action = useAction(() => setUp({ ...form, accountKey: form.accountKey.trim() }));
  const input = (key: keyof typeof form) => ({ value: form[key], onInput: (v: string) => set((f) => ({ ...f, [key]: v })) });
  return (
    <Alone title="Set the dashboard up">
      <p class="quiet">You become the first owner, and invite others. The account's API key proves that the server is yours: it was printed when the server started for the first time.</p>
      <form class="card stack" onSubmit={(e) => (e.preventDefault(), void action.run())}>
        <Field label="API key of the account" name="accountKey" error={action.error}><Input {...input("accountKey")} type="password" required autocomplete="off" autofocus /></Field>
        <Field label="Your name" name="name" error={action.error}><Input {...input("name")} required autocomplete="name" /></Field>
        <Field label="Email" name="email" error={action.error}><Input {...input("email")} type="email" required autocomplete="username" /></Field>
        <Field label="Password" name="password" hint="10 characters or more" error={action.error}><Input {...input("password")} type="password" required minLength={10} autocomplete="new-password" /></Field>
        {unplaced(action.error, ...Object.keys(form)) && <Failed error={action.error!} />}
        <Button type="submit" kind="main" busy={action.busy}>Set up</Button>
      </form>
      <p><a href="/signin">Sign in instead</a></p>
    </Alone>
  );
}

/** Where the link of an invitation leads: the token stands behind #, so that no server or proxy logs it. */
export function Join() {
  const [token] = useState(() => location.hash.slice(1));
  const [password, setPassword] = useState("");
  const action = useAction(async () => {
    await join(token, password);
    navigate("/", true);
  });
  return (
    <Alone title="Join">
      {!token ? <Note tone="bad">The link is not whole: the invitation stands behind the # of it.</Note> : (
        <form class="card stack" onSubmit={(e) => (e.preventDefault(), void action.run())}>
          <Field label="Choose a password" name="password" hint="10 characters or more" error={action.error}><Input value={password} onInput={setPassword} type="password" required minLength={10} autocomplete="new-password" autofocus /></Field>
          {unplaced(action.error, "password") && <Failed error={action.error!} />}
          <Button type="submit" kind="main" busy={action.busy}>Join</Button>
        </form>
      )}
    </Alone>
  );
}
