import { useEffect, useId, useMemo, useRef, useState } from "preact/hooks";
import { get, type Refusal, useGet } from "../api";
import { instant, plural } from "../format";
import { mailboxes, toneOf } from "../mail";
import { useFilters } from "../route";
import type * as Schema from "../schema";
import { Button, Code, Empty, Failed, Page, Progress, Status, Table, Until, When } from "../ui";

/** The words of a search, as docs/search.md has them. */
const words: [word: string, value: string, example: string][] = [
  ["to:", "an address, @ and a domain, or a part", "to:@gmail.com"],
  ["from:", "the sender: an address, @ and a domain, or a part of address or name", "from:@example.com"],
  ["subject:", "a part of the subject as it was sent to us", 'subject:"your invoice"'],
  ["status:", "where it stands now", "status:bounced"],
  ["provider:", "a kind, a name or an id: who has it, or whom it waits for", "provider:postmark"],
  ["mailbox:", "the recipient's mailbox provider", "mailbox:gmail"],
  ["pool:", "an IP pool", "pool:default"],
  ["subaccount:", "a sub-account", "subaccount:shop"],
  ["group:", "a group", "group:welcome"],
  ["mark:", "may be a duplicate (resent) or lost (unconfirmed)", "mark:resent"],
  ["since:", "how long ago, or a day", "since:2h"],
  ["until:", "the same", "until:2026-11-26"],
  ["id:", "a message's id", "id:0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000"],
];

const statuses = ["pending", "waiting", "sending", "unknown", "sent", "delivered", "bounced", "dropped", "opened", "clicked"];
const times = ["1h", "2h", "24h", "7d", "today", "yesterday"];

/** Finds messages by what a person types into one box. */
export function Messages(_: { id: string }) {
  const [filters, set] = useFilters();
  const q = filters.q ?? "";
  const found = useSearchPages(q);
  return (
    <Page title="Messages" about="Everything that was accepted, newest first.">
      <Box q={q} onSearch={(text) => (text === q ? found.again() : set({ q: text }))} error={found.error?.field === "q" ? found.error : undefined} />
      {found.error && found.error.field !== "q" && <Failed error={found.error} retry={found.again} />}
      {!(found.error?.field === "q") && (
        <section class="card card-flush" aria-label="Messages" aria-busy={found.busy && found.rows.length === 0 ? true : undefined}>
          <Table label="Messages" rows={found.rows} keyOf={(m) => m.id} href={(m) => `/messages/${m.id}`}
            empty={found.busy || found.more ? undefined : q ? <Empty title="No message has all of this"><p class="quiet">Take a word away, or look further back with since:.</p></Empty> : <First />}
            columns={[
              { name: "Submitted", cell: (m) => <a href={`/messages/${m.id}`}><When at={m.submittedAt} /></a> },
              { name: "Status", cell: (m) => <State m={m} /> },
              { name: "To", cell: (m) => <bdi class="break">{m.to.email}</bdi> },
              { name: "Subject", cell: (m) => <Subject m={m} /> },
              { name: "Provider", cell: (m) => <bdi>{m.provider || "–"}</bdi> },
              { name: "Last", cell: (m) => <Last m={m} /> },
            ]} />
          <div class="more" aria-live="polite">
            {found.busy && <Progress label={found.back ? `looked back to ${instant(found.back)}` : "Looking…"} />}
            {found.busy ? <Button small onClick={found.stop}>Stop</Button> : found.more && <Button onClick={found.next}>Look further</Button>}
            {!found.busy && found.rows.length > 0 && <span class="small quiet">{plural(found.rows.length, "message")}{found.more && found.back ? `, looked back to ${instant(found.back)}` : ""}</span>}
            {!found.busy && found.rows.length === 0 && found.more && <span class="small quiet">Nothing was found back to {instant(found.back)}.</span>}
          </div>
        </section>
      )}
    </Page>
  );
}

const First = () => (
  <Empty title="No mail was sent yet">
    <p class="quiet">Send the first message with a sub-account's key:</p>
    <Code>{`postyard send --from you@example.com --to someone@example.net --subject Hello`}</Code>
  </Empty>
);

const State = ({ m }: { m: Schema.Hit }) => (
  <span class="row">
    <Status tone={toneOf(m.state)}>{m.state}</Status>
    {m.mark && <Status tone="warn">{m.mark}</Status>}
    {m.clicked ? <Status tone="calm">clicked</Status> : m.opened && <Status tone="calm">opened</Status>}
  </span>
);

const Subject = ({ m }: { m: Schema.Hit }) =>
  m.subject ? <span class="lines" dir="auto">{m.subject}</span> : m.template ? <span class="quiet">template <bdi>{m.template}</bdi></span> : <span class="quiet">no subject</span>;

const Last = ({ m }: { m: Schema.Hit }) =>
  m.waiting ? (
    <span class="small"><span class="lines" dir="auto">{m.waiting}</span>{m.dueAt > 0 && <> <Until at={m.dueAt} /></>}</span>
  ) : m.lastEvent ? (
    <span class="small" title={m.lastEvent.name}><When at={m.lastEvent.at} />{m.lastEvent.words && <span class="lines" dir="auto">{m.lastEvent.words}</span>}</span>
  ) : null;

const pageSize = 50;

/** Pages of a search. It goes on by itself until a page is full, the end is reached, or it is stopped. */
function useSearchPages(q: string) {
  const [state, setState] = useState<{ q?: string; rows: Schema.Hit[]; cursor: string; back: number; busy: boolean; error?: Refusal }>({ rows: [], cursor: "", back: 0, busy: true });
  const stop = useRef<AbortController | undefined>(undefined);
  const read = async (before: string, rows: Schema.Hit[]) => {
    stop.current?.abort();
    const mine = (stop.current = new AbortController());
    const full = rows.length + pageSize;
    setState((s) => ({ q, rows, cursor: before, back: before ? s.back : 0, busy: true }));
    try {
      for (;;) {
        const page = await get<Schema.Search>("/account/message", { q, before, limit: full - rows.length }, { signal: mine.signal });
        rows = [...rows, ...page.messages];
        before = page.cursor;
        const busy = page.more && rows.length < full;
        setState({ q, rows, cursor: page.more ? before : "", back: page.lookedBackTo, busy });
        if (!busy) return;
      }
    } catch (e) {
      const stopped = (e as Error).name === "AbortError";
      if (!stopped || stop.current === mine) setState((s) => ({ ...s, busy: false, error: stopped ? undefined : (e as Refusal) }));
    }
  };
  useEffect(() => {
    void read("", []);
    return () => {
      const last = stop.current;
      stop.current = undefined;
      last?.abort();
    };
  }, [q]);
  const mine = state.q === q;
  return {
    rows: mine ? state.rows : [], busy: !mine || state.busy, error: mine ? state.error : undefined, more: mine && state.cursor !== "", back: mine ? state.back : 0,
    next: () => void read(state.cursor, state.rows), again: () => void read("", []), stop: () => stop.current?.abort(),
  };
}

/** The box, with what may come next below it. */
function Box({ q, onSearch, error }: { q: string; onSearch: (text: string) => void; error?: Refusal }) {
  const [text, setText] = useState(q);
  const [open, setOpen] = useState(false);
  const [chosen, choose] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  useEffect(() => setText(q), [q]);
  const names = useNames();
  const term = /\S*$/.exec(text)![0];
  const list = useMemo(() => suggestions(term, names), [term, names]);
  const take = (s: string) => {
    const next = text.slice(0, text.length - term.length) + s;
    setText(s.endsWith(":") ? next : next + " ");
    choose(-1);
    input.current?.focus();
  };
  const shown = open && list.length > 0;
  const key = (e: KeyboardEvent) => {
    if (e.key === "ArrowDown" && shown) choose((n) => Math.min(list.length - 1, n + 1));
    else if (e.key === "ArrowUp" && shown) choose((n) => Math.max(-1, n - 1));
    else if ((e.key === "Enter" || e.key === "Tab") && shown && chosen >= 0) take(list[chosen]!);
    else if (e.key === "Escape" && shown) setOpen(false);
    else return;
    e.preventDefault();
    e.stopPropagation();
  };
  return (
    <form role="search" class="stack-tight" onSubmit={(e) => (e.preventDefault(), setOpen(false), onSearch(text.trim()))}>
      <div class="row search-row">
        <div class="suggest">
          <input ref={input} data-search type="search" role="combobox" list={undefined} aria-label="Search messages" aria-expanded={shown} aria-controls={`${id}-list`} aria-autocomplete="list"
            aria-activedescendant={chosen >= 0 && shown ? `${id}-${chosen}` : undefined} aria-invalid={error ? "true" : undefined} aria-describedby={error ? `${id}-wrong` : undefined}
            value={text} placeholder="to:@gmail.com status:bounced since:2h" autocomplete="off" spellcheck={false} maxLength={1000} dir="auto"
            onInput={(e) => (setText(e.currentTarget.value), choose(-1), setOpen(true))} onFocus={() => setOpen(true)} onBlur={() => setOpen(false)} onKeyDown={key} />
          <ul id={`${id}-list`} role="listbox" aria-label="What may come next" hidden={!shown}>
            {list.map((s, i) => (
              <li key={s} id={`${id}-${i}`} role="option" aria-selected={i === chosen} onMouseDown={(e) => (e.preventDefault(), take(s))}>
                <code>{s}</code> <span class="small quiet">{words.find((w) => w[0] === s)?.[1]}</span>
              </li>
            ))}
          </ul>
        </div>
        <Button type="submit" kind="main">Search</Button>
      </div>
      {error && <p class="wrong" id={`${id}-wrong`} role="alert" dir="auto">{error.message}</p>}
      <details>
        <summary class="small">The words of a search</summary>
        <dl class="facts small words">
          {words.map(([word, value, example]) => [
            <dt key={word}><code>{word}</code></dt>,
            <dd key={word + "-is"}>{value}{word === "status:" && `: ${statuses.join(", ")}`} – <button type="button" class="button button-bare button-small" onClick={() => (setText(`${text.trim()} ${example} `.trimStart()), input.current?.focus())}><code>{example}</code></button></dd>,
          ])}
        </dl>
        <p class="small quiet">All words must hold. A minus turns a word round (-status:delivered); commas are alternatives (status:bounced,dropped); values with spaces stand in quotes.</p>
      </details>
    </form>
  );
}

/** What things are called in this account. */
function useNames() {
  const tpsps = useGet<Schema.Tpsp[]>("/account/tpsp").data;
  const pools = useGet<Schema.Pool[]>("/account/ippool").data;
  const subs = useGet<Schema.SubAccount[]>("/account/subaccount").data;
  return useMemo((): Record<string, string[]> => ({
    "provider:": ["postmark", "sendgrid", "ses", "custom-smtp", ...(tpsps ?? []).map((t) => t.name)], "pool:": (pools ?? []).map((p) => p.name),
    "subaccount:": (subs ?? []).map((s) => s.name), "status:": statuses, "mailbox:": mailboxes.map(([key]) => key), "mark:": ["resent", "unconfirmed"], "since:": times, "until:": times,
  }), [tpsps, pools, subs]);
}

const quoted = (v: string) => (/[\s,"]/.test(v) ? `"${v.replace(/["\\]/g, "\\$&")}"` : v);

/** What a term may become: a word, or a value of its word. */
function suggestions(term: string, names: Record<string, string[]>): string[] {
  const minus = term.startsWith("-") ? "-" : "";
  const bare = term.slice(minus.length);
  const colon = bare.indexOf(":");
  if (colon < 0) return words.map((w) => w[0]).filter((w) => w.startsWith(bare.toLowerCase())).map((w) => minus + w).slice(0, 8);
  const word = bare.slice(0, colon + 1).toLowerCase();
  const values = bare.slice(colon + 1);
  const comma = values.lastIndexOf(",") + 1;
  const typed = values.slice(comma).replace(/^"/, "").toLowerCase();
  return (names[word] ?? []).filter((v) => v.toLowerCase().startsWith(typed) && v.toLowerCase() !== typed).slice(0, 8).map((v) => minus + word + values.slice(0, comma) + quoted(v));
}
