import { render } from "preact";
import { App } from "./app";
import { pressed } from "./keys";
import { followLinks } from "./route";
import { loadSession } from "./session";
import { applyTheme } from "./theme";
import "./style/index.css";

applyTheme();
addEventListener("click", followLinks);
addEventListener("keydown", pressed);
void loadSession();

const root = document.getElementById("app")!;
root.replaceChildren();
render(<App />, root);
