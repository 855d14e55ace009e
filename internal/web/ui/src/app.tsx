import { Component, type ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { Blank, Frame } from "./frame";
import { Join, SetUp, SignIn } from "./pages/signin";
import { navigate, usePath } from "./route";
import { match } from "./routes";
import { loadSession, needsSetup, sessionTrouble, useSession } from "./session";
import { Empty, Failed, Note, Page, Toasts } from "./ui";

const outside = ["/signin", "/setup", "/join"];

export function App() {
  const path = usePath();
  const session = useSession();
  const away = session === null && !outside.includes(path);
  useEffect(() => {
    if (away) navigate(needsSetup() ? "/setup" : "/signin?next=" + encodeURIComponent(path + location.search), true);
  }, [away]);
  if (path === "/join") return <Join />;
  if (session === undefined) return <Blank>{sessionTrouble() && <Failed error={sessionTrouble()!} retry={loadSession} />}</Blank>;
  if (session === null) return path === "/setup" ? <SetUp /> : <SignIn />;
  return (
    <>
      <Frame path={path}>
        <Shield key={path}>
          <Current path={path} />
        </Shield>
      </Frame>
      <Toasts />
    </>
  );
}

function Current({ path }: { path: string }) {
  useEffect(() => {
    if (outside.includes(path)) navigate(next(), true);
  }, [path]);
  if (outside.includes(path)) return null;
  const found = match(path);
  if (!found) {
    return (
      <Page title="There is no such page">
        <Empty title="The address may be of something that was deleted.">
          <a href="/">To the overview</a>
        </Empty>
      </Page>
    );
  }
  const { page: Found } = found.route;
  return <Found id={found.id} />;
}

/** Where a person wanted to go before signing in; only to pages of ours. */
function next() {
  const wanted = new URLSearchParams(location.search).get("next") ?? "/";
  return /^\/(?![/\\])/.test(wanted) && match(wanted.split(/[?#]/)[0]!) ? wanted : "/";
}

/** A page that fails does not take the others with it. */
class Shield extends Component<{ children: ComponentChildren }, { failed?: Error }> {
  static getDerivedStateFromError(failed: Error) {
    return { failed };
  }
  render() {
    if (!this.state.failed) return <>{this.props.children}</>;
    return (
      <Page title="This page failed">
        <Note tone="bad">
          <p>It is a fault of the dashboard: mail is not affected. {String(this.state.failed)}</p>
          <p><a href={location.pathname} data-document>Load it again</a></p>
        </Note>
      </Page>
    );
  }
}
