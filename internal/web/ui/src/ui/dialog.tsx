import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { type Refusal, useAction } from "../api";
import { Button } from "./button";
import { Failed } from "./page";

/** A dialog that is open while it is rendered. */
export function Dialog({ title, onClose, wide, children }: { title: string; onClose: () => void; wide?: boolean; children: ComponentChildren }) {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const d = box.current!;
    if (!d.open) d.showModal();
    return () => d.close();
  }, []);
  return (
    <dialog ref={box} class={wide ? "dialog-wide" : undefined} aria-labelledby={id} onCancel={(e) => (e.preventDefault(), onClose())}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  children?: ComponentChildren;
  /** What is done, as the button says it. */
  verb: string;
  bad?: boolean;
  act: () => Promise<unknown>;
  onClose: () => void;
  /** What a refusal offers beyond its words, such as to do it all the same. */
  onRefused?: (e: Refusal) => ComponentChildren;
}

/** Asks before something is done that is not easily taken back. */
export function Confirm({ title, children, verb, bad, act, onClose, onRefused }: ConfirmProps) {
  const action = useAction(act);
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="stack">
        {children}
        {action.error && <Failed error={action.error} />}
        {action.error && onRefused?.(action.error)}
      </div>
      <div class="dialog-end">
        <Button onClick={onClose}>Cancel</Button>
        <Button kind={bad ? "bad" : "main"} busy={action.busy} onClick={async () => (await action.run()) && onClose()}>{verb}</Button>
      </div>
    </Dialog>
  );
}

const shown = new Set<(words: string) => void>();

/** Says that something was done. */
export const toast = (words: string) => shown.forEach((f) => f(words));

export function Toasts() {
  const [list, set] = useState<{ id: number; words: string }[]>([]);
  useEffect(() => {
    let last = 0;
    const timers = new Set<number>();
    const show = (words: string) => {
      const id = ++last;
      set((l) => [...l.slice(-2), { id, words }]);
      timers.add(window.setTimeout(() => set((l) => l.filter((t) => t.id !== id)), 5000));
    };
    shown.add(show);
    return () => {
      shown.delete(show);
      timers.forEach(clearTimeout);
    };
  }, []);
  return (
    <div class="toasts" role="status">
      {list.map((t) => (
        <div key={t.id} class="toast">{t.words}</div>
      ))}
    </div>
  );
}
