import { Page } from "../ui";

export const Messages = (_: { id: string }) => <Page title="Messages" />;
