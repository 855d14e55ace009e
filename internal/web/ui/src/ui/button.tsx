import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

interface ButtonProps {
  onClick?: (e: MouseEvent) => void;
  type?: "button" | "submit";
  /** main: what the page is for; bad: what destroys; bare: beside other things. */
  kind?: "main" | "bad" | "bare";
  small?: boolean;
  disabled?: boolean;
  /** It is being done: the button waits. */
  busy?: boolean;
  title?: string;
  label?: string; // for those who cannot see it
  pressed?: boolean;
  children: ComponentChildren;
}

export const Button = ({ onClick, type = "button", kind, small, disabled, busy, title, label, pressed, children }: ButtonProps) => (
  <button type={type} class={["button", kind && `button-${kind}`, small && "button-small"].filter(Boolean).join(" ")} disabled={disabled || busy} aria-busy={busy || undefined}
    aria-label={label} aria-pressed={pressed} title={title} onClick={onClick}>
    {children}
  </button>
);

export const ButtonLink = ({ href, kind, small, children }: { href: string; kind?: "main" | "bare"; small?: boolean; children: ComponentChildren }) => (
  <a href={href} class={["button", kind && `button-${kind}`, small && "button-small"].filter(Boolean).join(" ")}>{children}</a>
);

/** Copies a text, and says that it did. */
export function Copy({ text, label = "Copy", of }: { text: string; label?: string; of?: string }) {
  const [done, setDone] = useState("");
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async () => {
    setDone((await put(text)) ? "Copied" : "Cannot copy");
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => setDone(""), 1600);
  };
  return (
    <button type="button" class="button button-small" onClick={copy} aria-label={of ? `${label} ${of}` : undefined}>
      <span aria-live="polite">{done || label}</span>
    </button>
  );
}

/** The clipboard is there on https and loopback only; elsewhere the old way works. */
async function put(text: string) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** A command or text to be copied. */
export const Code = ({ children }: { children: string }) => (
  <div class="code">
    {children}
    <Copy text={children} />
  </div>
);
