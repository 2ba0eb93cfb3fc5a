/**
 * The reflection service of gRPC, by which tools learn what the peer port understands: its services, and
 * the files that describe them, from the descriptors that were generated with the code.
 * Served as grpc.reflection.v1 and, byte for byte the same, as v1alpha, which older tools ask for.
 */
import type * as Grpc from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { DESCRIPTOR_BASE64 } from "./generated/descriptor.ts";
import { ServerReflectionRequest, ServerReflectionResponse } from "./generated/reflection.ts";

const STATUS_NOT_FOUND = 5;
const STATUS_UNIMPLEMENTED = 12;

const METHOD = {
  requestStream: true,
  responseStream: true,
  requestSerialize: (request: ServerReflectionRequest): Buffer =>
    Buffer.from(ServerReflectionRequest.encode(request).finish()),
  requestDeserialize: (bytes: Buffer): ServerReflectionRequest =>
    ServerReflectionRequest.decode(bytes),
  responseSerialize: (response: ServerReflectionResponse): Buffer =>
    Buffer.from(ServerReflectionResponse.encode(response).finish()),
  responseDeserialize: (bytes: Buffer): ServerReflectionResponse =>
    ServerReflectionResponse.decode(bytes),
} as const;

/** For `grpc.Server.addService`, with `reflectionHandlers`. */
export const REFLECTION_DEFINITION = {
  v1: { ...METHOD, path: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo" },
  v1alpha: { ...METHOD, path: "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" },
} as const satisfies Grpc.ServiceDefinition;

/** What answers. */
export function reflectionHandlers(): Grpc.UntypedServiceImplementation {
  const index = indexDescriptors(DESCRIPTOR_BASE64);
  const handle = (
    call: Grpc.ServerDuplexStream<ServerReflectionRequest, ServerReflectionResponse>,
  ): void => {
    call.on("data", (request: ServerReflectionRequest) => {
      // Whoever asks faster than it reads waits: nothing piles up here.
      if (!call.write(answerReflection(index, request))) {
        call.pause();
        call.once("drain", () => call.resume());
      }
    });
    call.on("end", () => call.end());
  };
  return { v1: handle, v1alpha: handle };
}

/** The files of a descriptor set, by what is asked for. */
interface DescriptorIndex {
  readonly services: readonly string[];
  readonly byFile: ReadonlyMap<string, Uint8Array>;
  /** Of messages, enums, services and methods, with their package. */
  readonly bySymbol: ReadonlyMap<string, Uint8Array>;
}

function answerReflection(
  index: DescriptorIndex,
  request: ServerReflectionRequest,
): ServerReflectionResponse {
  return {
    validHost: request.host,
    originalRequest: request,
    messageResponse: responseTo(index, request.messageRequest),
  };
}

function responseTo(
  index: DescriptorIndex,
  asked: ServerReflectionRequest["messageRequest"],
): ServerReflectionResponse["messageResponse"] {
  switch (asked?.$case) {
    case "listServices":
      return {
        $case: "listServicesResponse",
        value: { service: index.services.map((name) => ({ name })) },
      };
    case "fileByFilename":
      return fileOr(index.byFile.get(asked.value), asked.value);
    case "fileContainingSymbol":
      return fileOr(index.bySymbol.get(asked.value), asked.value);
    case "allExtensionNumbersOfType":
      return {
        $case: "allExtensionNumbersResponse",
        value: { baseTypeName: asked.value, extensionNumber: [] },
      };
    case "fileContainingExtension":
      return fileOr(undefined, `extension of ${asked.value.containingType}`);
    case undefined:
      return errorOf(
        STATUS_UNIMPLEMENTED,
        "Cannot answer: a question that this node does not know",
      );
  }
}

function fileOr(
  file: Uint8Array | undefined,
  wanted: string,
): ServerReflectionResponse["messageResponse"] {
  if (file === undefined) return errorOf(STATUS_NOT_FOUND, `Cannot find ${wanted}`);
  return { $case: "fileDescriptorResponse", value: { fileDescriptorProto: [file] } };
}

function errorOf(
  errorCode: number,
  errorMessage: string,
): ServerReflectionResponse["messageResponse"] {
  return { $case: "errorResponse", value: { errorCode, errorMessage } };
}

// Field numbers of google/protobuf/descriptor.proto.
const SET_FILE = 1;
const FILE = { name: 1, package: 2, message: 4, enum: 5, service: 6 } as const;
const NAME = 1;
const MESSAGE_NESTED = [3, 4] as const;
const SERVICE_METHOD = [2] as const;

function indexDescriptors(base64: string): DescriptorIndex {
  const services: string[] = [];
  const byFile = new Map<string, Uint8Array>();
  const bySymbol = new Map<string, Uint8Array>();
  for (const file of fieldsOf(Uint8Array.fromBase64(base64), SET_FILE)) {
    const prefix = `${textOf(file, FILE.package)}.`;
    byFile.set(textOf(file, FILE.name), file);
    for (const service of fieldsOf(file, FILE.service)) {
      services.push(prefix + textOf(service, NAME));
      addSymbols(bySymbol, { file, prefix, described: service, inner: SERVICE_METHOD });
    }
    for (const message of fieldsOf(file, FILE.message)) {
      addSymbols(bySymbol, { file, prefix, described: message, inner: MESSAGE_NESTED });
    }
    for (const one of fieldsOf(file, FILE.enum)) bySymbol.set(prefix + textOf(one, NAME), file);
  }
  // The same service under the name that older tools ask for; its file says v1.
  services.push("grpc.reflection.v1alpha.ServerReflection");
  return { services, byFile, bySymbol };
}

function addSymbols(symbols: Map<string, Uint8Array>, options: {
  readonly file: Uint8Array;
  readonly prefix: string;
  readonly described: Uint8Array;
  /** Numbers of the fields that hold more with names. */
  readonly inner: readonly number[];
}): void {
  const { file, prefix, described, inner } = options;
  const name = prefix + textOf(described, NAME);
  symbols.set(name, file);
  for (const field of inner) {
    for (const one of fieldsOf(described, field)) symbols.set(`${name}.${textOf(one, NAME)}`, file);
  }
}

/** The contents of all fields `number`, each of them bytes or a message. */
function fieldsOf(bytes: Uint8Array, number: number): readonly Uint8Array[] {
  const reader = new BinaryReader(bytes);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === number) found.push(reader.bytes());
    else reader.skip(wireType);
  }
  return found;
}

function textOf(bytes: Uint8Array, number: number): string {
  return new TextDecoder().decode(fieldsOf(bytes, number)[0] ?? new Uint8Array(0));
}
