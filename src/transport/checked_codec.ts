/**
 * Packets, chunks and parts as bytes with a checksum: the last field of each, number 15, is a CRC-32C of
 * all bytes before it. A plaintext connection has only TCP's sum, which lets one error in some ten thousand
 * through; nothing damaged is ever looked at further (faults N8).
 */
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { crc32c } from "../base/crc32c.ts";
import { LITTLE_ENDIAN } from "../command/command_format.ts";
import type { MessageFns } from "./generated/dust.ts";
import { WireError } from "./message_codec.ts";

/** Field 15, four bytes. */
const CHECKSUM_TAG = 125;
const CHECKSUM_BYTES = 5;

/** Bytes of `value` with their checksum, the caller's. Its own `checksum` must be 0. */
export function encodeChecked<T extends { readonly checksum: number }>(
  codec: MessageFns<T>,
  value: T,
): Uint8Array {
  const bytes = codec.encode(value, new BinaryWriter()).uint32(CHECKSUM_TAG).fixed32(0).finish();
  const end = bytes.length - CHECKSUM_BYTES + 1;
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(
    end,
    crc32c(bytes, 0, 0, end - 1),
    LITTLE_ENDIAN,
  );
  return bytes;
}

/** The value in `bytes`; its byte strings are views of them. @throws {WireError} */
export function decodeChecked<T extends { readonly checksum: number }>(
  codec: MessageFns<T>,
  bytes: Uint8Array,
): T {
  const at = bytes.length - CHECKSUM_BYTES;
  if (at < 0 || bytes[at] !== CHECKSUM_TAG) throw new WireError("Bytes without a checksum");
  const expected = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at + 1, LITTLE_ENDIAN);
  if (crc32c(bytes, 0, 0, at) !== expected) throw new WireError("Bytes damaged on the way");
  return decodeWire(codec, bytes);
}

/** As `decodeChecked`, for what has no checksum. @throws {WireError} */
export function decodeWire<T>(codec: MessageFns<T>, bytes: Uint8Array): T {
  try {
    return codec.decode(new BinaryReader(bytes));
  } catch (cause) {
    throw new WireError("Bytes that are not of the protocol", { cause });
  }
}
