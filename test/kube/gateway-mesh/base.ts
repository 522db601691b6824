/** The namespace of the services, and one of callers only. */
export const MESH = "gateway-conformance-mesh";
export const CONSUMER = "gateway-conformance-mesh-consumer";

/** What is there in every test: three services over two versions of an application, and a caller elsewhere. */
export const BASE: readonly string[] = [
  serviceYaml("echo", "app: echo", "kubernetes.io/h2c"),
  serviceYaml("echo-v1", "app: echo, version: v1"),
  serviceYaml("echo-v2", "app: echo, version: v2"),
  deploymentYaml(MESH, "v1", "n1"),
  deploymentYaml(MESH, "v2", "n2"),
  deploymentYaml(CONSUMER, "v1", "n2"),
];

/** Only the whole application declares that it is called by HTTP/2; of its versions that must be found out. */
function serviceYaml(name: string, selector: string, grpcProtocol?: string): string {
  const appProtocol = grpcProtocol === undefined ? "" : `, appProtocol: ${grpcProtocol}`;
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${MESH} }
spec:
  selector: { ${selector} }
  ports:
    - { name: http, port: 80, targetPort: 8080, appProtocol: http }
    - { name: http-alt, port: 8080, appProtocol: http }
    - { name: https, port: 443, targetPort: 8443 }
    - { name: tcp, port: 9090 }
    - { name: grpc, port: 7070${appProtocol} }
`;
}

/** On this node: calls within a host and between hosts take different ways. */
function deploymentYaml(namespace: string, version: string, node: string): string {
  return `
apiVersion: apps/v1
kind: Deployment
metadata: { name: echo-${version}, namespace: ${namespace}, labels: { app: echo } }
spec:
  selector: { matchLabels: { app: echo, version: ${version} } }
  template:
    metadata: { labels: { app: echo, version: ${version} } }
    spec:
      nodeSelector: { kubernetes.io/hostname: ${node} }
      containers:
        - name: echo
          image: echo
          ports: [{ containerPort: 8080 }, { containerPort: 7070 }]
`;
}
