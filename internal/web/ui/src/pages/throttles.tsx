import { useGet } from "../api";
import { count, instant, plural, short } from "../format";
import { to, useFilters } from "../route";
import type { Lane, Throttle, Wait } from "../schema";
import { mailboxName } from "../mail";
import { Card, Check, Empty, Loaded, Page, Status, Table, Until, When } from "../ui";
import { Rate, State } from "./overview";

export function Throttles(_: { id: string }) {
  const [filters, set] = useFilters();
  const query = { tpspId: filters.tpspId, ipId: filters.ipId };
  const answer = useGet<Throttle[]>("/account/throttles", query, { every: 3000 });
  const only = filters.waiting === "1";
  return (
    <Page title="Throttles" about="How fast mail leaves, lane by lane, and what waits. A lane is the mail through one provider to one mailbox provider; no 60 minutes see more than its limit.">
      <div class="row-between">
        <div class="row">
          <Check checked={only} onChange={(on) => set({ waiting: on ? "1" : "" })}>Only what waits</Check>
          {(filters.tpspId || filters.ipId) && <a class="filter-chip" href={to("/throttles", { waiting: filters.waiting })}><span class="off-screen">All providers instead of </span><bdi class="clip">{name(answer.data, filters)}</bdi> <span aria-hidden="true">×</span></a>}
        </div>
        <Summary list={answer.data} />
      </div>
      <Loaded of={answer}>{(list) => <Egresses list={list} only={only} />}</Loaded>
    </Page>
  );
}

const name = (list: Throttle[] | undefined, f: Record<string, string>) => list?.find((t) => String(t.tpspId) === f.tpspId || String(t.ipId) === f.ipId)?.name ?? "One provider";

function Summary({ list = [] }: { list?: Throttle[] }) {
  const waiting = list.reduce((n, t) => n + t.total.waiting, 0);
  const more = list.some((t) => t.total.more);
  return <span class="quiet small" role="status">{waiting ? `${count(waiting)}${more ? " or more" : ""} ${waiting === 1 ? "message waits" : "messages wait"}` : "Nothing waits"}</span>;
}

function Egresses({ list, only }: { list: Throttle[]; only: boolean }) {
  const wanted = list.filter((t) => !only || t.total.waiting > 0).sort((a, b) => Number(b.total.waiting > 0) - Number(a.total.waiting > 0));
  if (wanted.length === 0) {
    return (
      <Card>
        {list.length
          ? <Empty title="No mail waits"><p class="quiet">What comes leaves at once. When a limit is reached, a provider is away or somebody has paused mail, what waits stands here, with the time at which it leaves.</p></Empty>
          : <Empty title="No provider is connected"><p class="quiet">Limits belong to providers.</p><a class="button button-main" href="/providers/new">Connect a provider</a></Empty>}
      </Card>
    );
  }
  return <>{wanted.map((t) => <Egress key={`${t.tpspId}/${t.ipId}`} t={t} only={only} />)}</>;
}

const page = (t: Throttle) => (t.tpspId ? `/providers/${t.tpspId}` : "");

/** The search of messages that wait in a lane. */
const waitingOf = (t: Throttle, l: Lane) => to("/messages", { q: ["status:queued", `provider:${t.tpspId ? `TPSP_${t.tpspId}` : `IP_${t.ipId}`}`, l.provider && `mailbox:${l.provider}`].filter(Boolean).join(" ") });

function Egress({ t, only }: { t: Throttle; only: boolean }) {
  const lanes = only ? t.lanes.filter((l) => l.waiting > 0) : t.lanes;
  return (
    <section class="card card-flush throttle" aria-label={t.name} data-egress={t.tpspId || `ip-${t.ipId}`}>
      <header>
        <div class="row">
          <h2><bdi>{page(t) ? <a href={page(t)}>{t.name}</a> : t.name}</bdi></h2>
          <State state={t.state} reason={t.reason} />
        </div>
        <div class="row">
          <Rate lane={t.total} name={t.name} />
          {page(t) && <a class="small" href={page(t)}>Limits</a>}
        </div>
      </header>
      {t.reason && t.state !== "ok" && <p class="pad small quiet break" dir="auto">{t.reason}</p>}
      {t.total.freeAt > 0 && <p class="pad row"><Status tone="warn">Limit reached</Status><span>{plural(t.total.ratePerHour, "message")} left within 60 minutes. The next may leave <Until at={t.total.freeAt} /> <span class="quiet num">({instant(t.total.freeAt).slice(11)})</span>.</span></p>}
      <Table label={`Lanes of ${t.name}`} rows={lanes} keyOf={(l) => l.provider} empty={<p class="pad quiet">Nothing left in the last 60 minutes, and nothing waits.</p>} columns={[
        { name: "Mailbox provider", cell: (l) => <a href={to("/analytics", { provider: l.provider, tpspId: t.tpspId || undefined, days: 1 })}>{mailboxName(l.provider)}</a> },
        { name: "Last 60 min", cell: (l) => <Rate lane={l} name={`${t.name} to ${mailboxName(l.provider)}`} /> },
        { name: "Waiting", end: true, cell: (l) => (l.waiting ? <a href={waitingOf(t, l)}>{short(l.waiting)}{l.more ? "+" : ""}</a> : "0") },
        { name: "Oldest", cell: (l) => (l.oldest ? <a href={`/messages/${first(l.waits).messageID}`}><When at={l.oldest} /></a> : <span class="quiet">–</span>) },
        { name: "Why, and until when", cell: (l) => <Why lane={l} /> },
      ]} />
    </section>
  );
}

const first = (waits: Wait[]) => [...waits].sort((a, b) => a.oldest - b.oldest)[0]!;

function Why({ lane }: { lane: Lane }) {
  if (lane.waits.length === 0) {
    if (lane.freeAt) return <span class="small"><Status tone="warn">Limit reached</Status> until <Until at={lane.freeAt} /></span>;
    return <span class="quiet">–</span>;
  }
  return (
    <ul class="whys">
      {lane.waits.map((w) => (
        <li key={w.reason}>
          {lane.waits.length > 1 && <b class="num">{short(w.messages)} </b>}
          <span class="break" dir="auto">{w.ipPoolId ? <a href={`/ippools/${w.ipPoolId}`}>{w.reason}</a> : w.subAccountId ? <a href={`/subaccounts/${w.subAccountId}`}>{w.reason}</a> : w.reason}</span>
          {w.until > 0 && <div class="small quiet">the next leaves <Until at={w.until} /> <span class="num">({instant(w.until).slice(11)})</span></div>}
        </li>
      ))}
    </ul>
  );
}
