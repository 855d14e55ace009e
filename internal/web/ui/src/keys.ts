// Keys of the keyboard: a page says what its keys do, and `?` shows all that work now.
import { useEffect, useRef } from "preact/hooks";

export type Keys = Record<string, [does: string, run: () => void]>;

const stack: { current: Keys }[] = [];

/** What the keys do now; those of inner parts go first. */
export const keysNow = (): Keys => Object.assign({}, ...stack.map((k) => k.current));

/** Has these keys work while the part is shown. */
export function useKeys(keys: Keys) {
  const held = useRef(keys);
  held.current = keys;
  useEffect(() => {
    stack.push(held);
    return () => void stack.splice(stack.indexOf(held), 1);
  }, []);
}

let first = ""; // of two keys, such as "g e"
let firstAt = 0;

/** Runs what a key stands for. Nothing is run while a person types or a dialog is open. */
export function pressed(e: KeyboardEvent) {
  const at = e.target as HTMLElement;
  if (e.ctrlKey || e.metaKey || e.altKey || at.isContentEditable || document.querySelector("dialog[open]")) return;
  if (at.matches("textarea, select, input:not([type=checkbox], [type=radio])")) {
    if (e.key === "Escape") at.blur();
    return;
  }
  if (e.key === "Enter" && at.matches("a, button, summary, input")) return;
  const two = Date.now() - firstAt < 1500 ? `${first} ${e.key}` : "";
  first = e.key;
  firstAt = Date.now();
  const now = keysNow();
  const key = (two && now[two]) || now[e.key];
  if (!key) return;
  e.preventDefault();
  key[1]();
}
