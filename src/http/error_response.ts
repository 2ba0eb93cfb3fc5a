/**
 * The one map from the code of an expected failure to what the client gets (the wire contract,
 * sections 8.3 and 17). Clients of this API look at three places: the status, the error of the
 * request, and the error of each statement; most failures of the cluster are the second kind, with
 * status 200.
 */
import type { ErrorCode, OperatingError } from "../base/errors.ts";

/** How a failure is answered. */
export type ErrorAnswer =
  /** Status 200, `{"results":[],"error":message}`. */
  | { readonly kind: "envelope"; readonly message: string }
  /** A status of its own, the message as text. */
  | { readonly kind: "text"; readonly status: number; readonly message: string };

/** `envelope`, or a status; `message` where the wire wants one text whatever the cause. */
type Outcome = "envelope" | { readonly status: number; readonly message?: string };

const OUTCOME: { readonly [code in ErrorCode]: Outcome } = {
  bad_request: { status: 400 },
  too_large: { status: 413 },
  not_leader: { status: 503, message: "leader not found" },
  not_ready: "envelope",
  overloaded: { status: 503 },
  disk_full: { status: 507 },
  timeout: "envelope",
  canceled: { status: 408 },
  stale_read: "envelope",
  outcome_unknown: "envelope",
  unauthorized: { status: 401 },
  conflict: { status: 409 },
  key_reused: { status: 422 },
  keys_full: { status: 429 },
  session_refused: { status: 503 },
  index_not_reached: { status: 408 },
  quarantined: { status: 503 },
  internal: "envelope",
};

/** The answer of `/db/execute`, `/db/query` and `/db/request`. */
export function dataErrorAnswer(error: OperatingError): ErrorAnswer {
  const outcome = OUTCOME[error.code];
  if (outcome === "envelope") return { kind: "envelope", message: error.message };
  return { kind: "text", status: outcome.status, message: outcome.message ?? error.message };
}

/** The answer of every other endpoint: there is no envelope, so what would go there is a 500 or 503. */
export function adminErrorAnswer(
  error: OperatingError,
): { readonly status: number; readonly message: string } {
  const answer = dataErrorAnswer(error);
  if (answer.kind === "text") return answer;
  return { status: error.code === "not_ready" ? 503 : 500, message: answer.message };
}
