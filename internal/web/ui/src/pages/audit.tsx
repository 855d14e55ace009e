import { Page } from "../ui";

export const Audit = (_: { id: string }) => <Page title="Audit log" />;
