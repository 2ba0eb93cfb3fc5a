/**
 * Health and reflection over a real socket, as ordinary gRPC tools use them.
 */
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import * as grpc from "@grpc/grpc-js";
import { HealthCheckResponse } from "./generated/health.ts";
import {
  type ServerReflectionRequest,
  type ServerReflectionResponse,
} from "./generated/reflection.ts";
import { HEALTH_DEFINITION, HealthService } from "./health_service.ts";
import { HEALTH_WATCHERS_MAX } from "./limits.ts";
import { channelCredentials } from "./peer_credentials.ts";
import { OpenSockets, QuietEnd } from "./quiet_end.ts";
import { REFLECTION_DEFINITION, reflectionHandlers } from "./reflection_service.ts";

interface Served extends Disposable {
  readonly health: HealthService;
  readonly client: grpc.Client;
}

async function serve(): Promise<Served> {
  const server = new grpc.Server();
  const health = new HealthService();
  server.addService(HEALTH_DEFINITION, health.handlers);
  server.addService(REFLECTION_DEFINITION, reflectionHandlers());
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(
      "127.0.0.1:0",
      grpc.ServerCredentials.createInsecure(),
      (error, bound) => error === null ? resolve(bound) : reject(error),
    )
  );
  const quietEnd = new QuietEnd(server);
  const address = `127.0.0.1:${port}`;
  const sockets = new OpenSockets();
  const onSocket = (socket: Socket): void => sockets.add(socket);
  const credentials = channelCredentials(grpc, { tls: undefined, address, onSocket });
  const client = new grpc.Client(address, credentials, {
    "grpc.use_local_subchannel_pool": 1,
  });
  return {
    health,
    client,
    [Symbol.dispose]: () => {
      sockets.destroy();
      client.close();
      quietEnd.end();
    },
  };
}

const SERVING = Buffer.from([0x08, 1]);
const NOT_SERVING = Buffer.from([0x08, 2]);

/** The bytes of an answer, or the code of a refusal. */
function check(client: grpc.Client, service: string): Promise<Buffer | grpc.status> {
  const { path, requestSerialize } = HEALTH_DEFINITION.check;
  return new Promise((resolve) =>
    client.makeUnaryRequest(
      path,
      requestSerialize,
      (bytes) => bytes,
      { service },
      (error, bytes) => resolve(bytes ?? error?.code ?? grpc.status.UNKNOWN),
    )
  );
}

Deno.test("HealthService answers with the node's state, in the bytes that gRPC's tools know", async () => {
  using served = await serve();
  deepStrictEqual(await check(served.client, ""), NOT_SERVING);
  served.health.setServing({ isServing: true });
  deepStrictEqual(await check(served.client, ""), SERVING);
  deepStrictEqual(await check(served.client, "dust.v1.Peer"), SERVING);
  strictEqual(await check(served.client, "dust.v2.Peer"), grpc.status.NOT_FOUND);
});

interface Watching {
  /** The next state, or the code of the end. */
  next(): Promise<number>;
  cancel(): void;
}

function watch(client: grpc.Client): Watching {
  const { path, requestSerialize } = HEALTH_DEFINITION.watch;
  const decode = (bytes: Buffer): HealthCheckResponse => HealthCheckResponse.decode(bytes);
  const call = client.makeServerStreamRequest(path, requestSerialize, decode, { service: "" });
  const seen: number[] = [];
  let wake = Promise.withResolvers<void>();
  const add = (value: number): void => {
    seen.push(value);
    wake.resolve();
    wake = Promise.withResolvers();
  };
  call.on("data", ({ status }: HealthCheckResponse) => add(status));
  call.on("error", (error: grpc.ServiceError) => add(error.code));
  return {
    next: async () => {
      while (seen.length === 0) await wake.promise;
      return seen.shift() ?? -1;
    },
    cancel: () => call.cancel(),
  };
}

Deno.test("HealthService tells watchers at once and after each change", async () => {
  using served = await serve();
  const watching = watch(served.client);
  strictEqual(await watching.next(), 2);
  served.health.setServing({ isServing: true });
  served.health.setServing({ isServing: true });
  served.health.setServing({ isServing: false });
  strictEqual(await watching.next(), 1);
  strictEqual(await watching.next(), 2);
  watching.cancel();
  strictEqual(await watching.next(), grpc.status.CANCELLED);
});

Deno.test("HealthService is watched by so many and no more, and by others when one left", async () => {
  using served = await serve();
  const all = Array.from({ length: HEALTH_WATCHERS_MAX }, () => watch(served.client));
  for (const one of all) strictEqual(await one.next(), 2);
  strictEqual(await watch(served.client).next(), grpc.status.RESOURCE_EXHAUSTED);
  all[0]?.cancel();
  // The server hears of the end on the same connection, before the next request.
  strictEqual(await all[0]?.next(), grpc.status.CANCELLED);
  strictEqual(await watch(served.client).next(), 2);
});

/** One question, one answer. */
function reflect(
  client: grpc.Client,
  question: ServerReflectionRequest["messageRequest"],
  version: "v1" | "v1alpha" = "v1",
): Promise<ServerReflectionResponse> {
  const { path, requestSerialize, responseDeserialize } = REFLECTION_DEFINITION[version];
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  return new Promise((resolve, reject) => {
    call.on("data", (response: ServerReflectionResponse) => {
      resolve(response);
      call.end();
    });
    call.on("error", reject);
    call.write({ host: "here", messageRequest: question });
  });
}

Deno.test("reflection lists the services, by both names of itself", async () => {
  using served = await serve();
  for (const version of ["v1", "v1alpha"] as const) {
    const question = { $case: "listServices", value: "" } as const;
    const { messageResponse, validHost } = await reflect(served.client, question, version);
    ok(messageResponse?.$case === "listServicesResponse");
    strictEqual(validHost, "here");
    deepStrictEqual(messageResponse.value.service.map(({ name }) => name).sort(), [
      "dust.v1.Peer",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
  }
});

Deno.test("reflection finds the file of a service, method, message, nested enum and file name", async () => {
  using served = await serve();
  const names: readonly (readonly [string, string])[] = [
    ["dust.v1.Peer", "dust.proto"],
    ["dust.v1.Peer.Talk", "dust.proto"],
    ["dust.v1.Packet", "dust.proto"],
    ["dust.v1.Lane", "dust.proto"],
    ["grpc.health.v1.HealthCheckResponse.ServingStatus", "health.proto"],
  ];
  for (const [symbol, file] of names) {
    const bySymbol = await reflect(served.client, {
      $case: "fileContainingSymbol",
      value: symbol,
    });
    const byName = await reflect(served.client, { $case: "fileByFilename", value: file });
    ok(bySymbol.messageResponse?.$case === "fileDescriptorResponse", symbol);
    deepStrictEqual(bySymbol.messageResponse, byName.messageResponse);
    const [bytes] = bySymbol.messageResponse.value.fileDescriptorProto;
    ok(Buffer.from(bytes ?? []).subarray(2).toString().startsWith(file));
  }
});

Deno.test("reflection says so when it does not know a symbol, and goes on", async () => {
  using served = await serve();
  for (const value of ["dust.v1.Nothing", "", "toString"]) {
    const question = { $case: "fileContainingSymbol", value } as const;
    const { messageResponse } = await reflect(served.client, question);
    ok(messageResponse?.$case === "errorResponse");
    strictEqual(messageResponse.value.errorCode, grpc.status.NOT_FOUND);
  }
  const { messageResponse } = await reflect(served.client, undefined);
  ok(messageResponse?.$case === "errorResponse");
  strictEqual(messageResponse.value.errorCode, grpc.status.UNIMPLEMENTED);
});
