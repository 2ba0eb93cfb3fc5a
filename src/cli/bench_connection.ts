/**
 * One keep-alive HTTP/1.1 connection of the load generator, on a bare TCP stream: `fetch` would cost
 * more than the server that is measured. One request at a time; an answer is read to its end.
 * Understands Content-Length and chunked bodies, and nothing else that a server might do.
 */

/** An answer. */
export interface BenchAnswer {
  readonly status: number;
  readonly body: string;
}

const BUFFER_BYTES = 65_536;
/** Headers that are longer are no answer of a database. */
const HEADER_BYTES_MAX = 32_768;
const CR = 13;
const LF = 10;

/** A connection that is open until `close` or an error. */
export class BenchConnection {
  readonly #stream: Deno.TcpConn;
  readonly #decoder = new TextDecoder();
  #buffer = new Uint8Array(BUFFER_BYTES);
  /** Bytes received and not consumed: `[#from, #to)` of the buffer. */
  #from = 0;
  #to = 0;

  constructor(stream: Deno.TcpConn) {
    this.#stream = stream;
  }

  /** @throws {Error} of the system when nobody listens at `host:port`. */
  static async open(address: string): Promise<BenchConnection> {
    const colon = address.lastIndexOf(":");
    const hostname = address.slice(0, colon).replace(/^\[|\]$/g, "");
    const stream = await Deno.connect({ hostname, port: Number(address.slice(colon + 1)) });
    stream.setNoDelay();
    return new BenchConnection(stream);
  }

  /** Sends a whole request, as `encodeRequest` made it, and reads its answer. */
  async exchange(request: Uint8Array): Promise<BenchAnswer> {
    for (let sent = 0; sent < request.length;) {
      sent += await this.#stream.write(sent === 0 ? request : request.subarray(sent));
    }
    const headerEnd = await this.#receiveHeader();
    const header = this.#take(headerEnd - this.#from);
    const status = Number(header.slice(9, 12));
    const length = /\r\ncontent-length: *(\d+)/i.exec(header)?.[1];
    if (length !== undefined) return { status, body: await this.#takeExactly(Number(length)) };
    if (/\r\ntransfer-encoding: *chunked/i.test(header)) {
      return { status, body: await this.#takeChunks() };
    }
    return { status, body: "" };
  }

  /** Idempotent; ends a request that runs with an error. */
  close(): void {
    try {
      this.#stream.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }

  /** @returns where the header ends, its empty line included. */
  async #receiveHeader(): Promise<number> {
    let at = this.#from;
    for (;;) {
      for (; at + 3 < this.#to; at++) {
        const buffer = this.#buffer;
        if (
          buffer[at] === CR && buffer[at + 1] === LF && buffer[at + 2] === CR &&
          buffer[at + 3] === LF
        ) return at + 4;
      }
      if (this.#to - this.#from > HEADER_BYTES_MAX) throw new Error("Header is too long");
      const before = this.#from;
      await this.#receive();
      at -= before - this.#from;
    }
  }

  async #takeChunks(): Promise<string> {
    let body = "";
    for (;;) {
      const size = parseInt(await this.#takeLine(), 16);
      if (Number.isNaN(size)) throw new Error("Chunk has no size");
      body += (await this.#takeExactly(size + 2)).slice(0, -2);
      if (size === 0) return body;
    }
  }

  async #takeLine(): Promise<string> {
    for (;;) {
      const end = this.#buffer.subarray(this.#from, this.#to).indexOf(LF);
      if (end >= 0) return this.#take(end + 1).trim();
      await this.#receive();
    }
  }

  async #takeExactly(size: number): Promise<string> {
    this.#reserve(size);
    while (this.#to - this.#from < size) await this.#receive();
    return this.#take(size);
  }

  #take(size: number): string {
    const text = this.#decoder.decode(this.#buffer.subarray(this.#from, this.#from + size));
    this.#from += size;
    return text;
  }

  /** Makes room for `size` bytes from `#from` on. */
  #reserve(size: number): void {
    if (this.#from + size <= this.#buffer.length) return;
    const grown = size > this.#buffer.length ? new Uint8Array(size + BUFFER_BYTES) : this.#buffer;
    grown.set(this.#buffer.subarray(this.#from, this.#to));
    this.#buffer = grown;
    this.#to -= this.#from;
    this.#from = 0;
  }

  async #receive(): Promise<void> {
    if (this.#from === this.#to) this.#from = this.#to = 0;
    if (this.#to === this.#buffer.length) this.#reserve(this.#to - this.#from + BUFFER_BYTES);
    const count = await this.#stream.read(this.#buffer.subarray(this.#to));
    if (count === null) throw new Error("Connection closed by the server");
    this.#to += count;
  }
}

/** A POST of JSON as bytes. `path` begins with a slash. */
export function encodeRequest(request: {
  readonly address: string;
  readonly path: string;
  readonly body: string;
}): Uint8Array {
  const body = new TextEncoder().encode(request.body);
  const header = `POST ${request.path} HTTP/1.1\r\nHost: ${request.address}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  const bytes = new Uint8Array(header.length + body.length);
  new TextEncoder().encodeInto(header, bytes);
  bytes.set(body, header.length);
  return bytes;
}
