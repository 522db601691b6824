const ZERO = 0x30;
const QUESTION = 0x3f;
const GET = Buffer.from("GET /", "latin1");
const HEAD_END = Buffer.from("\r\n\r\n", "latin1");
const LINE_END = Buffer.from("\n", "latin1");
const MAX_HEAD_BYTES = 65_536;
const MAX_LINE_BYTES = 32;

/** What a request asks for. */
export interface Asked {
  /** Where it ends in the chunk: behind the head, whose body is to come. */
  end: number;
  /** Size of the body that is asked for. */
  size: number;
  /** Bytes of a body behind the head. */
  bodyBytes: number;
  /** The path has a query: the answer gets a field of its own value. */
  isMarked: boolean;
}

/** Why a request is not understood; the connection is closed. */
export type Refusal = "400 Bad Request" | "404 Not Found" | "411 Length Required";

/**
 * Reads the head that begins at `start` into `asked`. `more`: it is not whole. A GET of a number costs no string; a body
 * of a GET is not looked for, as no proxy makes one up.
 */
export function readRequest(
  chunk: Buffer,
  start: number,
  length: number,
  asked: Asked,
): "whole" | "more" | Refusal {
  const end = endOf(chunk, HEAD_END, start, length);
  if (end === -1) return length - start > MAX_HEAD_BYTES ? "400 Bad Request" : "more";
  asked.end = end;
  asked.bodyBytes = 0;
  for (let at = 0; at < GET.length; at++) {
    if (chunk[start + at] !== GET[at]) return readOther(chunk, start, asked);
  }
  return readSize(chunk, start + GET.length, asked) === -1 ? "404 Not Found" : "whole";
}

/** Behind `length` there may be bytes of earlier reads. */
function endOf(chunk: Buffer, mark: Buffer, start: number, length: number): number {
  const found = chunk.indexOf(mark, start);
  const end = found + mark.length;
  return found === -1 || end > length ? -1 : end;
}

/** Returns where the number ends, or -1 where there is none. */
function readSize(chunk: Buffer, start: number, asked: Asked): number {
  let size = 0;
  let at = start;
  for (; at < asked.end; at++) {
    const digit = (chunk[at] as number) - ZERO;
    if (digit < 0 || digit > 9) break;
    size = size * 10 + digit;
  }
  asked.size = size;
  asked.isMarked = chunk[at] === QUESTION;
  return at > start ? at : -1;
}

function readOther(chunk: Buffer, start: number, asked: Asked): "whole" | Refusal {
  const head = chunk.toString("latin1", start, asked.end);
  const target = /^[A-Z]+ \//.exec(head)?.[0];
  if (target === undefined) return "400 Bad Request";
  if (readSize(chunk, start + target.length, asked) === -1) return "404 Not Found";
  if (/^transfer-encoding:/im.test(head)) return "411 Length Required";
  asked.bodyBytes = Number(/^content-length: *(\d{1,15})\s*$/im.exec(head)?.[1] ?? 0);
  return "whole";
}

/** A line of raw TCP that holds a number: its size and end are put into `asked`. */
export function readLine(
  chunk: Buffer,
  start: number,
  length: number,
  asked: Asked,
): "whole" | "more" | Refusal {
  const end = endOf(chunk, LINE_END, start, length);
  if (end === -1) return length - start > MAX_LINE_BYTES ? "400 Bad Request" : "more";
  asked.end = end;
  asked.bodyBytes = 0;
  return readSize(chunk, start, asked) === end - LINE_END.length ? "whole" : "400 Bad Request";
}
