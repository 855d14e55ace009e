// Limits of a provider, edited where they stand and in force at once, with how much of them is taken.
import { useEffect, useRef, useState } from "preact/hooks";
import { put, useAction } from "../api";
import { count } from "../format";
import type { Tpsp } from "../schema";
import { useMayChange } from "../session";
import { Button, Meter, Select, toast } from "../ui";
import { mailboxes, mailboxName } from "../mail";

export function Limits({ tpsp, onChange }: { tpsp: Tpsp; onChange: (t: Tpsp) => void }) {
  const may = useMayChange();
  const [added, setAdded] = useState<string[]>([]);
  const usage = tpsp.usage?.mailboxes ?? {};
  const shown = mailboxes.map(([k]) => k).filter((k) => tpsp.mailboxLimits[k] || usage[k] || added.includes(k));
  const rest = mailboxes.filter(([k]) => !shown.includes(k));
  const path = `/account/tpsp/${tpsp.id}`;
  return (
    <div class="limits" role="group" aria-label={`Limits of ${tpsp.name}`}>
      <Limit label="All mail, an hour" field="ratePerHour" value={tpsp.ratePerHour} taken={tpsp.usage?.total} max={100_000_000} provider={tpsp.name}
        save={async (n) => onChange(await put<Tpsp>(path, { ratePerHour: n }))} />
      {shown.map((k) => (
        <Limit key={k} label={mailboxName(k)} field={`mailboxLimits.${k}`} value={tpsp.mailboxLimits[k] ?? 0} taken={usage[k]} max={100_000} provider={tpsp.name} fresh={added.includes(k)}
          save={async (n) => onChange(await put<Tpsp>(path, { mailboxLimits: { [k]: n } }))} />
      ))}
      {may && (
        <Select value="" aria-label={`Limit a mailbox provider of ${tpsp.name}`} onChange={(k) => k && setAdded([...added, k])}
          options={[["", "Limit a mailbox provider…"], ...rest]} />
      )}
    </div>
  );
}

interface LimitProps {
  label: string;
  field: string;
  provider: string;
  value: number; // 0: none
  taken: number | undefined;
  max: number;
  fresh?: boolean;
  save: (n: number) => Promise<void>;
}

/** One limit. It is saved by Enter, and when the field is left. */
function Limit({ label, field, provider, value, taken, max, fresh, save }: LimitProps) {
  const may = useMayChange();
  const [text, setText] = useState(value ? String(value) : "");
  const [editing, setEditing] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const left = useRef(false);
  useEffect(() => {
    if (!editing) setText(value ? String(value) : "");
  }, [value, editing]);
  useEffect(() => {
    if (fresh) input.current?.focus();
  }, []);
  const saving = useAction(async (n: number) => {
    await save(n);
    setEditing(false);
    toast(n ? `${label} of ${provider}: ${count(n)} an hour, in force now.` : `${label} of ${provider}: no limit.`);
  });
  const wanted = Number(text || 0);
  const dirty = wanted !== value;
  const commit = () => {
    if (!input.current?.checkValidity()) return input.current?.reportValidity();
    if (dirty && !saving.busy) void saving.run(wanted);
    else setEditing(false);
  };
  const giveUp = () => {
    left.current = true; // Escape leaves the field
    saving.clear();
    setEditing(false);
    setText(value ? String(value) : "");
  };
  return (
    <form class="limit" onSubmit={(e) => (e.preventDefault(), commit())}>
      <span class="limit-name">{label}</span>
      {may ? (
        <input ref={input} type="number" min={0} max={max} step={1} value={text} placeholder="no limit" name={field} aria-label={`${label}: limit of ${provider}, messages an hour`} aria-invalid={saving.error ? "true" : undefined}
          onInput={(e) => (setEditing(true), setText(e.currentTarget.value))} onBlur={() => (left.current ? (left.current = false) : commit())} onKeyDown={(e) => e.key === "Escape" && giveUp()} />
      ) : <span class="num">{value ? count(value) : <span class="quiet">no limit</span>}</span>}
      <span class="limit-use">
        {value > 0 && <Meter value={taken ?? 0} max={value} label={`${label}: taken of the limit`} />}
        <span class="small quiet num">{taken === undefined ? "" : value ? `${count(taken)} taken` : `${count(taken)} within an hour`}</span>
      </span>
      {may && dirty && <Button small type="submit" kind="main" busy={saving.busy}>Set</Button>}
      {saving.error && <span class="wrong small" role="alert">{saving.error.message}</span>}
    </form>
  );
}
