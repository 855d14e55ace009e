import { Page } from "../ui";

export const Events = (_: { id: string }) => <Page title="Events" />;
