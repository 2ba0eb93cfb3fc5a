/**
 * One call of another node: collects the request, has it answered, sends the answer. Identity first: whoever
 * belongs to another cluster is refused, except that it may ask who is here (faults M3, N13).
 * Invariant: what the services throw is answered when it is an `OperatingError`, and a bug otherwise.
 */
import { type ErrorCode, OperatingError } from "../base/errors.ts";
import { runInBackground } from "../base/background.ts";
import type { ByteStream, StreamEvents } from "./byte_stream.ts";
import { decodeRequest, encodeAnswer } from "./call_codec.ts";
import { decodeChecked } from "./checked_codec.ts";
import { type Head, type Hello, Part } from "./generated/dust.ts";
import { callRefusalOf, identityOf } from "./handshake.ts";
import { CALL_BODY_BYTES_MAX } from "./limits.ts";
import { WireError } from "./message_codec.ts";
import { emptyHead, PartWriter } from "./part_writer.ts";
import type { PeerAnswers, PeerRequest } from "./peer_calls.ts";
import type { LocalIdentity } from "./peer_identity.ts";
import type { CallContext, PeerServices } from "./peer_services.ts";

/** What a call needs of the world. */
export interface InboundCallOptions {
  readonly local: () => LocalIdentity;
  readonly hello: () => Hello;
  readonly services: PeerServices;
  /** Sets bytes of a body aside; false when there is no room for them now. */
  readonly reserve: (bytes: number) => boolean;
  /** It is over; `bytes` is what was set aside. */
  readonly onEnd: (bytes: number) => void;
}

/** One call. */
export class InboundCall {
  readonly #options: InboundCallOptions;
  readonly #stream: ByteStream;
  readonly #writer: PartWriter;
  readonly #gone = new AbortController();
  #opening: { readonly head: Head; readonly hello: Hello } | undefined;
  #body = new Uint8Array(0);
  #filled = 0;
  #isComplete = false;
  #isOver = false;

  constructor(stream: ByteStream, options: InboundCallOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#writer = new PartWriter(stream);
  }

  /** What to do with what arrives. */
  get events(): StreamEvents {
    return {
      onBytes: (bytes) => this.#receive(bytes),
      onHalfEnd: () => undefined,
      onEnd: () => this.#end(),
    };
  }

  #receive(bytes: Uint8Array): void {
    if (this.#isComplete) return;
    try {
      this.#take(decodeChecked(Part, bytes));
    } catch (error) {
      this.#isComplete = true;
      runInBackground(this.#refuse(error), this.#options.services.onBug);
    }
  }

  #take({ hello, head, body, isLast }: Part): void {
    if (this.#opening === undefined) {
      if (hello === undefined || head === undefined) throw new WireError("A call without a head");
      this.#open(hello, head);
    }
    if (this.#filled + body.length > this.#body.length) throw new WireError("A body too long");
    this.#body.set(body, this.#filled);
    this.#filled += body.length;
    if (!isLast) return;
    if (this.#filled < this.#body.length) throw new WireError("A body too short");
    this.#isComplete = true;
    runInBackground(this.#answer(), this.#options.services.onBug);
  }

  #open(hello: Hello, head: Head): void {
    const { local, reserve } = this.#options;
    const refusal = head.kind === "identify" ? undefined : callRefusalOf(hello, local());
    if (refusal !== undefined) throw new OperatingError("conflict", refusal);
    if (head.bodyBytes > CALL_BODY_BYTES_MAX) {
      throw new OperatingError("too_large", `Cannot take a request of ${head.bodyBytes} bytes`);
    }
    if (!reserve(head.bodyBytes)) {
      throw new OperatingError("overloaded", "Too many large requests between nodes at once");
    }
    this.#opening = { hello, head };
    this.#body = new Uint8Array(head.bodyBytes);
  }

  async #answer(): Promise<void> {
    const opening = this.#opening;
    if (opening === undefined) return;
    try {
      const { kind, document } = opening.head;
      const request = decodeRequest({ kind, document, body: this.#body });
      const caller = identityOf(opening.hello);
      const answer = await this.#ask(request, { caller, signal: this.#gone.signal });
      const { document: text, body } = encodeAnswer(answer);
      const reply = {
        hello: this.#options.hello(),
        head: { ...emptyHead(), kind, document: text },
      };
      if (body instanceof ReadableStream) await this.#writer.sendStream(reply, body);
      else await this.#writer.sendWhole(reply, body);
      this.#stream.finish();
    } catch (error) {
      await this.#refuse(error);
    }
  }

  #ask<Kind extends PeerRequest["kind"]>(
    request: Extract<PeerRequest, { readonly kind: Kind }>,
    context: CallContext,
  ): Promise<PeerAnswers[Kind]> {
    return this.#options.services.answer<Kind>(request, context);
  }

  async #refuse(error: unknown): Promise<void> {
    const isExpected = error instanceof OperatingError || error instanceof WireError;
    if (!isExpected) this.#options.services.onBug(error);
    const errorCode: ErrorCode = error instanceof OperatingError
      ? error.code
      : error instanceof WireError
      ? "bad_request"
      : "internal";
    const errorText = error instanceof Error ? error.message : String(error);
    const head = { ...emptyHead(), errorCode, errorText };
    await this.#writer.sendWhole({ hello: this.#options.hello(), head }, "");
    this.#stream.finish();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#isComplete = true;
    this.#writer.end();
    this.#gone.abort();
    this.#options.onEnd(this.#opening?.head.bodyBytes ?? 0);
  }
}
