import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import test from "node:test";
import { runCli } from "../cli/run.ts";
import { skip } from "../daemon/up-process.ts";
import { until } from "../helpers/until.ts";
import { RoutingStage } from "./routing-stage.ts";

const weights = (blue: number, green: number) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop]
  http:
    - route:
        - { destination: { host: shop, subset: blue }, weight: ${blue} }
        - { destination: { host: shop, subset: green }, weight: ${green} }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: shop }
spec:
  host: shop
  subsets:
    - { name: blue, labels: { version: blue } }
    - { name: green, labels: { version: green } }
`;

/** Clients that ask one after the other on connections that they keep, until they are stopped. */
class Load {
  readonly failures: string[] = [];
  readonly counts: Record<string, number> = {};
  readonly #agent = new Agent({ keepAlive: true });
  readonly #port: number;
  readonly #clients: Promise<void>[];
  #on = true;

  constructor(port: number, clients: number) {
    this.#port = port;
    this.#clients = Array.from({ length: clients }, () => this.#ask());
  }

  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  async stop(): Promise<void> {
    this.#on = false;
    await Promise.all(this.#clients);
    this.#agent.destroy();
  }

  async #ask(): Promise<void> {
    while (this.#on) {
      const body = await this.#one();
      this.counts[body] = (this.counts[body] ?? 0) + 1;
      if (!body.startsWith("shop-")) this.failures.push(body);
    }
  }

  #one(): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const options = { host: "127.0.0.1", port: this.#port, agent: this.#agent, method: "POST" };
    const sent = request({ ...options, headers: { host: "shop" } }, (response) => {
      let text = response.statusCode === 200 ? "" : `${response.statusCode} `;
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on("end", () => resolve(text));
    });
    sent.on("error", (error) => resolve(error.message));
    sent.end("order");
    return promise;
  }
}

test("weights and instances change under load, and no request is lost", { skip }, async (t) => {
  const stage = await RoutingStage.start(t, { workers: 2 });
  await stage.versions("shop", "blue", "green");
  await stage.apply(weights(100, 0));
  const load = new Load(stage.explicit, 8);
  t.after(() => load.stop());
  const more = async (count: number) => {
    const until_ = load.total + count;
    await until(() => load.total >= until_, { what: "the load" });
  };
  await more(100);
  assert.deepEqual(Object.keys(load.counts), ["shop-blue"]);

  // Blue to green, as an operator does it, by the program in a process of its own.
  for (const green of [5, 50, 100]) {
    const args = ["apply", "-f", "-", "--registry", stage.registry];
    const { code, stderr } = await runCli(args, { input: weights(100 - green, green) });
    assert.equal(code, 0, stderr);
    await more(100);
  }
  await stage.settled();
  await more(20);
  const blue = load.counts["shop-blue"];
  await more(200);
  assert.equal(load.counts["shop-blue"], blue, "all goes to green");

  // Instances come and go, and rules are removed and made again, all at once.
  for (let round = 0; round < 5; round++) {
    await stage.instance("shop", `shop-green-${round}`, { meta: { version: "green" } });
    await stage.delete(weights(0, 0));
    await stage.apply(weights(50, 50));
    await stage.call("PUT", `/v1/agent/service/deregister/shop-green-${round}`);
    await more(20);
  }
  await load.stop();
  assert.deepEqual(load.failures, []);
});

test("a weight holds at the next request on a connection that is open", { skip }, async (t) => {
  const stage = await RoutingStage.start(t);
  await stage.versions("shop", "blue", "green");
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const ask = () => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const options = { host: "127.0.0.1", port: stage.explicit, agent, headers: { host: "shop" } };
    const sent = request(options, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on("end", () => resolve(`${text} ${sent.reusedSocket}`));
    });
    sent.on("error", reject);
    sent.end();
    return promise;
  };
  await stage.apply(weights(100, 0));
  assert.equal(await ask(), "shop-blue false");
  for (let round = 0; round < 3; round++) {
    await stage.apply(weights(0, 100));
    assert.equal(await ask(), "shop-green true");
    await stage.apply(weights(100, 0));
    assert.equal(await ask(), "shop-blue true");
  }
});
