import { Page } from "../ui";

export const NewProvider = (_: { id: string }) => <Page title="Connect a provider" />;
