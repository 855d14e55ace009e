// What stands around every page: the search, the navigation, the profile, and the keys.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { keysNow, useKeys } from "./keys";
import { navigate, to } from "./route";
import { navigation } from "./routes";
import { signOut, useSession } from "./session";
import type { Theme } from "./theme";
import { Button, Dialog, useTheme } from "./ui";

export const Mark = () => (
  <span class="brand">
    <svg viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" fill="#175cb8" />
      <path d="M6 23 26 9M6 9h9M17 23h9" stroke="#fff" stroke-width="3" stroke-linecap="round" fill="none" />
    </svg>
    <span class="brand-name">Postyard</span>
  </span>
);

/** What stands there before anything is known: index.html has the same, painted before this program is loaded. */
export const Blank = ({ children }: { children: ComponentChildren }) => (
  <div class="frame">
    <header class="bar"><Mark /></header>
    <main class="main">{children}</main>
  </div>
);

export function Frame({ path, children }: { path: string; children: ComponentChildren }) {
  const [open, setOpen] = useState(false);
  const [help, setHelp] = useState(false);
  const main = useRef<HTMLElement>(null);
  useEffect(() => setOpen(false), [path]);
  useKeys({
    "/": ["search messages", () => document.querySelector<HTMLInputElement>("[data-search]")?.focus()],
    "?": ["show the keys", () => setHelp(true)],
    Escape: ["close the menu", () => setOpen(false)],
    ...Object.fromEntries(navigation.flatMap((s) => s.places).map((p) => [`g ${p.key}`, [`go to ${p.name}`, () => navigate(p.path)]])),
  });
  return (
    <div class="frame">
      <a class="skip" href="#main" onClick={(e) => (e.preventDefault(), main.current?.focus())}>To the content</a>
      <header class="bar">
        <span class="menu-button">
          <Button kind="bare" label="Menu" pressed={open} onClick={() => setOpen(!open)}>☰</Button>
        </span>
        <a href="/" aria-label="Postyard: overview"><Mark /></a>
        <Search path={path} />
        <Button kind="bare" label="Keys" title="Keys (?)" onClick={() => setHelp(true)}>?</Button>
        <Profile />
      </header>
      <nav class="side" aria-label="Pages" data-open={open ? "" : undefined}>
        {navigation.map((s) => (
          <div key={s.name}>
            <h2>{s.name}</h2>
            {s.places.map((p) => (
              <a key={p.path} href={p.path} aria-current={here(path, p.path) ? "page" : undefined}>{p.name}</a>
            ))}
          </div>
        ))}
      </nav>
      <main class="main" id="main" tabIndex={-1} ref={main}>{children}</main>
      {help && <KeyHelp onClose={() => setHelp(false)} />}
    </div>
  );
}

const here = (path: string, place: string) => path === place || (place !== "/" && path.startsWith(place + "/"));

/** Searches messages from every page; on the page of messages the box there is the one that `/` leads to. */
function Search({ path }: { path: string }) {
  const [q, set] = useState("");
  if (path === "/messages") return <span class="grow" />;
  return (
    <form class="bar-search" role="search" onSubmit={(e) => (e.preventDefault(), navigate(to("/messages", { q })), set(""))}>
      <input data-search type="search" value={q} onInput={(e) => set(e.currentTarget.value)} aria-label="Search messages" placeholder="to:@gmail.com status:bounced since:2h" autocomplete="off" spellcheck={false} />
      <kbd>/</kbd>
    </form>
  );
}

function Profile() {
  const session = useSession()!;
  const menu = useRef<HTMLDivElement>(null);
  const [theme, setTheme] = useTheme();
  const { member, account } = session;
  return (
    <>
      <button type="button" class="avatar" popovertarget="profile" aria-label={`Profile of ${member.name || member.email}`}>{[...(member.name || member.email)][0]?.toUpperCase()}</button>
      <div class="popover" id="profile" popover="auto" ref={menu} onClick={(e) => (e.target as Element).closest("a") && menu.current?.hidePopover()}>
        <div class="who">
          <div><bdi>{member.name || member.email}</bdi></div>
          <div class="small quiet"><bdi>{account.name}</bdi> · {member.role}</div>
        </div>
        <a href="/ippools">IP Pools</a>
        <a href="/members">Members</a>
        <a href="/audit">Audit log</a>
        <a href="/settings">Settings</a>
        <a href="/docs" data-document target="_blank" rel="noopener">API reference</a>
        {(["system", "light", "dark"] as Theme[]).map((t) => (
          <button key={t} type="button" aria-pressed={theme === t} onClick={() => setTheme(t)}>{theme === t ? "✓ " : ""}{{ system: "Colours of the system", light: "Light", dark: "Dark" }[t]}</button>
        ))}
        <button type="button" onClick={() => void signOut()}>Sign out</button>
      </div>
    </>
  );
}

const KeyHelp = ({ onClose }: { onClose: () => void }) => (
  <Dialog title="Keys" onClose={onClose}>
    <dl class="facts">
      {Object.entries(keysNow()).map(([key, [does]]) => [<dt key={key}>{key.split(" ").map((k) => <kbd key={k}>{k}</kbd>)}</dt>, <dd key={key + "-does"}>{does}</dd>])}
    </dl>
    <div class="dialog-end"><Button onClick={onClose}>Close</Button></div>
  </Dialog>
);
