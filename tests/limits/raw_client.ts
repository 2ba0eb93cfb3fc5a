/**
 * A client that behaves as badly as a test wants: it sends bytes when it is told to, reads as much as
 * it is told to, and then leaves its connection alone.
 */

/** One connection. */
export class RawClient implements Disposable {
  /** Of both ends, which name the connection in /proc. */
  readonly ports: { readonly server: number; readonly client: number };
  readonly #connection: Deno.TcpConn;
  #isClosed = false;

  constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
    const { localAddr, remoteAddr } = connection;
    this.ports = { server: remoteAddr.port, client: localAddr.port };
  }

  /** Connects to host:port. */
  static async open(address: string): Promise<RawClient> {
    const [hostname = "", port = ""] = address.split(":");
    return new RawClient(await Deno.connect({ hostname, port: Number(port) }));
  }

  /** Sends all of `text`. @throws when the other side has closed. */
  async send(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
  }

  /** Reads until at least `countMin` bytes are there, or the other side ends. */
  async read(countMin: number): Promise<string> {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(65_536);
    let text = "";
    for (let count = 0; count < countMin;) {
      const read = await this.#readSome(buffer);
      if (read === 0) break;
      count += read;
      text += decoder.decode(buffer.subarray(0, read), { stream: true });
    }
    return text;
  }

  /**
   * Reads to the end, or a little past `sizeBytesMax`, and keeps only the last few bytes.
   * @returns them, and how many there were.
   */
  async drain(
    options: { readonly sizeBytesMax: number },
  ): Promise<{ readonly sizeBytes: number; readonly tail: string }> {
    const buffer = new Uint8Array(65_536);
    let sizeBytes = 0;
    let tail = "";
    for (;;) {
      const read = await this.#readSome(buffer);
      if (read === 0 || sizeBytes > options.sizeBytesMax) return { sizeBytes, tail };
      sizeBytes += read;
      tail = (tail + new TextDecoder("latin1").decode(buffer.subarray(0, read))).slice(-64);
    }
  }

  close(): void {
    if (!this.#isClosed) this.#connection.close();
    this.#isClosed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** 0 at the end, however it came about. */
  async #readSome(buffer: Uint8Array): Promise<number> {
    try {
      return await this.#connection.read(buffer) ?? 0;
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionReset) return 0;
      throw error;
    }
  }
}
