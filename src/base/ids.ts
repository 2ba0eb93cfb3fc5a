/**
 * The numbers of the Raft paper as distinct types, so that a term cannot be passed for an index.
 * All are safe integers; values from disk, network or SQLite are checked by the functions here.
 */
import { assert } from "./assert.ts";

/** Place of an entry in the log, from 1; 0 is "before the first". */
export type LogIndex = number & { readonly brand: "LogIndex" };

/** Election term, from 1; 0 is "before the first election". */
export type Term = number & { readonly brand: "Term" };

/** The engine's number for a member, from 1, never reused (rule M1); 0 is "nobody". */
export type NodeId = number & { readonly brand: "NodeId" };

/** Checks and brands an index. @throws {AssertionError} when it is not a safe integer of at least 0. */
export function logIndex(value: number): LogIndex {
  assert(Number.isSafeInteger(value) && value >= 0, "logIndex: not a safe integer of at least 0");
  return value as LogIndex;
}

/** Checks and brands a term. @throws {AssertionError} when it is not a safe integer of at least 0. */
export function term(value: number): Term {
  assert(Number.isSafeInteger(value) && value >= 0, "term: not a safe integer of at least 0");
  return value as Term;
}

/** Checks and brands a node id. @throws {AssertionError} when it is not a safe integer of at least 0. */
export function nodeId(value: number): NodeId {
  assert(Number.isSafeInteger(value) && value >= 0, "nodeId: not a safe integer of at least 0");
  return value as NodeId;
}
