import type { ComponentChildren } from "preact";

/** good: done or healthy; wait: in motion; warn: look at it; bad: act; calm: nothing to do. */
export type Tone = "good" | "wait" | "warn" | "bad" | "calm";

const shapes: Record<Tone, string> = {
  good: "M5 0a5 5 0 1 1 0 10A5 5 0 0 1 5 0z",
  wait: "M5 0a5 5 0 1 1 0 10A5 5 0 0 1 5 0zM4.2 2v3.6l2.6 1.6.8-1.3-1.9-1.2V2z",
  warn: "M5 .4 10 9.6H0z",
  bad: "M0 0h10v10H0z",
  calm: "M5 0a5 5 0 1 1 0 10A5 5 0 0 1 5 0zM5 2a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
};

/** The shape of a status, which tells it without its colour. */
export const Shape = ({ tone }: { tone: Tone }) => (
  <svg viewBox="0 0 10 10" aria-hidden="true">
    <path d={shapes[tone]} fill-rule="evenodd" />
  </svg>
);

export const Status = ({ tone, title, children }: { tone: Tone; title?: string; children: ComponentChildren }) => (
  <span class={`status status-${tone}`} title={title}>
    <Shape tone={tone} />
    {children}
  </span>
);

/** A paragraph that stands out: a warning, a refusal, a success. */
export const Note = ({ tone, children }: { tone: Tone; children: ComponentChildren }) => (
  <div class={`note note-${tone}`} role={tone === "bad" ? "alert" : undefined}>
    <Shape tone={tone} />
    <div>{children}</div>
  </div>
);
