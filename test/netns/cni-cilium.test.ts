import { testNode } from "./helpers/node-tests.ts";

testNode("cilium", "tproxy", { mode: "redirect", reason: /it has no address/, families: [4] });
