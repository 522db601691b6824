import { testNode } from "./helpers/node-tests.ts";

testNode("bridge", "redirect", { mode: "tproxy", reason: /bridge-nf-call/, families: [4, 6] });
