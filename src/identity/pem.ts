/** PEM (RFC 7468) as it is made here, and as strangers may send it. */

const LINE = /.{1,64}/g;

export function encodePem(label: string, der: Uint8Array): string {
  const lines = Buffer.from(der).toString("base64").match(LINE) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

/** One block, with nothing but white space around it. Throws a TypeError for anything else. */
export function decodePem(label: string, text: string): Buffer {
  const [begin, end] = [`-----BEGIN ${label}-----`, `-----END ${label}-----`];
  const block = text.trim();
  if (!block.startsWith(begin) || !block.endsWith(end)) {
    throw new TypeError(`not one PEM block "${label}"`);
  }
  const body = block.slice(begin.length, -end.length).replace(/[\r\n\t ]/g, "");
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(body)) {
    throw new TypeError(`the PEM block "${label}" holds more than base64`);
  }
  return Buffer.from(body, "base64");
}

/** All blocks of this label, each as PEM; text around them is left out, as in files of bundles. */
export function splitPem(label: string, text: string): string[] {
  const [begin, end] = [`-----BEGIN ${label}-----`, `-----END ${label}-----`];
  const blocks: string[] = [];
  for (let at = text.indexOf(begin); at >= 0; at = text.indexOf(begin, at)) {
    const stop = text.indexOf(end, at);
    if (stop < 0) throw new TypeError(`a PEM block "${label}" does not end`);
    blocks.push(`${text.slice(at, stop + end.length)}\n`);
    at = stop + end.length;
  }
  return blocks;
}
