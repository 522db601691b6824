import { testNode } from "./helpers/node-tests.ts";

testNode("calico", "tproxy", { mode: "redirect", reason: /it has no address/, families: [4] });
