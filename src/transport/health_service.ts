/**
 * The health service of gRPC (grpc.health.v1) on the peer port: whether this node serves, asked once or
 * watched. Open to whoever may connect; it tells nothing but that one state.
 * Not here: what decides it (`/readyz` asks the same); the messages (proto/health.proto).
 */
import type * as Grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import {
  HealthCheckRequest,
  HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Status,
} from "./generated/health.ts";
import { HEALTH_WATCHERS_MAX } from "./limits.ts";

/** What is asked about by name; the empty name is the node as a whole. */
const SERVICES: ReadonlySet<string> = new Set(["", "dust.v1.Peer"]);

const STATUS_NOT_FOUND = 5;
const STATUS_RESOURCE_EXHAUSTED = 8;

type Check = Grpc.ServerUnaryCall<HealthCheckRequest, HealthCheckResponse>;
type Watch = Grpc.ServerWritableStream<HealthCheckRequest, HealthCheckResponse>;

/** How the two calls look on the wire. */
const CODEC = {
  requestStream: false,
  requestSerialize: (request: HealthCheckRequest): Buffer =>
    Buffer.from(HealthCheckRequest.encode(request).finish()),
  requestDeserialize: (bytes: Buffer): HealthCheckRequest => HealthCheckRequest.decode(bytes),
  responseSerialize: (response: HealthCheckResponse): Buffer =>
    Buffer.from(HealthCheckResponse.encode(response).finish()),
  responseDeserialize: (bytes: Buffer): HealthCheckResponse => HealthCheckResponse.decode(bytes),
} as const;

/** For `grpc.Server.addService`, with `HealthService.handlers`. */
export const HEALTH_DEFINITION = {
  check: { ...CODEC, path: "/grpc.health.v1.Health/Check", responseStream: false },
  watch: { ...CODEC, path: "/grpc.health.v1.Health/Watch", responseStream: true },
} as const satisfies Grpc.ServiceDefinition;

/** Not serving, until it is told otherwise. */
export class HealthService {
  readonly #watchers = new Set<Watch>();
  #isServing = false;

  /** Takes and tells the state. */
  setServing({ isServing }: { readonly isServing: boolean }): void {
    if (isServing === this.#isServing) return;
    this.#isServing = isServing;
    for (const call of this.#watchers) call.write({ status: this.#status(call.request.service) });
  }

  /** What answers. */
  readonly handlers: Grpc.UntypedServiceImplementation = {
    check: (call: Check, answer: Grpc.sendUnaryData<HealthCheckResponse>): void => {
      const status = this.#status(call.request.service);
      if (status === Status.SERVICE_UNKNOWN) {
        answer({ code: STATUS_NOT_FOUND, details: "Cannot tell: no service of this name" });
        return;
      }
      answer(null, { status });
    },
    watch: (call: Watch): void => {
      if (this.#watchers.size >= HEALTH_WATCHERS_MAX) {
        const details = `Cannot be watched: ${HEALTH_WATCHERS_MAX} watch already`;
        call.emit("error", { code: STATUS_RESOURCE_EXHAUSTED, details });
        return;
      }
      this.#watchers.add(call);
      call.on("cancelled", () => this.#watchers.delete(call));
      call.on("close", () => this.#watchers.delete(call));
      call.write({ status: this.#status(call.request.service) });
    },
  };

  #status(service: string): Status {
    if (!SERVICES.has(service)) return Status.SERVICE_UNKNOWN;
    return this.#isServing ? Status.SERVING : Status.NOT_SERVING;
  }
}
