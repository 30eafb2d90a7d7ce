// Entry: styles, the screen, and the start.
import { render } from "preact";
import { start, unsupported } from "./app.ts";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/chat.css";
import { App } from "./ui/app.tsx";

const root = document.getElementById("app");
if (root) render(<App />, root);
start().catch(unsupported);
