/**
 * A stream of byte messages in both directions, as the transport's own parts see one: gRPC's underneath
 * (grpc_endpoint.ts), a pair in memory in tests. Messages arrive whole and in order, or the stream ends.
 * Invariant: `onEnd` is called exactly once, and nothing after it.
 */

/** The three services of proto/dust.proto. */
export type Method = "talk" | "send_snapshot" | "call";

/** How a stream ended. */
export interface StreamEnd {
  /**
   * `done`: both sides had said all. `refused`: the other side said no, for good. `busy`: it said not now.
   * `broken`: the connection ended or was never there. `closed`: this side ended it early.
   */
  readonly kind: "done" | "refused" | "busy" | "broken" | "closed";
  /** For people. */
  readonly text: string;
}

/** What to do with what arrives. */
export interface StreamEvents {
  /** One message, the receiver's to keep. */
  onBytes(bytes: Uint8Array): void;
  /** The other side has no more to say; a stream that was opened here gets `onEnd` in its stead. */
  onHalfEnd(): void;
  /** It is over. */
  onEnd(end: StreamEnd): void;
}

/** One end of a stream. */
export interface ByteStream {
  /**
   * Sends one message. `onTaken` is called once the connection has taken it, which is how a receiver that
   * does not read is felt; it is not called when the stream ends before. Does nothing after the end.
   */
  write(bytes: Uint8Array, onTaken: () => void): void;
  /** This side has no more to say. On the accepting side that ends the stream. */
  finish(): void;
  /** Ends the stream early; on the accepting side the other learns why. */
  close(end: { readonly kind: "refused" | "busy" | "closed"; readonly text: string }): void;
  /** Stops and resumes the reading of what arrives, so that the sender feels it. */
  pause(): void;
  resume(): void;
}

/** Takes a stream that another node opened. */
export type Acceptor = (method: Method, stream: ByteStream) => StreamEvents;
