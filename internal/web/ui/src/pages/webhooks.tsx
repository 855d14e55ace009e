import { Page } from "../ui";

export const Webhooks = (_: { id: string }) => <Page title="Webhooks" />;

export const Webhook = (_: { id: string }) => <Page title="Webhook" />;
