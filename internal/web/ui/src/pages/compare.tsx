import { Page } from "../ui";

export const Compare = (_: { id: string }) => <Page title="Compare providers" />;
