import { Page } from "../ui";

export const Throttles = (_: { id: string }) => <Page title="Throttles" />;
