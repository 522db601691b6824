import type { Config } from "../../src/config/schema.ts";
import { DEMO_INSTANCES, DEMO_PREFIX, TICKER_PORT } from "./application.ts";

/** The line `dashboard:` above it says where the page is. */
const LOOK_AT = [
  "",
  "Look at the dashboard's page: Overview names catalog-slow, and the share that it lost, and store-flaky.",
  "Services > store has the traffic split: move the slider of v2 to 0, and the failures end.",
];

/** What runs, what is slow or flaky, and what to try by hand. */
export function describeDemo(config: Config, privileged: boolean): string {
  const names = DEMO_INSTANCES.map(({ name, note }) => `  ${name.padEnd(15)}${note}`);
  const { explicit } = config.ports;
  const tries = [`curl -x http://127.0.0.1:${explicit} http://front/`];
  if (privileged) {
    tries.push(
      `ip netns exec ${DEMO_PREFIX}client curl -s http://front/`,
      `ip netns exec ${DEMO_PREFIX}client bash -c 'exec 3<>/dev/tcp/ticker/${TICKER_PORT}; echo tick >&3; head -2 <&3'`,
    );
  }
  // Nobody has the command on the PATH in a checkout.
  const command = import.meta.url.endsWith(".ts") ? "npm run -s hostmesh --" : "hostmesh";
  tries.push(`${command} stat catalog`, `${command} check`);
  const page = config.dashboard.enabled === "off" ? [] : LOOK_AT;
  return [
    privileged
      ? "Each program runs in a container of its own (a network namespace) and knows nothing of a proxy."
      : "Nothing is captured here (that needs root on Linux), so there are no containers: the same programs\nrun on loopback ports and use the explicit proxy, which they take from http_proxy.",
    "",
    ...names,
    ...page,
    "",
    "Try by hand:",
    ...tries.map((line) => `  ${line}`),
  ].join("\n");
}
