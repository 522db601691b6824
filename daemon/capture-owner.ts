import { connect, createServer, type Server } from "node:net";
import { text } from "node:stream/consumers";

/**
 * The capture rules have one owner per network namespace, as the rules themselves do: whoever is bound to
 * this abstract socket (unix(7)). The name is visible in that namespace only, also from containers that
 * share it, and it is free again when the process ends, however that ends.
 */
const NAME = "\0hostmesh-capture";
/** An owner that is busy for longer is not asked who it is. */
const ANSWER_MS = 1_000;
const MAX_ASKING = 16;

/** Somebody else captures in this network namespace. */
export class CaptureTaken extends Error {
  constructor(owner: string) {
    super(`${owner} captures the connections of this host already`);
    this.name = "CaptureTaken";
  }
}

/** The right to install capture rules here. */
export interface CaptureOwnership {
  release(): Promise<void>;
}

/**
 * Takes the capture of this network namespace for this process. `name` is for tests.
 * @throws CaptureTaken where another process has it.
 */
export async function ownCapture(name: string = NAME): Promise<CaptureOwnership> {
  const server = createServer((socket) => {
    // Whoever asks may be gone before it has read the answer.
    socket.on("error", () => socket.destroy());
    socket.end(`${process.pid}\n`);
  });
  server.maxConnections = MAX_ASKING;
  try {
    await listening(server, name);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EADDRINUSE")) throw error;
    throw new CaptureTaken((await captureOwner(name)) ?? "another daemon");
  }
  server.unref();
  return {
    release: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** Who captures here, in words (`the daemon with process id 17`); null: nobody. */
export async function captureOwner(name: string = NAME): Promise<string | null> {
  if (process.platform !== "linux") return null;
  const socket = connect({ path: name });
  socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error("no answer")));
  try {
    const pid = /^(\d{1,10})\n$/.exec(await text(socket))?.[1];
    // In another process id namespace (a container) the number means something there only.
    return pid === undefined ? "another daemon" : `the daemon with process id ${pid}`;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    return code === "ECONNREFUSED" || code === "ENOENT" ? null : "another daemon";
  } finally {
    socket.destroy();
  }
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ path }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}
