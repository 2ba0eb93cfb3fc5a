/**
 * Answers with the headers that every answer carries (the wire contract, section 1.3) and the forms
 * that bodies take: JSON, text errors, nothing.
 *
 * How a Response is made matters here: with one `content-type` in its literal the runtime takes a
 * short way (0.1 µs), and each header appended costs another 0.15 µs; given six headers at once, or a
 * status, it takes 3 to 6 µs, a third of what a whole request may cost.
 */

/** The content type of answers in JSON. */
export const JSON_TYPE = "application/json; charset=utf-8";

/** The content type of text, and of errors. */
export const TEXT_TYPE = "text/plain; charset=utf-8";

/** Makes answers. */
export class Responses {
  readonly #version: string;
  readonly #allowOrigin: string | undefined;

  constructor(options: {
    /** The value of `X-RQLITE-VERSION`. */
    readonly version: string;
    /** The value of `Access-Control-Allow-Origin`; undefined for none. */
    readonly allowOrigin: string | undefined;
  }) {
    this.#version = options.version;
    this.#allowOrigin = options.allowOrigin;
  }

  /** Status 200 with JSON. */
  json(body: string | ReadableStream<Uint8Array>): Response {
    return this.#withHeaders(
      new Response(body, { headers: { "content-type": "application/json; charset=utf-8" } }),
    );
  }

  /** Text as it is, with the content type given. */
  text(
    body: string,
    options: { readonly status?: number; readonly contentType?: string } = {},
  ): Response {
    const { status = 200, contentType = TEXT_TYPE } = options;
    return this.#withHeaders(
      new Response(body, { status, headers: { "content-type": contentType } }),
    );
  }

  /** An error as text: the message and a line end (section 1.5). */
  error(options: { readonly status: number; readonly message: string }): Response {
    const response = this.text(`${options.message}\n`, { status: options.status });
    response.headers.append("X-Content-Type-Options", "nosniff");
    return response;
  }

  /** No body. */
  empty(options: { readonly status: number; readonly contentType?: string | undefined }): Response {
    const response = this.#withHeaders(new Response(null, { status: options.status }));
    if (options.contentType !== undefined) {
      response.headers.append("Content-Type", options.contentType);
    }
    return response;
  }

  /** The same request again, to the leader. */
  toLeader(
    leaderUrl: string,
    { path, query = "" }: { readonly path: string; readonly query: string | undefined },
  ): Response {
    return this.redirect({ status: 301, location: `${leaderUrl}${path}?${query}` });
  }

  /** A redirect; without `body` it is empty. */
  redirect(options: {
    readonly status: 301 | 302;
    readonly location: string;
    readonly html?: string;
  }): Response {
    const response = options.html === undefined
      ? this.empty({ status: options.status })
      : this.text(options.html, {
        status: options.status,
        contentType: "text/html; charset=utf-8",
      });
    response.headers.append("Location", escapeNonAscii(options.location));
    return response;
  }

  #withHeaders(response: Response): Response {
    const headers = response.headers;
    headers.append("X-RQLITE-VERSION", this.#version);
    headers.append("Access-Control-Allow-Methods", "OPTIONS, GET, POST");
    headers.append("Access-Control-Allow-Headers", "Content-Type");
    if (this.#allowOrigin !== undefined) {
      headers.append("Access-Control-Allow-Origin", this.#allowOrigin);
    }
    return response;
  }
}

/** A request's path may hold any text, which the runtime refuses to put into a header. */
function escapeNonAscii(url: string): string {
  return url.toWellFormed().replaceAll(/[^\x21-\x7e]/gu, encodeURIComponent);
}
