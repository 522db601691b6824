import { createServer, type Server } from "node:net";
import { createInterface } from "node:readline";
import type { EchoAnswer, EchoCall } from "../../netns/helpers/echo-reports.ts";
import type { KubeLab } from "../kube-lab.ts";
import { pathOf } from "../objects.ts";

/** What `apiserver/exec` asks for: a command in a pod, `namespace/name`. */
interface Question {
  readonly pod: string;
  readonly command: readonly string[];
}

interface Answer {
  readonly output: string;
  readonly exit: number;
}

/** Runs the commands of `kubectl exec` that come by this Unix socket: the published tests' client, played by `mesh-echo.ts`. */
export function serveExec(lab: KubeLab, socketPath: string): Server {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    createInterface({ input: socket }).once("line", async (line) => {
      const answer = await run(lab, JSON.parse(line)).catch(
        (error: unknown): Answer => ({ output: `${String(error)}\n`, exit: 1 }),
      );
      socket.end(JSON.stringify(answer));
    });
  });
  return server.listen(socketPath);
}

async function run(lab: KubeLab, { pod, command }: Question): Promise<Answer> {
  const { url, headers, method, count } = wishOf(command);
  const [namespace = ""] = pod.split("/");
  const protocol = url.protocol === "grpc:" ? "grpc" : "http";
  const { host = url.host, ...others } = headers;
  const call: EchoCall = {
    ...{ protocol, address: await addressOf(lab, url.hostname, namespace) },
    ...{ port: Number(url.port || 80), authority: host, method, headers: others },
    path: url.pathname + url.search,
  };
  const script = lab.script(pod);
  const { answers } = await script.ask<{ answers: EchoAnswer[] }>({ ...call, count });
  const isLost = answers.some(({ status }) => status === null || (protocol === "grpc" && status));
  return { output: answers.map((one) => report(one, protocol)).join("\n"), exit: isLost ? 1 : 0 };
}

/** `client URL --method=GET -H name:value --count=N` */
function wishOf([program, target = "", ...flags]: readonly string[]) {
  if (program !== "client") throw new Error(`${program}: not found`);
  const headers: Record<string, string> = {};
  const wish = { url: new URL(target), headers, method: "GET", count: 1 };
  const values = flags.values();
  for (const flag of values) {
    const [name = "", value = ""] = flag.split("=", 2);
    if (name === "--method") wish.method = value;
    else if (name === "--count") wish.count = Number(value);
    else if (name === "-H") {
      const [, field = "", text = ""] = /^([^:]+):(.*)$/.exec(values.next().value ?? "") ?? [];
      headers[field.toLowerCase()] = text;
    } else throw new Error(`unknown flag ${flag}`);
  }
  return wish;
}

/** What the cluster's DNS would say to a pod of the namespace. */
async function addressOf(lab: KubeLab, host: string, own: string): Promise<string> {
  if (/^[\d.]+$/.test(host)) return host;
  const [name = "", namespace = own] = host.split(".");
  const service = await lab.cluster.admin.get(pathOf("v1", "Service", { namespace, name }));
  if (service === null) throw new Error(`${host}: no such host`);
  return service["spec"].clusterIP;
}

/** In the lines that the published tests look for. */
function report({ status, headers, seen }: EchoAnswer, protocol: EchoCall["protocol"]): string {
  const lines = (name: string, fields: EchoAnswer["headers"]) =>
    Object.entries(fields).flatMap(([field, values]) =>
      values.map((value) => `${name}=${field}:${value}`),
    );
  const own = seen === null ? [] : [`Hostname=${seen.hostname}`, `Host=${seen.host}`];
  return [
    `StatusCode=${protocol === "grpc" ? 200 : status}`,
    ...own,
    ...lines("ResponseHeader", headers),
    ...lines("RequestHeader", seen?.headers ?? {}),
    "",
  ].join("\n");
}
