import { Page } from "../ui";

export const SubAccounts = (_: { id: string }) => <Page title="Sub-accounts" />;

export const SubAccount = (_: { id: string }) => <Page title="Sub-account" />;
