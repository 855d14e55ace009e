import { Page } from "../ui";

export const IPPools = (_: { id: string }) => <Page title="IP pools" />;

export const IPPool = (_: { id: string }) => <Page title="IP pool" />;
