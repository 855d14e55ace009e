import { Page } from "../ui";

export const Members = (_: { id: string }) => <Page title="Members" />;
