import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { logIndex, nodeId, term } from "../base/ids.ts";
import { ByteView } from "./byte_view.ts";
import { LogDamageError } from "./damage.ts";
import { decodeRecords, encodeRecord, type LogRecord, recordBytes } from "./record.ts";

const LARGEST = Number.MAX_SAFE_INTEGER;
const POINT = {
  index: logIndex(2 ** 33 + 5),
  term: term(2 ** 40 + 1),
  chain: { high: 0xffffffff, low: 0x80000001 },
};
const RECORDS: readonly LogRecord[] = [
  { kind: "entry", point: POINT, entryKind: "normal", payload: Uint8Array.of(1, 2, 3) },
  { kind: "entry", point: POINT, entryKind: "conf_change", payload: new Uint8Array(0) },
  {
    kind: "hard_state",
    hardState: { term: term(LARGEST), vote: nodeId(LARGEST), commit: logIndex(LARGEST) },
  },
  { kind: "truncate", point: POINT },
  {
    kind: "marker",
    isReset: true,
    point: POINT,
    generation: LARGEST,
    configuration: new Uint8Array(70).fill(4),
  },
  {
    kind: "marker",
    isReset: false,
    point: POINT,
    generation: 0,
    configuration: new Uint8Array(0),
  },
  {
    kind: "head",
    identity: {
      clusterId: new Uint8Array(16).fill(1),
      nodeId: LARGEST,
      incarnation: new Uint8Array(16).fill(2),
    },
    sizeBytes: 5 * 1024 ** 3,
    previous: POINT,
  },
  { kind: "sealed" },
];
const PLACE = { file: "f", offset: 3 };

function encodeAll(records: readonly LogRecord[]): ByteView {
  const size = records.reduce((sum, record) => sum + recordBytes(record), 0);
  const data = new ByteView(new Uint8Array(size));
  let at = 0;
  for (const record of records) at = encodeRecord(data, at, record);
  strictEqual(at, size);
  return data;
}

Deno.test("decodeRecords() returns what encodeRecord() wrote, every kind, back to back", () => {
  const data = encodeAll(RECORDS);
  deepStrictEqual(decodeRecords(data, { from: 0, to: data.bytes.length }, PLACE), RECORDS);
});

Deno.test("the format is frozen: an entry and a hard state, byte by byte", () => {
  const data = encodeAll([
    {
      kind: "entry",
      point: { index: logIndex(258), term: term(3), chain: { high: 0x01020304, low: 0x0a0b0c0d } },
      entryKind: "conf_change",
      payload: Uint8Array.of(0xaa),
    },
    { kind: "hard_state", hardState: { term: term(3), vote: nodeId(2), commit: logIndex(257) } },
  ]);
  const hex = Array.from(data.bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  strictEqual(
    hex,
    "01010000" + "01000000" + "0201000000000000" + "0300000000000000" + "04030201" + "0d0c0b0a" +
      "aa" + "02000000" + "00000000" + "0300000000000000" + "0200000000000000" +
      "0101000000000000",
  );
});

Deno.test("decodeRecords() refuses unknown kinds, cut records and other format versions", () => {
  const refused = (change: (bytes: Uint8Array) => void, records: readonly LogRecord[]): void => {
    const data = encodeAll(records);
    change(data.bytes);
    throws(
      () => decodeRecords(data, { from: 0, to: data.bytes.length }, PLACE),
      (error) => error instanceof LogDamageError && error.place === PLACE,
    );
  };
  for (const record of RECORDS) {
    refused((bytes) => bytes[0] = 7, [record]);
    refused((bytes) => bytes[0] = 0, [record]);
    refused((bytes) => bytes[4] = (bytes[4] ?? 0) + 1, [record]);
    const data = encodeAll([record]);
    for (let to = 1; to < data.bytes.length; to++) {
      throws(() => decodeRecords(data, { from: 0, to }, PLACE), { name: "FatalError" });
    }
  }
  refused((bytes) => bytes[1] = 2, RECORDS.slice(0, 1));
  refused((bytes) => bytes[1] = 2, RECORDS.slice(6, 7));
});
