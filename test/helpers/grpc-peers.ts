import { createServer } from "node:net";
import {
  type CallOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  type Metadata,
  type MetadataValue,
  Metadata as Sent,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type StatusObject,
  type sendUnaryData,
} from "@grpc/grpc-js";

/** Messages are bytes: nothing here depends on a schema. */
const bytes = (message: Buffer): Buffer => message;
const SERVICE = "hostmesh.test.Echo";
/** Long calls of large messages are wanted; the limits of the library are not what is tested. */
const NO_LIMITS = {
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  "grpc.enable_http_proxy": 0,
};

/** The kinds of calls; a server answers those that it has. */
export interface GrpcHandlers {
  unary?(call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>): void;
  collect?(call: ServerReadableStream<Buffer, Buffer>, done: sendUnaryData<Buffer>): void;
  expand?(call: ServerWritableStream<Buffer, Buffer>): void;
  chat?(call: ServerDuplexStream<Buffer, Buffer>): void;
}

export type GrpcMethod = keyof GrpcHandlers;

const KINDS: Readonly<Record<GrpcMethod, readonly [request: boolean, response: boolean]>> = {
  unary: [false, false],
  collect: [true, false],
  expand: [false, true],
  chat: [true, true],
};

export interface GrpcServer {
  readonly port: number;
  readonly server: Server;
  /** Calls of all methods that have come. */
  calls(): number;
  close(): void;
}

/** A server of grpc-js, on a port of its own of loopback or where it is told. */
export async function grpcServer(
  handlers: GrpcHandlers,
  address = "127.0.0.1:0",
): Promise<GrpcServer> {
  const server = new Server(NO_LIMITS);
  let calls = 0;
  const definition: Record<string, object> = {};
  const counted: Record<string, (...call: unknown[]) => void> = {};
  for (const [name, handle] of Object.entries(handlers)) {
    const [requestStream, responseStream] = KINDS[name as GrpcMethod];
    const codec = {
      ...{ requestSerialize: bytes, requestDeserialize: bytes },
      ...{ responseSerialize: bytes, responseDeserialize: bytes },
    };
    const path = pathOf(name as GrpcMethod);
    definition[name] = { path, requestStream, responseStream, ...codec };
    counted[name] = (...call) => {
      calls += 1;
      (handle as (...all: unknown[]) => void)(...call);
    };
  }
  server.addService(definition as never, counted as never);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { port, server, calls: () => calls, close: () => server.forceShutdown() };
}

/** What a call came to. */
export interface Outcome {
  readonly code: number;
  readonly details: string;
  readonly messages: readonly Buffer[];
  /** Of the response's begin, and of its end. */
  readonly metadata: Metadata | null;
  readonly trailers: Metadata;
}

type AnyCall = ClientReadableStream<Buffer> & { write?(message: Buffer): boolean; end?(): void };

export interface CallSettings extends CallOptions {
  readonly metadata?: Readonly<Record<string, MetadataValue | readonly MetadataValue[]>>;
}

/** A client of grpc-js that takes a port of loopback, or an address with its port, for the service `authority`. */
export class GrpcClient {
  readonly client: Client;

  constructor(place: number | string, authority: string, options: object = {}) {
    const address = typeof place === "number" ? `127.0.0.1:${place}` : place;
    this.client = new Client(address, credentials.createInsecure(), {
      ...NO_LIMITS,
      "grpc.default_authority": authority,
      "grpc.use_local_subchannel_pool": 1,
      // Its own retries would hide what the proxy does.
      "grpc.enable_retries": 0,
      ...options,
    });
  }

  /** One message each way. */
  unary(message: Buffer | string, settings: CallSettings = {}, path = "unary"): Promise<Outcome> {
    const { metadata, ...options } = settings;
    return outcome((done) =>
      this.client.makeUnaryRequest(
        ...([pathOf(path), bytes, bytes, Buffer.from(message)] as const),
        ...([metadataOf(metadata), options, done] as const),
      ),
    );
  }

  /** Many messages there, one back. */
  collect(messages: readonly Buffer[], settings: CallSettings = {}): Promise<Outcome> {
    const { metadata, ...options } = settings;
    return outcome((done) => {
      const sent = metadataOf(metadata);
      const path = pathOf("collect");
      const call = this.client.makeClientStreamRequest(path, bytes, bytes, sent, options, done);
      sendAll(call, messages);
      return call;
    });
  }

  /** One message there, many back. */
  expand(message: Buffer, settings: CallSettings = {}): Promise<Outcome> {
    return ended(this.expanding(message, settings));
  }

  expanding(message: Buffer, settings: CallSettings = {}): ClientReadableStream<Buffer> {
    const { metadata, ...options } = settings;
    const sent = metadataOf(metadata);
    const path = pathOf("expand");
    return this.client.makeServerStreamRequest(path, bytes, bytes, message, sent, options);
  }

  /** Messages both ways, as the caller has it. */
  chat(settings: CallSettings = {}): ClientDuplexStream<Buffer, Buffer> {
    const { metadata, ...options } = settings;
    const sent = metadataOf(metadata);
    return this.client.makeBidiStreamRequest(pathOf("chat"), bytes, bytes, sent, options);
  }

  close(): void {
    this.client.close();
  }
}

/** A method of the test's service, or a whole path. */
export function pathOf(method: string): string {
  return method.startsWith("/") ? method : `/${SERVICE}/${method}`;
}

/** Writes all, as fast as they are taken, and ends. */
export function sendAll(
  call: ClientWritableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>,
  messages: readonly Buffer[],
): void {
  let at = 0;
  const more = (): void => {
    while (at < messages.length) {
      if (!call.write(messages[at++] as Buffer)) {
        call.once("drain", more);
        return;
      }
    }
    call.end();
  };
  more();
}

/** Collects what a call brings until its status has come; a status other than OK is no rejection. */
export function ended(call: AnyCall | ClientDuplexStream<Buffer, Buffer>): Promise<Outcome> {
  return new Promise((resolve) => {
    const messages: Buffer[] = [];
    let metadata: Metadata | null = null;
    call.on("metadata", (one: Metadata) => {
      metadata = one;
    });
    call.on("data", (message: Buffer) => messages.push(message));
    call.on("error", () => undefined);
    call.on("status", ({ code, details, metadata: trailers }: StatusObject) =>
      resolve({ code, details, messages, metadata, trailers }),
    );
  });
}

interface OneAnswer {
  on(event: "metadata", listener: (metadata: Metadata) => void): unknown;
  on(event: "status", listener: (status: StatusObject) => void): unknown;
}

function outcome(
  begin: (done: (error: ServiceError | null, message?: Buffer) => void) => OneAnswer,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const messages: Buffer[] = [];
    let metadata: Metadata | null = null;
    const call = begin((_error, message) => {
      if (message !== undefined) messages.push(message);
    });
    call.on("metadata", (one) => {
      metadata = one;
    });
    call.on("status", ({ code, details, metadata: trailers }) =>
      // The callback comes with or before it.
      setImmediate(() => resolve({ code, details, messages, metadata, trailers })),
    );
  });
}

export function metadataOf(fields: CallSettings["metadata"] = {}): Metadata {
  const metadata = new Sent();
  for (const [name, given] of Object.entries(fields)) {
    for (const value of Array.isArray(given) ? given : [given]) metadata.add(name, value);
  }
  return metadata;
}

/** A port where nobody listens. */
export async function deadPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
