import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { Answer, Refusal } from "../api";
import { Button } from "./button";
import { Note } from "./status";

interface PageProps {
  title: string;
  /** One sentence below the title. */
  about?: ComponentChildren;
  /** Buttons beside the title. */
  actions?: ComponentChildren;
  children?: ComponentChildren;
}

export function Page({ title, about, actions, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · Postyard`;
  }, [title]);
  return (
    <>
      <header class="head">
        <div class="head-words">
          <h1 class="break" dir="auto">{title}</h1>
          {about && <p class="quiet">{about}</p>}
        </div>
        {actions && <div class="row">{actions}</div>}
      </header>
      <div class="stack">{children}</div>
    </>
  );
}

interface CardProps {
  title?: string;
  actions?: ComponentChildren;
  /** A table or list reaches the card's edges. */
  flush?: boolean;
  children?: ComponentChildren;
}

export const Card = ({ title, actions, flush, children }: CardProps) => (
  <section class={flush ? "card card-flush" : "card"} aria-label={title}>
    {(title || actions) && (
      <header>
        {title ? <h2>{title}</h2> : <span />}
        {actions && <div class="row">{actions}</div>}
      </header>
    )}
    {children}
  </section>
);

export const Failed = ({ error, retry }: { error: Refusal; retry?: () => void }) => (
  <Note tone="bad">
    <p>{error.message}</p>
    {retry && <Button small onClick={retry}>Try again</Button>}
  </Note>
);

/** Shows what was read; until then that it is on its way; or why it could not be read. */
export function Loaded<T>({ of, children }: { of: Answer<T>; children: (data: T) => ComponentChildren }) {
  if (of.data === undefined) return of.error ? <Failed error={of.error} retry={of.reload} /> : <div class="skeleton" aria-busy="true"><span class="off-screen">Loading</span></div>;
  return (
    <>
      {of.error && <Failed error={of.error} retry={of.reload} />}
      {children(of.data)}
    </>
  );
}

/** Long work that cannot tell how far it is. */
export const Progress = ({ label }: { label: string }) => (
  <div role="status" class="stack-tight">
    <span class="small quiet">{label}</span>
    <div class="progress" />
  </div>
);

/** Filters that are taken off by a click: what each is called, its value, and where the page is without it. */
export const Chips = ({ label, chips }: { label: string; chips: [name: string, value: string, without: string][] }) =>
  chips.length === 0 ? null : (
    <ul class="row" aria-label={label}>
      {chips.map(([name, value, without]) => (
        <li key={name}><a class="filter-chip" href={without}><span class="off-screen">Remove the filter </span><span class="quiet">{name}</span> <bdi class="clip">{value}</bdi> <span aria-hidden="true">×</span></a></li>
      ))}
    </ul>
  );

/** A list that is empty teaches the next step. */
export const Empty = ({ title, children }: { title: string; children?: ComponentChildren }) => (
  <div class="empty">
    <h3>{title}</h3>
    {children}
  </div>
);

/** A number with its name; it leads to what it counts. */
export function Tile({ label, value, href, about }: { label: string; value: ComponentChildren; href?: string; about?: ComponentChildren }) {
  const inside = (
    <>
      <div class="tile-label">{label}</div>
      <div class="tile-value">{value}</div>
      {about && <div class="small quiet">{about}</div>}
    </>
  );
  return href ? <a class="tile" href={href}>{inside}</a> : <div class="tile">{inside}</div>;
}

export const Tabs = ({ label, items, current }: { label: string; items: { name: string; href: string; key: string }[]; current: string }) => (
  <nav class="tabs" aria-label={label}>
    {items.map((t) => (
      <a key={t.key} href={t.href} aria-current={t.key === current ? "page" : undefined}>{t.name}</a>
    ))}
  </nav>
);

/** How much of a limit is taken. */
export function Meter({ value, max, label }: { value: number; max: number; label: string }) {
  const share = max > 0 ? Math.min(1, value / max) : 0;
  return (
    <span class="bar-meter" role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={max} aria-valuenow={value}>
      <span class={share >= 1 ? "full" : ""} style={{ width: `${share * 100}%` }} />
    </span>
  );
}
