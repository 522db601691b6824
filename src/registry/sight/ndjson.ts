/**
 * Reads values of which each is one line of JSON. Throws for a line beyond the limit, and for what is no JSON.
 */
export async function* readNdjson(
  chunks: AsyncIterable<Buffer>,
  maxLineBytes: number,
): AsyncGenerator<unknown> {
  let pending: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      pending.push(chunk.subarray(start, end));
      yield JSON.parse(Buffer.concat(pending).toString("utf8"));
      [pending, sizeBytes, start] = [[], 0, end + 1];
    }
    pending.push(chunk.subarray(start));
    sizeBytes += chunk.length - start;
    if (sizeBytes > maxLineBytes) throw new Error("a line is too long");
  }
  if (sizeBytes > 0) throw new Error("the last line broke off");
}
