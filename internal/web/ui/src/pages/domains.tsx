import { Page } from "../ui";

export const Domains = (_: { id: string }) => <Page title="Domains" />;
