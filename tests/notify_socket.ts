/**
 * A unix datagram socket as systemd opens it for a service, for tests: python3 listens, since the runtime
 * cannot without an unstable flag, and each datagram becomes one line here.
 */

const LISTENER = `
import json, socket, sys
name = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\\0" + name[1:] if name.startswith("@") else name)
print(json.dumps(""), flush=True)
while True:
    print(json.dumps(s.recv(65536).decode()), flush=True)
`;

/** Whether this machine has what listens. */
export async function hasListener(): Promise<boolean> {
  try {
    return (await new Deno.Command("python3", { args: ["--version"] }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** A listening socket; disposing of it ends its process. */
export class NotifySocket implements AsyncDisposable {
  /** For NOTIFY_SOCKET. */
  readonly name: string;
  readonly #process: Deno.ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(name: string) {
    this.name = name;
    this.#process = new Deno.Command("python3", {
      args: ["-c", LISTENER, name],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#lines = lines(this.#process.stdout);
  }

  /** Listens on a path, or on an abstract name, which begins with `@`. */
  static async open(name: string): Promise<NotifySocket> {
    const listener = new NotifySocket(name);
    await listener.next();
    return listener;
  }

  /** The next datagram, whenever it comes. */
  async next(): Promise<string> {
    const { value } = await this.#lines.next();
    return JSON.parse(value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
    await this.#lines.return?.();
  }
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + piece).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}
