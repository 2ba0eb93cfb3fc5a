/**
 * One HTTP request over a connection of its own, sent byte for byte as told, and its answer: for
 * tests of the wire, where a client that improves requests would hide what is tested.
 * Understands what the server sends: a length, chunks, or an end of the connection.
 */

/** An answer; header names in lower case. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Sends one request and reads its answer to the end. */
export async function sendRaw(options: {
  /** host:port. */
  readonly address: string;
  readonly method: string;
  readonly path: string;
  readonly headers: { readonly [name: string]: string };
  readonly body?: string;
}): Promise<RawAnswer> {
  const { address, method, path, headers, body } = options;
  const [hostname = "", port = ""] = address.split(":");
  const payload = new TextEncoder().encode(body ?? "");
  const lines = [`${method} ${path} HTTP/1.1`, `Host: ${address}`, "Connection: close"];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  if (body !== undefined) lines.push(`Content-Length: ${payload.length}`);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const writer = connection.writable.getWriter();
  await writer.write(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
  if (payload.length > 0) await writer.write(payload);
  writer.releaseLock();
  return decode(await readAll(connection), method);
}

async function readAll(connection: Deno.TcpConn): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (;;) {
    const buffer = new Uint8Array(65_536);
    const count = await connection.read(buffer);
    if (count === null) break;
    pieces.push(buffer.subarray(0, count));
  }
  return new Uint8Array(await new Blob(pieces as BlobPart[]).arrayBuffer());
}

function decode(bytes: Uint8Array, method: string): RawAnswer {
  const end = findHeadEnd(bytes);
  const [first = "", ...lines] = new TextDecoder().decode(bytes.subarray(0, end)).split("\r\n");
  const headers = new Map(lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  }));
  const rest = bytes.subarray(end + 4);
  const chunked = headers.get("transfer-encoding") === "chunked" && method !== "HEAD";
  const body = new TextDecoder().decode(chunked ? joinChunks(rest) : rest);
  return { status: Number(first.split(" ")[1]), headers, body };
}

function findHeadEnd(bytes: Uint8Array): number {
  for (let at = 0; at + 3 < bytes.length; at++) {
    if (bytes[at] === 13 && bytes[at + 1] === 10 && bytes[at + 2] === 13 && bytes[at + 3] === 10) {
      return at;
    }
  }
  throw new Error("Cannot read answer: its head does not end");
}

function joinChunks(bytes: Uint8Array): Uint8Array {
  const joined = new Uint8Array(bytes.length);
  let size = 0;
  let at = 0;
  for (;;) {
    const lineEnd = bytes.indexOf(13, at);
    const chunkSize = Number.parseInt(new TextDecoder().decode(bytes.subarray(at, lineEnd)), 16);
    if (Number.isNaN(chunkSize)) throw new Error("Cannot read answer: it broke off between chunks");
    if (chunkSize === 0) return joined.subarray(0, size);
    joined.set(bytes.subarray(lineEnd + 2, lineEnd + 2 + chunkSize), size);
    size += chunkSize;
    at = lineEnd + 2 + chunkSize + 2;
  }
}
