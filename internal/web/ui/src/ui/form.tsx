import { cloneElement, type ComponentChildren, type VNode } from "preact";
import { useId } from "preact/hooks";
import type { Refusal } from "../api";

interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  /** The name that refusals call it by: "messageStream". */
  name?: string;
  /** A refusal, shown here when it is about this field. */
  error?: Refusal;
  wide?: boolean;
  /** The input, select or textarea. */
  children: VNode<any>;
}

/** An input with its label, a hint, and what is wrong with it. */
export function Field({ label, hint, name, error, wide, children }: FieldProps) {
  const id = useId();
  const wrong = error && name && matches(error.field, name) ? error.message : "";
  const described = [hint && `${id}-hint`, wrong && `${id}-wrong`].filter(Boolean).join(" ");
  return (
    <div class={wide ? "field field-wide" : "field"}>
      <label for={id}>{label}</label>
      {cloneElement(children, { id, name, "aria-describedby": described || undefined, "aria-invalid": wrong ? "true" : undefined })}
      {hint && <span class="hint" id={`${id}-hint`}>{hint}</span>}
      {wrong && <span class="wrong" id={`${id}-wrong`} role="alert">{wrong}</span>}
    </div>
  );
}

const matches = (field: string, name: string) => field === name || field.startsWith(name + "[") || field.startsWith(name + ".");

/** What a refusal says that belongs to none of the fields that are shown. */
export const unplaced = (error: Refusal | undefined, ...names: string[]) => (error && !names.some((n) => matches(error.field, n)) ? error : undefined);

export const Check = ({ checked, onChange, disabled, children }: { checked: boolean; onChange: (on: boolean) => void; disabled?: boolean; children: ComponentChildren }) => (
  <label class="check">
    <input type="checkbox" checked={checked} disabled={disabled} onChange={(e) => onChange(e.currentTarget.checked)} />
    <span>{children}</span>
  </label>
);

export const Select = ({ value, onChange, options, disabled, ...rest }: { value: string; onChange: (v: string) => void; options: [value: string, name: string][]; disabled?: boolean; [more: string]: unknown }) => (
  <select value={value} disabled={disabled} onChange={(e) => onChange(e.currentTarget.value)} {...rest}>
    {options.map(([v, name]) => (
      <option key={v} value={v}>{name}</option>
    ))}
  </select>
);

export const Input = ({ value, onInput, ...rest }: { value: string; onInput: (v: string) => void; [more: string]: any }) => (
  <input value={value} onInput={(e: any) => onInput(e.currentTarget.value)} {...rest} />
);
