/** Label of an EndpointSlice: the Service that it is of. */
export const SERVICE_NAME_LABEL = "kubernetes.io/service-name";

/** Topics by which the translations of these kinds depend on each other. */
export const serviceTopic = (namespace: string, name: string) => `Service ${namespace}/${name}`;
export const slicesTopic = (namespace: string, service: string) =>
  `EndpointSlices of ${namespace}/${service}`;
export const endpointsTopic = (namespace: string, name: string) => `Endpoints ${namespace}/${name}`;
export const podTopic = (namespace: string, name: string) => `Pod ${namespace}/${name}`;
export const labelledPodsTopic = (namespace: string, label: string, value: string) =>
  `Pods of ${namespace} with ${label}=${value}`;
export const nodeTopic = (name: string) => `Node ${name}`;
export const namespaceTopic = (name: string) => `Namespace ${name}`;
