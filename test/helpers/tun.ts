import { constants as files } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";

/** Numbers of Linux on x86-64 and arm64 (linux/if_tun.h, linux/if.h, asm-generic/fcntl.h, asm-generic/poll.h). */
const TUNSETIFF = 0x400454ca;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const IFNAMSIZ = 16;
const IFREQ_BYTES = 40;
const O_CLOEXEC = 0o2000000;
const POLLIN = 1;
const POLLFD_BYTES = 8;
/** Longer than any packet that an interface carries. */
const MAX_PACKET_BYTES = 65_536;

interface Libc {
  open(path: string, flags: number): number;
  ioctl(fd: number, request: number, argument: Buffer): number;
  read(fd: number, into: Buffer, length: number): number;
  write(fd: number, from: Buffer, length: number): number;
  poll(fds: Buffer, count: number, timeoutMs: number): Promise<number>;
  errno(): number;
}

let loaded: Libc | null = null;

/**
 * Layer 3 network interface, made in the namespace of this process, which reads and writes its IP packets. The
 * kernel removes it when the process ends, in whatever namespace it is by then.
 */
export class Tun {
  readonly name: string;
  readonly fd: number;
  readonly #libc: Libc = load();
  readonly #into = Buffer.alloc(MAX_PACKET_BYTES);

  /** @throws Error where there is no /dev/net/tun, or this process lacks CAP_NET_ADMIN. */
  constructor(name: string) {
    if (name.length >= IFNAMSIZ) throw new Error(`${name} is too long for an interface`);
    this.name = name;
    this.fd = this.#libc.open("/dev/net/tun", files.O_RDWR | files.O_NONBLOCK | O_CLOEXEC);
    if (this.fd < 0) throw failure(this.#libc, "open(/dev/net/tun)");
    const request = Buffer.alloc(IFREQ_BYTES);
    request.write(name, "latin1");
    request.writeUInt16LE(IFF_TUN | IFF_NO_PI, IFNAMSIZ);
    if (this.#libc.ioctl(this.fd, TUNSETIFF, request) < 0) {
      throw failure(this.#libc, `ioctl(TUNSETIFF, ${name})`);
    }
  }

  /** A copy of the next packet; null: there is none at present. */
  read(): Buffer | null {
    const length = this.#libc.read(this.fd, this.#into, this.#into.length);
    if (length >= 0) return Buffer.from(this.#into.subarray(0, length));
    const code = this.#libc.errno();
    // EBADFD: it was moved to another namespace, and is down until that is over.
    if ([constants.errno.EAGAIN, constants.errno.EINTR, EBADFD].includes(code)) return null;
    throw failure(this.#libc, `read(${this.name})`);
  }

  /** The packet is lost where the interface is down or has no room, as on any link. */
  write(packet: Buffer): void {
    this.#libc.write(this.fd, packet, packet.length);
  }
}

/** Of linux/errno.h; Node has no name for it. */
const EBADFD = 77;

/** Resolves when one of them has a packet, or after `timeoutMs`. Waits in a thread of its own. */
export async function untilReadable(tuns: readonly Tun[], timeoutMs: number): Promise<void> {
  const fds = Buffer.alloc(POLLFD_BYTES * tuns.length);
  for (const [index, { fd }] of tuns.entries()) {
    fds.writeInt32LE(fd, index * POLLFD_BYTES);
    fds.writeInt16LE(POLLIN, index * POLLFD_BYTES + 4);
  }
  await load().poll(fds, tuns.length, timeoutMs);
}

function load(): Libc {
  if (loaded !== null) return loaded;
  const koffi: typeof import("koffi") = createRequire(import.meta.url)("koffi");
  const lib = koffi.load(null);
  const open = lib.func("int open(const char *path, int flags, ...)");
  const ioctl = lib.func("int ioctl(int fd, unsigned long request, ...)");
  const poll = lib.func("int poll(void *fds, unsigned long count, int timeout)");
  loaded = {
    open: (path, flags) => open(path, flags),
    ioctl: (fd, request, argument) => ioctl(fd, request, "void *", argument),
    read: lib.func("long read(int fd, void *into, size_t length)"),
    write: lib.func("long write(int fd, const void *from, size_t length)"),
    poll: (fds, count, timeoutMs) =>
      new Promise((resolve, reject) => {
        poll.async(fds, count, timeoutMs, (error: Error | null, ready: number) =>
          error === null ? resolve(ready) : reject(error),
        );
      }),
    errno: () => koffi.errno(),
  };
  return loaded;
}

function failure(libc: Libc, call: string): Error {
  const code = libc.errno();
  const names = Object.entries(constants.errno);
  const name = names.find(([, value]) => value === code)?.[0] ?? String(code);
  return new Error(`${call} failed with ${name}`);
}
