/**
 * Large answers: head, the stream of the results' bytes, and tail as one stream, indented on request.
 * A piece of the results is taken when the client has taken the one before, so memory stays flat.
 * A client that takes nothing for ANSWER_STALL_MS_MAX is cut off, because the results pin a read
 * transaction (faults L5). Whatever ends the answer early also cancels the results.
 */
import { assert } from "../base/assert.ts";
import { runInBackground } from "../base/background.ts";
import { OperatingError } from "../base/errors.ts";
import type { DelayedCall, DelayedCalls } from "./delayed_calls.ts";
import { ANSWER_PIECE_CHARACTERS } from "./limits.ts";
import { PrettyPrinter } from "./pretty_json.ts";

const UTF8 = new TextEncoder();

/** Composes the stream; `results` belongs to it from now on. `stalls` delays by the stall limit. */
export function answerStream(options: {
  readonly head: string;
  readonly results: ReadableStream<Uint8Array>;
  readonly tail: string;
  readonly pretty: boolean;
  readonly stalls: DelayedCalls;
}): ReadableStream<Uint8Array> {
  return new ReadableStream(new AnswerSource(options));
}

/** A long text as the stream of its bytes: at once they would hold up everything else. */
export function textStream(text: string): ReadableStream<Uint8Array> {
  let from = 0;
  return new ReadableStream({
    pull: (controller) => {
      let to = Math.min(from + ANSWER_PIECE_CHARACTERS, text.length);
      // Both halves of a pair, or neither.
      if (to < text.length && isHighSurrogate(text.charCodeAt(to - 1))) to += 1;
      controller.enqueue(UTF8.encode(text.substring(from, to)));
      from = to;
      if (from === text.length) controller.close();
    },
  }, { highWaterMark: 0 });
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}

/** Pulled once per piece; see the header. */
class AnswerSource {
  readonly #options: Parameters<typeof answerStream>[0];
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #printer: PrettyPrinter | undefined;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #stall: DelayedCall | undefined;

  constructor(options: Parameters<typeof answerStream>[0]) {
    this.#options = options;
    this.#reader = options.results.getReader();
    this.#printer = options.pretty ? new PrettyPrinter() : undefined;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#enqueue(controller, this.#text(this.#options.head));
  }

  async pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    this.#endStall();
    // A piece that becomes nothing when indented must not end the pulling: go on until one is there.
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) {
        this.#enqueue(controller, this.#text(this.#options.tail));
        this.#endStall();
        controller.close();
        return;
      }
      const piece = this.#printer === undefined ? value : this.#indented(this.#printer, value);
      if (piece.length === 0) continue;
      this.#enqueue(controller, piece);
      return;
    }
  }

  async cancel(reason: unknown): Promise<void> {
    this.#endStall();
    await this.#reader.cancel(reason);
  }

  #enqueue(controller: ReadableStreamDefaultController<Uint8Array>, piece: Uint8Array): void {
    controller.enqueue(piece);
    assert(this.#stall === undefined, "AnswerSource: a piece is waiting already");
    this.#stall = this.#options.stalls.add(() => this.#onStall(controller));
  }

  #onStall(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.#stall = undefined;
    const reason = new OperatingError(
      "canceled",
      "Cannot send answer: the client has stopped reading",
    );
    controller.error(reason);
    runInBackground(this.#reader.cancel(reason), () => {
      // It fails only when the results have failed themselves: then there is nothing left to end.
    });
  }

  #endStall(): void {
    if (this.#stall !== undefined) this.#options.stalls.cancel(this.#stall);
    this.#stall = undefined;
  }

  #text(text: string): Uint8Array {
    return UTF8.encode(this.#printer === undefined ? text : this.#printer.push(text));
  }

  #indented(printer: PrettyPrinter, piece: Uint8Array): Uint8Array {
    return UTF8.encode(printer.push(this.#decoder.decode(piece, { stream: true })));
  }
}
