/**
 * Requests and answers between nodes as documents (document.ts), and the one part of each that is no
 * document: its body, bytes of any size that travel in pieces. Only forwarded work has one.
 * A new kind wants a reader here, or it does not compile.
 */
import { type ErrorCode, OperatingError } from "../base/errors.ts";
import { nodeId } from "../base/ids.ts";
import type { Answer } from "../command/request.ts";
import {
  bytes,
  count,
  decimal,
  flag,
  list,
  object,
  oneOf,
  optional,
  readDocument,
  type Reader,
  tagged,
  text,
  writeDocument,
} from "./document.ts";
import type { ForwardAnswer, ForwardedWork, PeerAnswers, PeerRequest } from "./peer_calls.ts";

const NO_BYTES = new Uint8Array(0);
const identifier = bytes(16);
const node: Reader<ReturnType<typeof nodeId>> = (value) => nodeId(count(value));
const identity: Reader<PeerAnswers["identify"]["identity"]> = object({
  clusterId: optional(identifier),
  nodeId: node,
  incarnation: identifier,
  bootNonce: bytes(8),
  name: text,
  raftAddress: text,
  apiUrl: text,
  sqliteFingerprint: text,
  featureLevel: count,
  version: text,
});

type QueryWork = Extract<ForwardedWork, { readonly kind: "query" | "request" }>;

function queryWork<Kind extends "query" | "request">(
  kind: Kind,
): Reader<QueryWork & { readonly kind: Kind }> {
  return object<QueryWork & { readonly kind: Kind }>({
    kind: oneOf(kind),
    bodyKind: oneOf("json", "sql"),
    request: object<QueryWork["request"]>({
      id: count,
      transaction: flag,
      format: count,
      timeoutMs: decimal,
      level: oneOf("none", "weak", "linearizable", "strong", "auto"),
      freshnessMs: decimal,
      freshnessStrict: flag,
      linearizableTimeoutMs: decimal,
      minIndex: optional(object({ index: count, timeoutMs: decimal })),
      idempotencyKey: optional(text),
      leaderTimeoutMs: optional(decimal),
    }),
  });
}

const WORK: Readonly<Record<ForwardedWork["kind"], Reader<ForwardedWork>>> = {
  execute: object<Extract<ForwardedWork, { readonly kind: "execute" }>>({
    kind: oneOf("execute"),
    format: count,
  }),
  executes: object<Extract<ForwardedWork, { readonly kind: "executes" }>>({
    kind: oneOf("executes"),
    writes: list(object({ format: count, sizeBytes: count })),
  }),
  query: queryWork("query"),
  request: queryWork("request"),
};

/** Reads forwarded work. */
const work: Reader<ForwardedWork> = (value) => {
  const { kind } = object({ kind: oneOf("execute", "executes", "query", "request") })(value);
  return WORK[kind](value);
};

const REQUESTS: {
  readonly [Kind in PeerRequest["kind"]]: Reader<Extract<PeerRequest, { readonly kind: Kind }>>;
} = {
  identify: object({ kind: oneOf("identify") }),
  join: object({
    kind: oneOf("join"),
    name: text,
    incarnation: identifier,
    raftAddress: text,
    apiUrl: text,
    isReadOnly: flag,
    sqliteFingerprint: text,
    featureLevel: count,
    credentials: optional(text),
  }),
  remove: object({ kind: oneOf("remove"), name: text, credentials: optional(text) }),
  pledge: object({
    kind: oneOf("pledge"),
    clusterId: identifier,
    members: list(object({ name: text, incarnation: identifier, raftAddress: text, apiUrl: text })),
  }),
  abort_pledge: object({ kind: oneOf("abort_pledge"), clusterId: identifier }),
  form: object({ kind: oneOf("form"), clusterId: identifier, genesis: bytes(), nodeId: node }),
  transfer_leader: object({
    kind: oneOf("transfer_leader"),
    to: optional(node),
    credentials: optional(text),
  }),
  set_time: object({ kind: oneOf("set_time"), credentials: optional(text) }),
  snapshot_now: object({ kind: oneOf("snapshot_now"), credentials: optional(text) }),
  report_digest: object({
    kind: oneOf("report_digest"),
    index: count,
    resultChain: text,
    content: text,
  }),
  send_state: object({ kind: oneOf("send_state"), indexMin: count }),
  // The body comes by itself.
  forward: object({
    kind: oneOf("forward"),
    work,
    body: () => NO_BYTES,
    credentials: optional(text),
    hops: count,
  }),
};

const done = object({ kind: oneOf("done") });

const ANSWERS: { readonly [Kind in PeerRequest["kind"]]: Reader<PeerAnswers[Kind]> } = {
  identify: object({
    kind: oneOf("identify"),
    identity,
    leader: optional(object({ nodeId: node, raftAddress: text, apiUrl: text })),
    hasData: flag,
  }),
  join: object({ kind: oneOf("join"), clusterId: identifier, nodeId: node, genesis: bytes() }),
  remove: done,
  pledge: object({
    kind: oneOf("pledge"),
    outcome: tagged<PeerAnswers["pledge"]["outcome"]>({
      pledged: object({ kind: oneOf("pledged") }),
      taken: object({ kind: oneOf("taken"), clusterId: identifier }),
      member: object({ kind: oneOf("member"), clusterId: identifier }),
    }),
  }),
  abort_pledge: done,
  form: done,
  transfer_leader: done,
  set_time: done,
  snapshot_now: done,
  report_digest: done,
  send_state: done,
  // The results come by themselves.
  forward: object<ForwardAnswer>({
    kind: oneOf("forward"),
    answer: object<Answer>({
      results: () => "",
      raftIndex: count,
      stateIndex: optional(count),
    }),
  }),
};

/** A request's document and body. */
export function encodeRequest(
  request: PeerRequest,
): { readonly document: string; readonly body: Uint8Array } {
  if (request.kind !== "forward") return { document: writeDocument(request), body: NO_BYTES };
  const { body, ...rest } = request;
  return { document: writeDocument(rest), body };
}

/** The request in a document. @throws {WireError} also when its kind is unknown. */
export function decodeRequest(
  { kind, document, body }: {
    readonly kind: string;
    readonly document: string;
    readonly body: Uint8Array;
  },
): PeerRequest {
  const known = oneOf(...KINDS)(kind);
  const read: Reader<PeerRequest> = REQUESTS[known];
  const request = readDocument(document, read);
  return request.kind === "forward" ? { ...request, body } : request;
}

const KINDS = [
  "identify",
  "join",
  "remove",
  "pledge",
  "abort_pledge",
  "form",
  "transfer_leader",
  "set_time",
  "snapshot_now",
  "report_digest",
  "send_state",
  "forward",
] as const satisfies readonly PeerRequest["kind"][];

/** An answer's document and body. */
export function encodeAnswer(
  answer: PeerAnswers[PeerRequest["kind"]],
): { readonly document: string; readonly body: Answer["results"] } {
  if (answer.kind !== "forward") return { document: writeDocument(answer), body: "" };
  const { results, ...rest } = answer.answer;
  return { document: writeDocument({ kind: "forward", answer: rest }), body: results };
}

/** The answer to a request of `kind`. @throws {WireError} */
export function decodeAnswer<Kind extends PeerRequest["kind"]>(
  kind: Kind,
  { document, body }: { readonly document: string; readonly body: Answer["results"] },
): PeerAnswers[Kind] {
  const answer = readDocument<PeerAnswers[Kind]>(document, ANSWERS[kind]);
  if (answer.kind !== "forward") return answer;
  return { ...answer, answer: { ...answer.answer, results: body } };
}

const CODES: Readonly<Record<ErrorCode, true>> = {
  bad_request: true,
  too_large: true,
  not_leader: true,
  not_ready: true,
  overloaded: true,
  disk_full: true,
  timeout: true,
  canceled: true,
  stale_read: true,
  outcome_unknown: true,
  unauthorized: true,
  conflict: true,
  key_reused: true,
  keys_full: true,
  session_refused: true,
  index_not_reached: true,
  quarantined: true,
  internal: true,
};

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(CODES, code);
}

/** The error that another node answered; a code that this build does not know is `internal`. */
export function decodeError(code: string, text: string): OperatingError {
  return new OperatingError(isErrorCode(code) ? code : "internal", text);
}
