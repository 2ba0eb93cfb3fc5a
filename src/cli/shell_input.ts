/**
 * Where the shell's lines come from: a terminal, with editing, history and completion, or a pipe,
 * read to its end. Both give one line at a time, when they are asked.
 */
import process from "node:process";
import { createInterface, type Interface } from "node:readline";

/** Gives lines; used by one reader. */
export interface LineSource {
  /** The next line without its end, or undefined when there is none. */
  next(prompt: string): Promise<string | undefined>;
  close(): void;
}

/** Lines of standard input when it is no terminal. Prompts are not shown. */
export class PipeLines implements LineSource {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #rest = "";
  #ended = false;

  constructor(input: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = input.pipeThrough(new TextDecoderStream()).getReader();
  }

  async next(): Promise<string | undefined> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line.replace(/\r$/, "");
      }
      if (this.#ended) {
        const last = this.#rest;
        this.#rest = "";
        return last === "" ? undefined : last;
      }
      const { done, value } = await this.#reader.read();
      if (done) this.#ended = true;
      else this.#rest += value;
    }
  }

  close(): void {
    this.#reader.releaseLock();
  }
}

/** How a terminal is used. */
export interface TerminalOptions {
  /** Oldest line first. */
  readonly history: readonly string[];
  readonly historyLinesMax: number;
  /** Words that the tab key completes at the start of a line. */
  readonly completions: readonly string[];
  /** Ctrl-C. @returns whether something was running that it ended. */
  readonly onInterrupt: () => boolean;
}

/** Lines typed at a terminal. Ctrl-D ends them; Ctrl-C ends what runs, or clears the line. */
export class TerminalLines implements LineSource {
  readonly #interface: Interface;
  #closed = false;
  #answer: ((line: string | undefined) => void) | undefined;

  constructor(options: TerminalOptions) {
    this.#interface = createInterface({
      input: process.stdin,
      output: process.stdout,
      terminal: true,
      history: [...options.history].reverse(),
      historySize: options.historyLinesMax,
      removeHistoryDuplicates: true,
      completer: (line: string): [string[], string] => [
        options.completions.filter((word) => line !== "" && word.startsWith(line)),
        line,
      ],
    });
    this.#interface.on("line", (line) => this.#give(line));
    this.#interface.on("close", () => {
      this.#closed = true;
      this.#give(undefined);
    });
    this.#interface.on("SIGINT", () => this.#interrupt(options.onInterrupt()));
  }

  async next(prompt: string): Promise<string | undefined> {
    if (this.#closed) return undefined;
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#answer = resolve;
    this.#interface.setPrompt(prompt);
    this.#interface.prompt();
    return await promise;
  }

  close(): void {
    this.#interface.close();
  }

  /** What is typed while a statement runs is not meant for the shell, and dropped. */
  #give(line: string | undefined): void {
    const answer = this.#answer;
    this.#answer = undefined;
    answer?.(line);
  }

  #interrupt(endedSomething: boolean): void {
    if (endedSomething) return;
    // Readline's own way to clear the line: as Ctrl-U and Ctrl-K do.
    this.#interface.write(null, { ctrl: true, name: "e" });
    this.#interface.write(null, { ctrl: true, name: "u" });
  }
}
