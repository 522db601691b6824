import { after, before, describe } from "node:test";
import { kubeSkipReason } from "../programs.ts";
import { bindingTests, coreTests } from "./core.ts";
import { extendedTests } from "./extended.ts";
import { grpcTests } from "./grpc.ts";
import { redirectTests } from "./redirects.ts";
import { GatewayStage } from "./stage.ts";

describe("Gateway API's tests of a mesh", { skip: kubeSkipReason() }, () => {
  let stage: GatewayStage;
  before(async () => {
    stage = await GatewayStage.create();
  });
  after(() => stage?.destroy());
  const now = () => stage;

  coreTests(now);
  bindingTests(now);
  redirectTests(now);
  extendedTests(now);
  grpcTests(now);
});
