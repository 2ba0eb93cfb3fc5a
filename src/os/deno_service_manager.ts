/**
 * What the process tells the service manager that started it (systemd's sd_notify protocol): one datagram
 * of `NAME=value` lines for each notice, sent to the unix socket that NOTIFY_SOCKET names; `@` in front
 * stands for the zero byte of an abstract one. Without NOTIFY_SOCKET nothing happens.
 * The runtime sends unix datagrams only behind an unstable flag, so the system's C library is called.
 * A notice never blocks and never fails the node: one that cannot be sent is tried again a few times, then
 * `onFailure` is told.
 */
import type { Clock, Timer } from "./clock.ts";

/** From the C library's headers; the same for all processors that Linux runs this on. */
const AF_UNIX = 1;
const SOCK_DGRAM_CLOSED_ON_EXEC = 0x80002;
const MSG_DONTWAIT_NO_SIGNAL = 0x4040;

/** Length of `sun_path`. */
const PATH_BYTES_MAX = 108;

const C_LIBRARIES = ["libc.so.6", "libc.so"] as const;

const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

/** How often a notice is tried, and how far apart. */
const ATTEMPTS_MAX = 20;
const RETRY_MS = 250;

/** What a manager is reached by. */
export interface ServiceManagerOptions {
  /** The process's: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are looked at. */
  readonly environment: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** A notice could not be delivered; one sentence. */
  readonly onFailure: (reason: string) => void;
}

/** See the file's header. One per process. */
export class ServiceManager {
  readonly #options: ServiceManagerOptions;
  readonly #address: Uint8Array<ArrayBuffer> | undefined;
  #watchdog: Timer | undefined;

  constructor(options: ServiceManagerOptions) {
    this.#options = options;
    this.#address = socketAddress(options.environment["NOTIFY_SOCKET"] ?? "");
  }

  /** The node serves; `status` is one line for people. From here on the watchdog is fed, if there is one. */
  ready(status: string): void {
    this.#notify(`READY=1\nSTATUS=${status}\n`);
    const periodMs = watchdogMs(this.#options.environment);
    if (this.#address !== undefined && periodMs !== undefined) this.#feedEvery(periodMs / 2);
  }

  /** The process has begun to stop. */
  stopping(): void {
    this.#notify("STOPPING=1\nSTATUS=Stopping\n");
  }

  /** Lets go of the watchdog's timer. */
  close(): void {
    this.#watchdog?.cancel();
    this.#watchdog = undefined;
  }

  /** On the main thread's timers, so that a loop that stands still is noticed. */
  #feedEvery(periodMs: number): void {
    this.#watchdog = this.#options.clock.startTimer(periodMs, () => {
      this.#notify("WATCHDOG=1\n");
      this.#feedEvery(periodMs);
    });
  }

  #notify(text: string, attempt = 1): void {
    if (this.#address === undefined) return;
    const problem = send(this.#address, text);
    if (problem === undefined) return;
    if (attempt === ATTEMPTS_MAX) return this.#options.onFailure(problem);
    this.#options.clock.startTimer(RETRY_MS, () => this.#notify(text, attempt + 1));
  }
}

/** A `sockaddr_un`; undefined for what names no socket. */
function socketAddress(name: string): Uint8Array<ArrayBuffer> | undefined {
  const path = new TextEncoder().encode(name);
  const isName = name.startsWith("/") || (name.startsWith("@") && name.length > 1);
  if (Deno.build.os !== "linux" || !isName || path.length >= PATH_BYTES_MAX) return undefined;
  // A path ends with a zero byte; an abstract name begins with one, and its length says where it ends.
  const isAbstract = name.startsWith("@");
  const address = new Uint8Array(2 + path.length + (isAbstract ? 0 : 1));
  new Uint16Array(address.buffer, 0, 1)[0] = AF_UNIX;
  address.set(path, 2);
  if (isAbstract) address[2] = 0;
  return address;
}

/** @returns why it was not sent; undefined when it was. */
function send(address: Uint8Array<ArrayBuffer>, text: string): string | undefined {
  const library = openLibrary();
  if (library === undefined) return `none of ${C_LIBRARIES.join()} can be loaded`;
  const { socket, sendto, close } = library.symbols;
  try {
    const descriptor = socket(AF_UNIX, SOCK_DGRAM_CLOSED_ON_EXEC, 0);
    if (descriptor < 0) return "no socket can be opened";
    const bytes = new TextEncoder().encode(text);
    const length = BigInt(bytes.length);
    const sent = sendto(
      ...[descriptor, bytes, length, MSG_DONTWAIT_NO_SIGNAL, address, address.length] as const,
    );
    close(descriptor);
    return BigInt(sent) === length ? undefined : "nobody takes it at NOTIFY_SOCKET";
  } finally {
    library.close();
  }
}

function openLibrary(): Deno.DynamicLibrary<typeof SYMBOLS> | undefined {
  for (const name of C_LIBRARIES) {
    try {
      return Deno.dlopen(name, SYMBOLS);
    } catch (error) {
      // Another C library has another name.
      if (!(error instanceof Error)) throw error;
    }
  }
  return undefined;
}

/** How long the manager waits for a sign of life; undefined when it does not, or of somebody else. */
function watchdogMs(environment: Readonly<Record<string, string>>): number | undefined {
  const microseconds = Number(environment["WATCHDOG_USEC"] ?? "");
  const isOwn = Number(environment["WATCHDOG_PID"] ?? Deno.pid) === Deno.pid;
  return isOwn && microseconds > 0 && Number.isFinite(microseconds)
    ? microseconds / 1000
    : undefined;
}
