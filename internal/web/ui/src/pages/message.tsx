import { Page } from "../ui";

export const Message = (_: { id: string }) => <Page title="Message" />;
