/**
 * Calls that travel on the lanes to and from one peer, between the engine's messages, and with them in one
 * packet: writes that are passed on to the leader, which are many and small. Questions go on this node's
 * lane, answers come back on the peer's, in pieces where they are large.
 * Invariant: a question that was taken is answered, or fails as `outcome_unknown` when a stream with the
 * peer ends or its time is over. It is never sent again here: whoever asks knows whether it may be.
 */
import { type ErrorCode, OperatingError } from "../base/errors.ts";
import { runInBackground } from "../base/background.ts";
import type { Clock, Timer } from "../os/clock.ts";
import {
  decodeAnswer,
  decodeError,
  decodeRequest,
  encodeAnswer,
  encodeRequest,
} from "./call_codec.ts";
import type { Head, SmallCall } from "./generated/dust.ts";
import { LANE_CALLS_MAX, PIECE_BYTES } from "./limits.ts";
import { WireError } from "./message_codec.ts";
import { emptyHead } from "./part_writer.ts";
import type { ForwardAnswer, ForwardRequest } from "./peer_calls.ts";
import type { RemoteIdentity } from "./peer_identity.ts";
import type { PeerServices } from "./peer_services.ts";

const NO_BYTES = new Uint8Array(0);
const DECODER = new TextDecoder();
const ENCODER = new TextEncoder();

/** Nobody stops such a call. */
const NEVER = new AbortController().signal;

interface Question {
  readonly resolve: (answer: ForwardAnswer) => void;
  readonly reject: (error: unknown) => void;
  readonly timer: Timer;
  head: Head | undefined;
  readonly pieces: Uint8Array[];
}

/** See the file's header. One per peer. */
export class LaneCalls {
  readonly #clock: Clock;
  readonly #services: Pick<PeerServices, "answer" | "onBug">;
  readonly #send: (call: SmallCall) => boolean;
  readonly #asked = new Map<number, Question>();
  #lastNumber = 0;
  #answering = 0;

  constructor(options: {
    readonly clock: Clock;
    readonly services: Pick<PeerServices, "answer" | "onBug">;
    /** Sends on a lane; false when there is no room, or no stream. */
    readonly send: (call: SmallCall) => boolean;
  }) {
    this.#clock = options.clock;
    this.#services = options.services;
    this.#send = options.send;
  }

  /**
   * Asks the peer; undefined when nothing was sent.
   * @throws {OperatingError} `outcome_unknown`, or the peer's own.
   */
  ask(
    request: ForwardRequest,
    { timeoutMs }: { readonly timeoutMs: number },
  ): Promise<ForwardAnswer> | undefined {
    if (this.#asked.size >= LANE_CALLS_MAX) return undefined;
    const { document, body } = encodeRequest(request);
    const head = { ...emptyHead(), kind: request.kind, document, bodyBytes: body.length };
    const number = this.#lastNumber + 1;
    if (!this.#send({ number, isAnswer: false, head, body, isLast: true })) return undefined;
    this.#lastNumber = number;
    const { promise, resolve, reject } = Promise.withResolvers<ForwardAnswer>();
    const timer = this.#clock.startTimer(timeoutMs, () => {
      this.#asked.delete(number);
      reject(lost("timeout waiting for node to respond"));
    });
    this.#asked.set(number, { resolve, reject, timer, head: undefined, pieces: [] });
    return promise;
  }

  /** A question or a piece of an answer has come. @throws {WireError} */
  take(call: SmallCall, caller: RemoteIdentity): void {
    if (call.isAnswer) this.#takeAnswer(call);
    else runInBackground(this.#answer(call, caller), this.#services.onBug);
  }

  /** A stream with the peer has ended: what was asked may have happened, and nobody will say. */
  fail(text: string): void {
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const { timer, reject } of asked) {
      timer.cancel();
      reject(lost(text));
    }
  }

  #takeAnswer({ number, head, body, isLast }: SmallCall): void {
    const question = this.#asked.get(number);
    // Its time was over.
    if (question === undefined) return;
    question.head ??= head;
    question.pieces.push(body);
    if (!isLast) return;
    this.#asked.delete(number);
    question.timer.cancel();
    if (question.head === undefined) throw new WireError("An answer without a head");
    const { errorCode, errorText, document } = question.head;
    if (errorCode !== "") question.reject(decodeError(errorCode, errorText));
    else question.resolve(decodeAnswer("forward", { document, body: textOf(question.pieces) }));
  }

  async #answer({ number, head, body }: SmallCall, caller: RemoteIdentity): Promise<void> {
    this.#answering += 1;
    try {
      if (this.#answering > LANE_CALLS_MAX) {
        throw new OperatingError("overloaded", "Too many calls at once");
      }
      const { kind = "", document = "" } = head ?? {};
      const request = decodeRequest({ kind, document, body });
      if (request.kind !== "forward") throw new WireError(`A call of ${kind} on a lane`);
      const said = encodeAnswer(
        await this.#services.answer<"forward">(request, { caller, signal: NEVER }),
      );
      if (typeof said.body !== "string") throw new WireError("A call whose answer is a stream");
      this.#reply(number, { ...emptyHead(), kind, document: said.document }, said.body);
    } catch (error) {
      this.#reply(number, { ...emptyHead(), ...this.#errorOf(error) }, "");
    } finally {
      this.#answering -= 1;
    }
  }

  #errorOf(error: unknown): Pick<Head, "errorCode" | "errorText"> {
    const errorText = error instanceof Error ? error.message : String(error);
    const codeOf = (): ErrorCode => {
      if (error instanceof OperatingError) return error.code;
      if (error instanceof WireError) return "bad_request";
      this.#services.onBug(error);
      return "internal";
    };
    return { errorCode: codeOf(), errorText };
  }

  /** Where the lane has no room the asker waits until its time is over. */
  #reply(number: number, head: Head, text: string): void {
    const body = text === "" ? NO_BYTES : ENCODER.encode(text);
    let at = 0;
    do {
      const piece = body.subarray(at, at + PIECE_BYTES);
      const isFirst = at === 0;
      at += piece.length;
      const isLast = at === body.length;
      const rest = { body: piece, isLast, head: isFirst ? head : undefined };
      if (!this.#send({ number, isAnswer: true, ...rest })) return;
    } while (at < body.length);
  }
}

function lost(text: string): OperatingError {
  return new OperatingError("outcome_unknown", `Cannot get an answer of a node: ${text}`);
}

function textOf(pieces: readonly Uint8Array[]): string {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1) return DECODER.decode(only);
  const decoder = new TextDecoder();
  return pieces.map((piece) => decoder.decode(piece, { stream: true })).join("") + decoder.decode();
}
