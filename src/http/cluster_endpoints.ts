/**
 * The endpoints that change the cluster: DELETE /remove and POST /leader (the wire contract, sections 3.10
 * and 3.11), and POST /time, which is Dust's own. Any node takes them; the leader carries them out.
 */
import { OperatingError } from "../base/errors.ts";
import { decodeBody } from "../command/request.ts";
import type { DatabasePort } from "./database_port.ts";
import { adminErrorAnswer } from "./error_response.ts";
import type { Exchange } from "./exchange.ts";
import type { BodyReader } from "./request_body.ts";
import type { Responses } from "./responses.ts";

/** See the file's header. */
export class ClusterEndpoints {
  readonly #database: DatabasePort;
  readonly #responses: Responses;
  readonly #bodies: BodyReader;
  readonly #servedBy: string;

  constructor(options: {
    readonly database: DatabasePort;
    readonly responses: Responses;
    readonly bodies: BodyReader;
    /** The value of `X-RQLITE-SERVED-BY`: this node's advertised HTTP address. */
    readonly servedBy: string;
  }) {
    this.#database = options.database;
    this.#responses = options.responses;
    this.#bodies = options.bodies;
    this.#servedBy = options.servedBy;
  }

  /** DELETE /remove. */
  async remove(exchange: Exchange): Promise<Response> {
    const id = idToRemove(await this.#text(exchange.request));
    if (id === undefined) return this.#responses.empty({ status: 400 });
    const elsewhere = this.#elsewhere(exchange);
    if (elsewhere !== undefined) return elsewhere;
    await this.#database.remove(id, { timeoutMs: exchange.options.timeoutMs });
    return this.#done();
  }

  /** POST /leader. */
  async stepDown(exchange: Exchange): Promise<Response> {
    const { request, options } = exchange;
    let id: string | undefined;
    if (request.headers.get("content-type") === "application/json") {
      const target = targetOf(await this.#text(request));
      if (target.kind === "wrong") {
        return this.#responses.error({ status: 400, message: `invalid JSON: ${target.reason}` });
      }
      id = target.id;
    }
    const elsewhere = this.#elsewhere(exchange);
    if (elsewhere !== undefined) return elsewhere;
    try {
      await this.#database.stepDown(id, { timeoutMs: options.timeoutMs });
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      // On a node alone there is nobody to hand over to, which only who waits wants to know.
      if (!options.wait && error.message === "cannot find peer") {
        return this.#responses.empty({ status: 200 });
      }
      const { status, message } = adminErrorAnswer(error);
      const text = error.code === "not_leader" ? message : `stepdown: ${message}`;
      return this.#responses.error({ status, message: text });
    }
    return this.#done();
  }

  /** POST /time. */
  async setTime(exchange: Exchange): Promise<Response> {
    const elsewhere = this.#elsewhere(exchange);
    if (elsewhere !== undefined) return elsewhere;
    await this.#database.setTime({ timeoutMs: exchange.options.timeoutMs });
    return this.#done();
  }

  /** Whoever asks for it is sent to the leader. @throws {OperatingError} `not_leader` when none is known. */
  #elsewhere(exchange: Exchange): Response | undefined {
    const leaderUrl = exchange.options.redirect ? this.#database.elsewhere(undefined) : undefined;
    return leaderUrl === undefined ? undefined : this.#responses.toLeader(leaderUrl, exchange);
  }

  #done(): Response {
    const response = this.#responses.empty({ status: 200 });
    response.headers.append("X-RQLITE-SERVED-BY", this.#servedBy);
    return response;
  }

  async #text(request: Request): Promise<string> {
    const body = await this.#bodies.read(request);
    try {
      return decodeBody(body.text);
    } finally {
      this.#bodies.release(body.sizeBytes);
    }
  }
}

/** An object with exactly one member, `id`, a text. */
function idToRemove(text: string): string | undefined {
  const value = parse(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const members = Object.entries(value);
  const [[name, id] = []] = members;
  return members.length === 1 && name === "id" && typeof id === "string" ? id : undefined;
}

/** `{"id": text or null}`, or nothing. */
function targetOf(
  text: string,
):
  | { readonly kind: "target"; readonly id: string | undefined }
  | { readonly kind: "wrong"; readonly reason: string } {
  if (text === "") return { kind: "target", id: undefined };
  const value = parse(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return { kind: "wrong", reason: "it is no object" };
  }
  const id = "id" in value ? value.id : undefined;
  if (id === null || id === undefined || id === "") return { kind: "target", id: undefined };
  return typeof id === "string"
    ? { kind: "target", id }
    : { kind: "wrong", reason: "id is no text" };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
