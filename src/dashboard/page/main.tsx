import { render } from "preact";
import { App } from "./app.tsx";
import { readTheme, setTheme } from "./parts/theme.ts";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/parts.css";
import "./styles/graph.css";

setTheme(readTheme());
const root = document.getElementById("app");
if (root !== null) render(<App />, root);
