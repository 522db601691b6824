import type { Between, Protocol, Workload } from "../model.ts";
import { grouped } from "./format-figure.ts";

const PROTOCOLS: Readonly<Record<Protocol, string>> = {
  http1: "HTTP/1.1",
  http2: "HTTP/2",
  grpc: "gRPC",
  tcp: "TCP",
};

const BETWEEN: Readonly<Record<Between, string>> = {
  none: "-",
  plain: "plain",
  "mtls-http1": "mTLS, HTTP/1.1",
  "mtls-http2": "mTLS, HTTP/2",
  "mtls-tcp": "mTLS",
};

/** Size of a body as people say it. */
export function formatBody(bytes: number): string {
  if (bytes >= 1_048_576 && bytes % 1_048_576 === 0) return `${bytes / 1_048_576} MiB`;
  return bytes >= 1_024 && bytes % 1_024 === 0 ? `${bytes / 1_024} KiB` : `${bytes} B`;
}

export function formatProtocol(protocol: Protocol): string {
  return PROTOCOLS[protocol];
}

/** A title of rows that all speak the same; HTTP/1.1, which most do, is not said. */
export function titled(title: string, { protocol }: { readonly protocol: Protocol }): string {
  return protocol === "http1" ? title : `${title}, ${formatProtocol(protocol)}`;
}

/** What two proxies speak between them. */
export function formatBetween(between: Between): string {
  return BETWEEN[between];
}

/** `8,000/s`, or `max` where as much as possible was asked for. */
export function formatAskedRate(rate: number | null): string {
  return rate === null ? "max" : `${grouped(rate)}/s`;
}

/** `64 connections`, or `8 connections of 8 streams`. */
export function formatConnections({
  connections,
  streams,
}: Pick<Workload, "connections" | "streams">): string {
  const all = `${connections} ${connections === 1 ? "connection" : "connections"}`;
  return streams === 1 ? all : `${all} of ${streams} streams`;
}

/** `streams of 10 messages`; empty where there is one of each. */
export function formatCall({ call, messages }: Pick<Workload, "call" | "messages">): string {
  const count = `${messages} ${messages === 1 ? "message" : "messages"}`;
  if (call === "server") return `streams of ${count}`;
  return call === "bidi" ? `${count} each way in turn` : "";
}

/** `HTTP/1.1, body 115 B, 64 connections, 8,000/s`. */
export function workloadLabel(workload: Workload): string {
  const { protocol, bodyBytes, rate, services } = workload;
  const call = formatCall(workload);
  const parts = [
    formatProtocol(protocol),
    ...(call === "" ? [] : [call]),
    `body ${formatBody(bodyBytes)}`,
    formatConnections(workload),
    rate === null ? "as fast as answers come" : formatAskedRate(rate),
  ];
  return [...parts, ...(services > 1 ? [`${services} services`] : [])].join(", ");
}
