import { Page } from "../ui";

export const Overview = (_: { id: string }) => <Page title="Overview" />;
