import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { freePort } from "../../daemon/free-port.ts";
import { until } from "./until.ts";

/** For `{ skip }`: which of these programs are not installed, or false. */
export function missing(...programs: readonly string[]): string | false {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  const absent = programs.filter(
    (program) => !folders.some((folder) => existsSync(join(folder, program))),
  );
  return absent.length === 0 ? false : `not installed: ${absent.join(", ")}`;
}

export interface ServerProgram {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * nginx with HTTP/2 by prior knowledge, before a server of HTTP/1.1. It holds whole requests back, opens windows only as it reads
 * (`http2_body_preread_size 0`), and knows no trailers of requests.
 */
export function nginx(backend: number): Promise<ServerProgram> {
  return program(["nginx", "-c"], (port, folder) => ({
    more: ["-g", "daemon off; master_process off;"],
    config: `
      pid ${folder}/pid;
      error_log stderr crit;
      events { worker_connections 256; }
      http {
        access_log off;
        client_body_temp_path ${folder}/body;
        proxy_temp_path ${folder}/proxy;
        fastcgi_temp_path ${folder}/fastcgi;
        uwsgi_temp_path ${folder}/uwsgi;
        scgi_temp_path ${folder}/scgi;
        client_max_body_size 0;
        large_client_header_buffers 4 64k;
        http2_body_preread_size 0;
        server {
          listen 127.0.0.1:${port} http2;
          add_trailer x-check nginx always;
          location / {
            proxy_http_version 1.1;
            proxy_buffer_size 64k;
            proxy_buffers 8 64k;
            proxy_pass http://127.0.0.1:${backend};
          }
        }
      }`,
  }));
}

/** HAProxy with HTTP/2 by prior knowledge and a window of 100 bytes, before a server of HTTP/1.1. */
export function haproxy(backend: number): Promise<ServerProgram> {
  return program(["haproxy", "-db", "-f"], (port) => ({
    more: [],
    config: `
global
  tune.bufsize 65536
  tune.h2.initial-window-size 100
defaults
  mode http
  option abortonclose
  timeout connect 5s
  timeout client 20s
  timeout server 20s
listen web
  bind 127.0.0.1:${port} proto h2
  server web 127.0.0.1:${backend}
`,
  }));
}

interface Setup {
  readonly config: string;
  /** Arguments behind the name of the file. */
  readonly more: readonly string[];
}

/** Starts it with a file for it, and waits until it listens. */
async function program(
  [command = "", ...args]: readonly string[],
  setUp: (port: number, folder: string) => Setup,
): Promise<ServerProgram> {
  const folder = await mkdtemp(join(tmpdir(), "h2-program-"));
  const port = await freePort("127.0.0.1", 0);
  const { config, more } = setUp(port, folder);
  const file = join(folder, "config");
  await writeFile(file, config);
  const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };
  const child = spawn(command, [...args, file, ...more], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      said = `${said}${chunk}`.slice(-4_000);
    });
  }
  const close = async (): Promise<void> => {
    await ended(child);
    await rm(folder, { recursive: true, force: true });
  };
  const listens = async () => {
    if (child.exitCode !== null) throw new Error(`${command} has ended: ${said}`);
    return await accepts(port);
  };
  try {
    await until(listens, { what: `${command} at its port` });
  } catch (error) {
    await close();
    throw error;
  }
  return { port, close };
}

async function ended(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await until(() => child.exitCode !== null || child.signalCode !== null, { what: "its end" });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
