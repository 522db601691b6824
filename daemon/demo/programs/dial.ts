import { request } from "node:http";
import { connect, type Socket } from "node:net";

/**
 * A TCP connection to a named service. As ordinary programs do, it goes through the proxy that the
 * environment names (`http_proxy`, by CONNECT), and directly where none is named.
 */
export function dial(host: string, port: number): Promise<Socket> {
  const proxy = process.env["http_proxy"] ?? "";
  return proxy === "" ? direct(host, port) : throughProxy(new URL(proxy), host, port);
}

function direct(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
    socket.once("error", reject);
  });
}

function throughProxy(proxy: URL, host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const connecting = request({
      host: proxy.hostname,
      port: proxy.port,
      method: "CONNECT",
      path: `${host}:${port}`,
      agent: false,
    });
    connecting.once("error", reject);
    connecting.once("response", (response) => {
      response.resume();
      reject(new Error(`the proxy answered CONNECT with ${response.statusCode}`));
    });
    connecting.once("connect", (response, socket, head) => {
      if (response.statusCode !== 200) {
        socket.destroy();
        return reject(new Error(`the proxy answered CONNECT with ${response.statusCode}`));
      }
      if (head.length > 0) socket.unshift(head);
      resolve(socket as Socket);
    });
    connecting.end();
  });
}
