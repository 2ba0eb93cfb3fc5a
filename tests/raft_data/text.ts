/**
 * How scenario files write entries, messages, Readys and states (their README, section 6). Ids are hex
 * in messages, decimal elsewhere.
 */
import { decodeConfChange } from "../../src/raft/conf_change.ts";
import type { Message } from "../../src/raft/message.ts";
import { messageTypeName } from "../../src/raft/trace_text.ts";
import type {
  ConfState,
  Entry,
  HardState,
  ProposedEntry,
  Role,
  SnapshotMetadata,
} from "../../src/raft/types.ts";
import { ScriptError } from "./script.ts";

/** A message as it is printed, whatever queue it is in. */
export interface Sheet {
  readonly from: string;
  readonly to: string;
  readonly type: string;
  readonly term: number;
  readonly logTerm?: number;
  readonly index?: number;
  readonly rejectHint?: number;
  readonly commit?: number;
  readonly vote?: number;
  readonly entries?: readonly (Entry | ProposedEntry)[];
  readonly snapshot?: SnapshotMetadata | undefined;
  readonly responses?: readonly Sheet[];
}

/** The sheet of a message between nodes. */
export function messageSheet(message: Message): Sheet {
  const { term } = message;
  const from = message.kind === "transfer_leader" ? message.transferee : message.from;
  const route = {
    from: nodeText(from),
    to: nodeText(message.to),
    type: messageTypeName(message),
    term,
  };
  switch (message.kind) {
    case "append": {
      const { prevTerm, prevIndex, commit, entries } = message;
      return { ...route, logTerm: prevTerm, index: prevIndex, commit, entries };
    }
    case "append_response": {
      const { index, rejection } = message;
      if (rejection === undefined) return { ...route, index };
      return { ...route, index, logTerm: rejection.hintTerm, rejectHint: rejection.hintIndex };
    }
    case "vote_request":
      return { ...route, logTerm: message.lastTerm, index: message.lastIndex };
    case "vote_response":
      return message.isGranted ? route : { ...route, rejectHint: 0 };
    case "heartbeat":
      return { ...route, commit: message.commit };
    case "snapshot":
      return { ...route, snapshot: message.snapshot };
    case "propose":
      return { ...route, entries: message.entries };
    case "read_index_response":
      return { ...route, index: message.index };
    default:
      return route;
  }
}

function nodeText(id: number): string {
  return id === 0 ? "None" : id.toString(16);
}

/** One message; more lines only for several entries, a snapshot or responses. */
export function sheetText(sheet: Sheet, indent = ""): string {
  const { entries = [], responses = [], snapshot } = sheet;
  let text = `${indent}${sheet.from}->${sheet.to} ${sheet.type} Term:${sheet.term}`;
  text += ` Log:${sheet.logTerm ?? 0}/${sheet.index ?? 0}`;
  if (sheet.rejectHint !== undefined) text += ` Rejected (Hint: ${sheet.rejectHint})`;
  if ((sheet.commit ?? 0) !== 0) text += ` Commit:${sheet.commit}`;
  if ((sheet.vote ?? 0) !== 0) text += ` Vote:${sheet.vote}`;
  if (entries.length === 1) text += ` Entries:[${entries.map(entryText).join("")}]`;
  if (entries.length > 1) {
    const lines = entries.map((entry) => `\n${indent}  ${entryText(entry)}`);
    text += ` Entries:[${lines.join("")}\n${indent}]`;
  }
  if (snapshot !== undefined && snapshot.index > 0) {
    text += `\n${indent}  Snapshot: ${snapshotText(snapshot)}`;
  }
  if (responses.length > 0) {
    const lines = responses.map((response) => `\n${sheetText(response, `${indent}  `)}`);
    text += ` Responses:[${lines.join("")}\n${indent}]`;
  }
  return text;
}

/** Such as `1/12 EntryNormal "prop_1"`; what was only proposed has no place yet, 0/0. */
export function entryText(entry: Entry | ProposedEntry): string {
  const place = "index" in entry ? `${entry.term}/${entry.index}` : "0/0";
  if (entry.kind === "normal") return `${place} EntryNormal ${quote(entry.payload)}`;
  const change = entry.payload === undefined ? undefined : decodeConfChange(entry.payload);
  if (change === undefined) throw new ScriptError("an entry is no configuration change");
  const type = change.form === "single" ? "EntryConfChange" : "EntryConfChangeV2";
  const tokens = change.changes.map((single) => `${TOKENS[single.type]}${single.nodeId}`);
  return [`${place} ${type}`, ...tokens].join(" ");
}

const TOKENS = { add_voter: "v", add_learner: "l", remove: "r", update: "u" } as const;

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

/** Bytes in double quotes: printable characters as they are, the rest escaped. */
export function quote(payload: Uint8Array | undefined): string {
  let text = "";
  const bytes = payload ?? new Uint8Array(0);
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at);
    const char = length === 0 ? undefined : decode(bytes.subarray(at, at + length));
    if (char === undefined || /^\p{C}$/u.test(char)) text += escapeChar(char, bytes[at] as number);
    else text += ESCAPES[char] ?? (/^[\p{Z}]$/u.test(char) && char !== " " ? escape(char) : char);
    at += Math.max(1, length);
  }
  return `"${text}"`;
}

function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  const length = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  return decode(bytes.subarray(at, at + length)) === undefined ? 0 : length;
}

function decode(bytes: Uint8Array): string | undefined {
  const text = new TextDecoder().decode(bytes);
  return text.includes("\uFFFD") ? undefined : text;
}

function escapeChar(char: string | undefined, byte: number): string {
  if (char === undefined) return `\\x${byte.toString(16).padStart(2, "0")}`;
  return ESCAPES[char] ?? escape(char);
}

function escape(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, "0")}`;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, "0")}`;
  return `\\U${code.toString(16).padStart(8, "0")}`;
}

/** Such as `Index:11 Term:1 ConfState:Voters:[1 2 3] ...`. */
export function snapshotText(snapshot: SnapshotMetadata): string {
  return `Index:${snapshot.index} Term:${snapshot.term} ` +
    `ConfState:${confStateText(snapshot.configuration)}`;
}

function confStateText(state: ConfState): string {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = state;
  return `Voters:[${voters.join(" ")}] VotersOutgoing:[${votersOutgoing.join(" ")}] ` +
    `Learners:[${learners.join(" ")}] LearnersNext:[${learnersNext.join(" ")}] ` +
    `AutoLeave:${autoLeave}`;
}

/** Such as `Term:1 Vote:1 Commit:3`. */
export function hardStateText(state: HardState): string {
  const vote = state.vote === 0 ? "" : ` Vote:${state.vote}`;
  return `Term:${state.term}${vote} Commit:${state.commit}`;
}

const ROLE_NAMES: Readonly<Record<Role, string>> = {
  follower: "StateFollower",
  pre_candidate: "StatePreCandidate",
  candidate: "StateCandidate",
  leader: "StateLeader",
};

/** Such as `StateFollower`. */
export function roleText(role: Role): string {
  return ROLE_NAMES[role];
}
