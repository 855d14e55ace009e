import { Page } from "../ui";

export const Suppressions = (_: { id: string }) => <Page title="Suppressions" />;
