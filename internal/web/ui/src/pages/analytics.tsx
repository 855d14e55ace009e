import { Page } from "../ui";

export const Analytics = (_: { id: string }) => <Page title="Analytics" />;
