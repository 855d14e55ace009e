import { Page } from "../ui";

export const Providers = (_: { id: string }) => <Page title="Providers" />;

export const Provider = (_: { id: string }) => <Page title="Provider" />;
