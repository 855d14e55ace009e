import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useKeys } from "../keys";
import { navigate } from "../route";

export interface Column<T> {
  name: string;
  cell: (row: T) => ComponentChildren;
  /** Numbers stand at the end. */
  end?: boolean;
}

interface TableProps<T> {
  label: string;
  rows: T[];
  columns: Column<T>[];
  keyOf: (row: T) => string | number;
  /** Where a row leads: by click, by Enter. The first column should hold the link itself, for those who use neither. */
  href?: (row: T) => string;
  empty?: ComponentChildren;
  /** On narrow screens rows become cards; wide numeric tables rather scroll. */
  scroll?: boolean;
}

/** A list: j and k walk through its rows, Enter follows. */
export function Table<T>({ label, rows, columns, keyOf, href, empty, scroll }: TableProps<T>) {
  const [chosen, choose] = useState(-1);
  const body = useRef<HTMLTableSectionElement>(null);
  const go = (step: number) => choose((n) => Math.max(0, Math.min(rows.length - 1, n + step)));
  useKeys(href && rows.length ? { j: ["next row", () => go(1)], k: ["previous row", () => go(-1)], Enter: ["open the row", () => rows[chosen] && navigate(href(rows[chosen]!))] } : {});
  useEffect(() => {
    if (chosen >= 0) body.current?.children[chosen]?.scrollIntoView({ block: "nearest" });
  }, [chosen]);
  if (rows.length === 0 && empty) return <>{empty}</>;
  return (
    <div class="table-wrap" tabIndex={scroll ? 0 : undefined} role={scroll ? "region" : undefined} aria-label={scroll ? label : undefined}>
      <table class={scroll ? "table" : "table table-cards"} aria-label={label}>
        <thead>
          <tr>
            {columns.map((c) => (
              <th key={c.name} scope="col" class={c.end ? "end" : undefined}>{c.name}</th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {rows.map((row, i) => (
            <tr key={keyOf(row)} data-link={href ? "" : undefined} data-chosen={i === chosen ? "" : undefined} onClick={href && ((e) => follow(e, href(row)))}>
              {columns.map((c) => (
                <td key={c.name} data-label={c.name} class={c.end ? "end num" : undefined}>{c.cell(row)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** A click beside the links and buttons of a row follows the row, unless a text was being selected. */
function follow(e: MouseEvent, href: string) {
  if ((e.target as Element).closest("a, button, input, select, label, summary") || String(getSelection())) return;
  navigate(href);
}
