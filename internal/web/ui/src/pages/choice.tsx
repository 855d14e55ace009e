import { useGet, type Answer } from "../api";
import { useFilters } from "../route";
import type { SubAccount } from "../schema";
import { Field, Select } from "../ui";

/** The sub-account that a page is about: the one of the address, else the first one. */
export function useSubAccount(): { list: Answer<SubAccount[]>; id: number | undefined } {
  const [f] = useFilters();
  const list = useGet<SubAccount[]>("/account/subaccount");
  const asked = Number(f.subaccount);
  const found = list.data?.find((s) => s.id === asked) ?? (f.subaccount ? undefined : list.data?.[0]);
  return { list, id: found?.id };
}

/** A sub-account by its name, with its page; one that was deleted has none. */
export function SubAccountName({ id }: { id: number }) {
  const of = useGet<SubAccount>(`/account/subaccount/${id}`);
  if (of.error?.status === 404) return <span title="It was deleted.">id {id}, deleted</span>;
  return <a href={`/subaccounts/${id}`} title={`id ${id}`}><bdi class="break">{of.data?.name ?? `id ${id}`}</bdi></a>;
}

/** Chooses the sub-account that a page is about. */
export function SubAccountChoice({ of }: { of: ReturnType<typeof useSubAccount> }) {
  const [, set] = useFilters();
  const options = (of.list.data ?? []).map((s): [string, string] => [String(s.id), s.name]);
  if (of.id === undefined) options.unshift(["", "Choose one"]);
  return (
    <Field label="Sub-account">
      <Select value={String(of.id ?? "")} onChange={(v) => set({ subaccount: v, offset: "" })} options={options} />
    </Field>
  );
}
