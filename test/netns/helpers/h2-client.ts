/** A client that speaks HTTP/2 with prior knowledge: `{url, count}` sends so many requests at once on one connection. */
import { connect } from "node:http2";
import { answerLines } from "./answer-lines.ts";

interface Question {
  readonly url: string;
  readonly count: number;
}

function ask(session: ReturnType<typeof connect>): Promise<{ status: number; text: string }> {
  const stream = session.request({ ":path": "/x" });
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  let status = 0;
  let text = "";
  stream.on("response", (fields) => {
    status = Number(fields[":status"]);
  });
  stream.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  stream.on("end", () => resolve({ status, text }));
  stream.on("error", reject);
  return promise;
}

answerLines(async ({ url, count }: Question) => {
  const session = connect(url);
  session.on("error", () => undefined);
  try {
    const answers = await Promise.all(Array.from({ length: count }, () => ask(session)));
    return { answers };
  } catch (error) {
    return { answers: [], error: String(error) };
  } finally {
    session.close();
  }
});
