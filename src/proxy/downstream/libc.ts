import { createRequire } from "node:module";
import { isIPv6 } from "node:net";
import { constants } from "node:os";
import { canonicalAddress, formatHostPort, type HostPort } from "../../core/address.ts";

/**
 * The few system calls that `node:net` has no option for, through FFI (koffi). Numbers are those of Linux on
 * x86-64 and arm64 (asm-generic/socket.h, linux/in.h, linux/in6.h, linux/netfilter_ipv4.h).
 */
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_REUSEPORT = 15;
const SOL_IP = 0;
const IP_TRANSPARENT = 19;
const SOL_IPV6 = 41;
const IPV6_V6ONLY = 26;
const IPV6_TRANSPARENT = 75;
/** SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST have the same number, at SOL_IP and SOL_IPV6. */
const SO_ORIGINAL_DST = 80;
const F_DUPFD_CLOEXEC = 1030;
const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;

export interface ListenerOptions {
  /** Address to bind; `::` also takes IPv4 (dual stack). */
  readonly address: string;
  readonly port: number;
  /** Accept connections to addresses that are not this host's (TPROXY). */
  readonly transparent: boolean;
  /** Length of the accept queue; the kernel caps it at `net.core.somaxconn`. */
  readonly backlog: number;
}

interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  setsockopt(fd: number, level: number, name: number, value: Buffer, length: number): number;
  getsockopt(fd: number, level: number, name: number, value: Buffer, length: Buffer): number;
  bind(fd: number, address: Buffer, length: number): number;
  listen(fd: number, backlog: number): number;
  getsockname(fd: number, address: Buffer, length: Buffer): number;
  inetPton(family: number, text: string, address: Buffer): number;
  fcntl(fd: number, command: number, argument: number): number;
  close(fd: number): number;
  errno(): number;
}

let loaded: Libc | null = null;

/**
 * A listening TCP socket with SO_REUSEADDR and SO_REUSEPORT, non-blocking, to be given to
 * `server.listen({ fd, backlog })`. Close-on-exec is set: a child gets it only where its `stdio` list names
 * it, and not by way of every other command that is run. Name the backlog again in `listen`: Node calls
 * listen(2) once more with its own default of 511.
 * @throws Error with the call, the name of the error and what to do about it.
 */
export function openListener(options: ListenerOptions): number {
  const libc = load();
  const six = isIPv6(options.address);
  const where = `listener on ${formatHostPort(options.address, options.port)}`;
  const address = socketAddress(libc, options.address, options.port);
  const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = libc.socket(six ? AF_INET6 : AF_INET, type, 0);
  if (fd < 0) throw failure(libc, "socket", where);
  try {
    setOption(libc, fd, SOL_SOCKET, SO_REUSEADDR, 1, `${where}: SO_REUSEADDR`);
    setOption(libc, fd, SOL_SOCKET, SO_REUSEPORT, 1, `${where}: SO_REUSEPORT`);
    if (six) setOption(libc, fd, SOL_IPV6, IPV6_V6ONLY, 0, `${where}: IPV6_V6ONLY`);
    if (options.transparent) {
      const [level, name] = six ? [SOL_IPV6, IPV6_TRANSPARENT] : [SOL_IP, IP_TRANSPARENT];
      setOption(libc, fd, level, name, 1, `${where}: ${six ? "IPV6_" : "IP_"}TRANSPARENT`);
    }
    if (libc.bind(fd, address, address.length) < 0) throw failure(libc, "bind", where);
    if (libc.listen(fd, options.backlog) < 0) throw failure(libc, "listen", where);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** The address and port to which a socket is bound; tells which port 0 became. */
export function boundAddress(fd: number): HostPort {
  const libc = load();
  const [address, length] = addressBuffer();
  if (libc.getsockname(fd, address, length) < 0) throw failure(libc, "getsockname", `fd ${fd}`);
  return readSocketAddress(address);
}

/**
 * A second descriptor for the same socket, close-on-exec. A worker listens on a duplicate, so that its end
 * closes only that: the socket and its accept queue live on for the next worker.
 */
export function duplicateFd(fd: number): number {
  const libc = load();
  const copy = libc.fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) throw failure(libc, "fcntl(F_DUPFD_CLOEXEC)", `fd ${fd}`);
  return copy;
}

/** Closes a descriptor that no Node object owns. */
export function closeFd(fd: number): void {
  const libc = load();
  if (libc.close(fd) < 0) throw failure(libc, "close", `fd ${fd}`);
}

/**
 * Where the client of a redirected connection (netfilter REDIRECT or DNAT) wanted to go. Null where
 * conntrack knows nothing of the connection. A dual-stack socket with an IPv4 peer is asked at SOL_IP:
 * conntrack holds that connection as IPv4.
 */
export function originalDestination(fd: number): HostPort | null {
  const libc = load();
  const level = isIPv4Socket(libc, fd) ? SOL_IP : SOL_IPV6;
  const [address, length] = addressBuffer();
  if (libc.getsockopt(fd, level, SO_ORIGINAL_DST, address, length) === 0) {
    return readSocketAddress(address);
  }
  const { ENOENT, ENOTCONN, ENOPROTOOPT } = constants.errno;
  const code = libc.errno();
  // Without conntrack the option does not exist; a connection that has just ended has left conntrack.
  if (code === ENOENT || code === ENOTCONN || code === ENOPROTOOPT) return null;
  throw failure(libc, "getsockopt(SO_ORIGINAL_DST)", `fd ${fd}`);
}

function load(): Libc {
  if (loaded !== null) return loaded;
  if (process.platform !== "linux") {
    throw new Error(`transparent capture needs Linux; this is ${process.platform}`);
  }
  let koffi: typeof import("koffi");
  try {
    koffi = createRequire(import.meta.url)("koffi");
  } catch (cause) {
    const text = "transparent capture needs the package koffi with its binary for this platform";
    throw new Error(`${text}; run npm ci, or use the explicit proxy port`, { cause });
  }
  // The program itself is linked with the C library, whichever it is (glibc, musl).
  const lib = koffi.load(null);
  const fcntl = lib.func("int fcntl(int fd, int command, ...)");
  loaded = {
    socket: lib.func("int socket(int domain, int type, int protocol)"),
    setsockopt: lib.func(
      "int setsockopt(int fd, int level, int name, void *value, uint32_t length)",
    ),
    getsockopt: lib.func("int getsockopt(int fd, int level, int name, void *value, void *length)"),
    bind: lib.func("int bind(int fd, void *address, uint32_t length)"),
    listen: lib.func("int listen(int fd, int backlog)"),
    getsockname: lib.func("int getsockname(int fd, void *address, void *length)"),
    inetPton: lib.func("int inet_pton(int family, const char *text, void *address)"),
    fcntl: (fd, command, argument) => fcntl(fd, command, "int", argument),
    close: lib.func("int close(int fd)"),
    errno: () => koffi.errno(),
  };
  return loaded;
}

function setOption(
  libc: Libc,
  fd: number,
  level: number,
  name: number,
  value: number,
  where: string,
): void {
  const buffer = Buffer.alloc(4);
  new DataView(buffer.buffer, buffer.byteOffset, 4).setInt32(0, value, true);
  if (libc.setsockopt(fd, level, name, buffer, 4) < 0) throw failure(libc, "setsockopt", where);
}

function socketAddress(libc: Libc, address: string, port: number): Buffer {
  const six = isIPv6(address);
  const buffer = Buffer.alloc(six ? SOCKADDR_IN6_BYTES : SOCKADDR_IN_BYTES);
  buffer.writeUInt16LE(six ? AF_INET6 : AF_INET, 0);
  buffer.writeUInt16BE(port, 2);
  const bytes = buffer.subarray(six ? 8 : 4);
  if (libc.inetPton(six ? AF_INET6 : AF_INET, address, bytes) !== 1) {
    throw new Error(`${JSON.stringify(address)} is no address to listen on`);
  }
  return buffer;
}

function addressBuffer(): [Buffer, Buffer] {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(SOCKADDR_IN6_BYTES, 0);
  return [Buffer.alloc(SOCKADDR_IN6_BYTES), length];
}

function readSocketAddress(buffer: Buffer): HostPort {
  const port = buffer.readUInt16BE(2);
  if (buffer.readUInt16LE(0) === AF_INET) {
    return { host: buffer.subarray(4, 8).join("."), port };
  }
  const groups: string[] = [];
  for (let at = 8; at < 24; at += 2) groups.push(buffer.readUInt16BE(at).toString(16));
  const mapped = groups.slice(0, 6).join(":") === "0:0:0:0:0:ffff";
  if (mapped) return { host: buffer.subarray(20, 24).join("."), port };
  return { host: canonicalAddress(groups.join(":")), port };
}

function isIPv4Socket(libc: Libc, fd: number): boolean {
  const [address, length] = addressBuffer();
  if (libc.getsockname(fd, address, length) < 0) throw failure(libc, "getsockname", `fd ${fd}`);
  return readSocketAddress(address).host.includes(".");
}

const HINTS: Readonly<Record<string, string>> = {
  EPERM: "transparent sockets need root or CAP_NET_ADMIN",
  EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE",
  EADDRINUSE: "another program holds the port, without SO_REUSEPORT or as another user",
  EADDRNOTAVAIL: "the address is not one of this host",
  EAFNOSUPPORT: "this host has no IPv6: bind to an IPv4 address",
  EMFILE: "the limit of open files is reached (ulimit -n)",
};

function failure(libc: Libc, call: string, where: string): Error {
  const code = libc.errno();
  const name =
    Object.entries(constants.errno).find(([, value]) => value === code)?.[0] ?? `${code}`;
  const hint = HINTS[name];
  return new Error(
    `${where}: ${call} failed with ${name}${hint === undefined ? "" : ` (${hint})`}`,
  );
}
