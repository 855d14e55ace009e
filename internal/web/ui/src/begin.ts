// Runs as a part of the page, before it is painted: what is seen first has the right colours.
import { applyTheme } from "./theme";

applyTheme();
