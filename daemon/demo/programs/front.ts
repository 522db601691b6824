import { createServer, get } from "node:http";
import { createInterface } from "node:readline";
import { listenAndAnnounce } from "./announce.ts";
import { dial } from "./dial.ts";
import { endWithParent, numberFrom } from "./lifeline.ts";

/** The shop front: on each request it asks the catalogue, the store and the ticker, all by name. */
const TICKER_PORT = numberFrom("TICKER_PORT", 7000);
const TIMEOUT_MS = 5_000;

function fetchJson(url: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const calling = get(url, { timeout: TIMEOUT_MS }, (response) => {
      response.setEncoding("utf8");
      let body = "";
      response.on("data", (part: string) => {
        body += part;
      });
      response.on("error", reject);
      response.on("end", () => {
        if (response.statusCode === 200) return resolve(JSON.parse(body));
        reject(new Error(`${url} answered ${response.statusCode}: ${body.trim()}`));
      });
    });
    calling.on("timeout", () => calling.destroy(new Error(`${url} timed out`)));
    calling.on("error", reject);
  });
}

async function askTicker(): Promise<string> {
  const socket = await dial("ticker", TICKER_PORT);
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error("ticker timed out")));
  try {
    const answers: string[] = [];
    const failed = new Promise<never>((_, reject) => socket.once("error", reject));
    const talk = (async () => {
      for await (const line of createInterface({ input: socket })) {
        answers.push(line);
        if (answers.length === 1) socket.write("tick\r\n");
        else return line;
      }
      throw new Error(`ticker hung up after ${answers.length} lines`);
    })();
    return await Promise.race([talk, failed]);
  } finally {
    socket.destroy();
  }
}

const server = createServer(async (_request, response) => {
  const [catalog, store, ticker] = await Promise.allSettled([
    fetchJson("http://catalog/items"),
    fetchJson("http://store/stock"),
    askTicker(),
  ]);
  const failed = [catalog, store, ticker].filter((part) => part.status === "rejected");
  response.writeHead(failed.length === 0 ? 200 : 502, { "content-type": "application/json" });
  const show = (part: PromiseSettledResult<unknown>): unknown =>
    part.status === "fulfilled" ? part.value : { error: String(part.reason) };
  const body = { catalog: show(catalog), store: show(store), ticker: show(ticker) };
  response.end(`${JSON.stringify(body)}\n`);
});

endWithParent();
listenAndAnnounce(server);
