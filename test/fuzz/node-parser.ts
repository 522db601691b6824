/** What Node's own parser (llhttp) read of a request. */
export interface SeenRequest {
  start: string;
  body: string;
  complete: boolean;
}

type Callback = (...args: never[]) => unknown;

interface Parser {
  [event: number]: Callback;
  initialize(type: number, resource: object, maxHeaderBytes: number, lenient: number): void;
  execute(bytes: Buffer): unknown;
  close(): void;
}

interface ParserConstructor {
  new (): Parser;
  readonly REQUEST: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
  readonly kLenientAll: number;
  readonly kLenientNone: number;
}

// Without a declaration, because it is not meant for programs; it is what node:http reads every connection with.
const { HTTPParser, methods } = process.getBuiltinModule("_http_common" as "http") as unknown as {
  readonly HTTPParser: ParserConstructor;
  readonly methods: readonly string[];
};

const MAX_HEADER_BYTES = 65_536;
/** The content follows, whatever the head says about an upgrade. */
const GO_ON = 0;

/** The requests that Node finds in bytes of a connection, up to the first that it refuses. */
export function requestsOf(text: string, { lenient = false } = {}): SeenRequest[] {
  const seen: SeenRequest[] = [];
  const parser = new HTTPParser();
  const leniency = lenient ? HTTPParser.kLenientAll : HTTPParser.kLenientNone;
  parser.initialize(HTTPParser.REQUEST, {}, MAX_HEADER_BYTES, leniency);
  // With many fields, and behind trailers, the parser gives the URL before the rest, and only once.
  let early = "";
  parser[HTTPParser.kOnHeaders] = (_fields: unknown, url: string) => {
    if (url !== "") early = url;
  };
  parser[HTTPParser.kOnHeadersComplete] = (
    _major: number,
    _minor: number,
    _fields: unknown,
    method: number,
    url: string | undefined,
  ) => {
    seen.push({ start: `${methods[method]} ${url ?? early}`, body: "", complete: false });
    return GO_ON;
  };
  parser[HTTPParser.kOnBody] = (bytes: Buffer) => {
    seen[seen.length - 1]!.body += bytes.toString("latin1");
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    seen[seen.length - 1]!.complete = true;
  };
  parser.execute(Buffer.from(text, "latin1"));
  parser.close();
  return seen;
}
