import { DEFAULT_NAMESPACE } from "../../src/core/model.ts";
import { DEMO_PREFIX } from "./application.ts";

/** A split to play with: a flaky new version of the store gets a part of its requests until somebody moves the slider. */
const NAME = `${DEMO_PREFIX}store`;
const API_VERSION = "networking.istio.io/v1";
const metadata = { name: NAME, namespace: DEFAULT_NAMESPACE };

const subsetOf = (version: string) => ({ name: version, labels: { version } });
const shareOf = (subset: string, weight: number) => ({
  destination: { host: "store", subset },
  weight,
});

/** Resources that the demo applies. Nothing is tried again: the page is to show what the new version costs. */
export const DEMO_RESOURCES = [
  {
    ...{ apiVersion: API_VERSION, kind: "DestinationRule", metadata },
    spec: { host: "store", subsets: [subsetOf("v1"), subsetOf("v2")] },
  },
  {
    ...{ apiVersion: API_VERSION, kind: "VirtualService", metadata },
    spec: {
      hosts: ["store"],
      http: [{ retries: { attempts: 0 }, route: [shareOf("v1", 80), shareOf("v2", 20)] }],
    },
  },
];

/** Where the registry keeps them, in the order in which they may be removed. */
export const DEMO_RESOURCE_PATHS = DEMO_RESOURCES.toReversed().map(
  ({ kind }) => `/v1/mesh/resources/networking.istio.io/${kind}/${DEFAULT_NAMESPACE}/${NAME}`,
);
