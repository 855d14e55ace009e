import { render } from "preact";
import { App } from "./app";
import { pressed } from "./keys";
import { followLinks } from "./route";
import { loadSession } from "./session";
import "./style/index.css";

addEventListener("click", followLinks);
addEventListener("keydown", pressed);
void loadSession();

const root = document.getElementById("app")!;
root.replaceChildren();
render(<App />, root);
