/**
 * One call to another node: sends the request, takes the answer. What failed says whether the other side
 * may have done something: `not_ready` when nothing reached it, `outcome_unknown` when something may have
 * (the caller knows which requests may simply be repeated), else the other side's own error.
 */
import { OperatingError } from "../base/errors.ts";
import { runInBackground } from "../base/background.ts";
import type { ByteStream, StreamEnd, StreamEvents } from "./byte_stream.ts";
import { decodeAnswer, decodeError, encodeRequest } from "./call_codec.ts";
import { decodeChecked } from "./checked_codec.ts";
import { type Hello, Part } from "./generated/dust.ts";
import { callRefusalOf } from "./handshake.ts";
import { PIECE_BYTES } from "./limits.ts";
import { WireError } from "./message_codec.ts";
import { emptyHead, PartWriter } from "./part_writer.ts";
import type { PeerAnswers, PeerRequest } from "./peer_calls.ts";
import type { LocalIdentity } from "./peer_identity.ts";

const UTF8 = new TextDecoder();

/** What a call needs. */
export interface OutboundCallOptions<Kind extends PeerRequest["kind"]> {
  readonly request: Extract<PeerRequest, { readonly kind: Kind }>;
  readonly address: string;
  readonly open: (events: StreamEvents) => ByteStream;
  readonly local: LocalIdentity;
  readonly hello: Hello;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly onBug: (error: unknown) => void;
}

/** One call. `answer` is all there is to it. */
export class OutboundCall<Kind extends PeerRequest["kind"]> {
  readonly #options: OutboundCallOptions<Kind>;
  readonly #stream: ByteStream;
  readonly #writer: PartWriter;
  readonly #answer = Promise.withResolvers<PeerAnswers[Kind]>();
  #isAnswered = false;
  #isOver = false;
  /** Takes what comes behind the first part. */
  #results: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor(options: OutboundCallOptions<Kind>) {
    this.#options = options;
    this.#stream = options.open({
      onBytes: (bytes) => this.#receive(bytes),
      onHalfEnd: () => undefined,
      onEnd: (end) => this.#end(end),
    });
    this.#writer = new PartWriter(this.#stream);
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (options.signal?.aborted) this.#onAbort();
    else runInBackground(this.#send(), options.onBug);
  }

  /** @throws {OperatingError} as the header says. */
  get answer(): Promise<PeerAnswers[Kind]> {
    return this.#answer.promise;
  }

  readonly #onAbort = (): void => {
    this.#fail(new OperatingError("canceled", `Stopped asking ${this.#options.address}`));
  };

  async #send(): Promise<void> {
    const { request, hello, timeoutMs } = this.#options;
    const { document, body } = encodeRequest(request);
    const head = {
      ...emptyHead(),
      kind: request.kind,
      document,
      bodyBytes: body.length,
      timeoutMs,
    };
    await this.#writer.sendWhole({ hello, head }, body);
  }

  #receive(bytes: Uint8Array): void {
    if (this.#isOver) return;
    try {
      const part = decodeChecked(Part, bytes);
      if (this.#isAnswered) this.#continue(part);
      else this.#begin(part);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#fail(this.#broken(error.message));
    }
  }

  #begin({ hello, head, body, isLast }: Part): void {
    const { request, local } = this.#options;
    if (head === undefined || hello === undefined) throw new WireError("An answer without a head");
    if (head.errorCode !== "") {
      this.#fail(decodeError(head.errorCode, head.errorText));
      return;
    }
    const refusal = request.kind === "identify" ? undefined : callRefusalOf(hello, local);
    if (refusal !== undefined) {
      this.#fail(new OperatingError("conflict", refusal));
      return;
    }
    const results = isLast ? UTF8.decode(body) : this.#openResults(body);
    const answer = decodeAnswer(request.kind, { document: head.document, body: results });
    this.#isAnswered = true;
    this.#answer.resolve(answer);
    if (isLast) this.#finish();
  }

  #openResults(first: Uint8Array): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#results = controller;
          if (first.length > 0) controller.enqueue(first);
        },
        pull: () => this.#stream.resume(),
        cancel: () => this.#finish(),
      },
      new ByteLengthQueuingStrategy({ highWaterMark: 4 * PIECE_BYTES }),
    );
  }

  #continue({ head, body, isLast }: Part): void {
    const results = this.#results;
    if (results === undefined) throw new WireError("More behind an answer's end");
    if (head !== undefined && head.errorCode !== "") {
      // The other side failed in the middle: what came is not all there is.
      this.#fail(decodeError(head.errorCode, head.errorText));
      return;
    }
    if (body.length > 0) results.enqueue(body);
    if (isLast) {
      results.close();
      this.#finish();
    } else if ((results.desiredSize ?? 0) <= 0) this.#stream.pause();
  }

  #end(end: StreamEnd): void {
    this.#writer.end();
    if (!this.#isOver) this.#fail(this.#broken(end.text, end.kind));
  }

  #broken(text: string, kind: StreamEnd["kind"] = "broken"): OperatingError {
    const { address } = this.#options;
    const code = kind === "busy" || !this.#writer.hasTaken ? "not_ready" : "outcome_unknown";
    return new OperatingError(code, `Cannot get an answer of ${address}: ${text}`);
  }

  #fail(error: OperatingError): void {
    if (this.#isOver) return;
    if (this.#isAnswered) this.#results?.error(error);
    else this.#answer.reject(error);
    this.#finish();
  }

  /** There is nothing more to wait for. */
  #finish(): void {
    this.#isOver = true;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#writer.end();
    this.#stream.close({ kind: "closed", text: "Done" });
  }
}
