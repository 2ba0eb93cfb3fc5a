/**
 * Is the history of one register linearizable? Wing and Gong's search (1993) with Lowe's memory of what was
 * tried. Operations whose outcome nobody knows may have happened at any time after they began, or never: 21 of
 * them after one another, as many as a cut-off cluster leaves behind, make 2^21 states when each is tried with
 * each. So values that nobody ever saw or expected count as one, and of operations of unknown outcome that do
 * the same only the earliest is tried next: whenever another could have happened, it could, too.
 */

/** What was asked of a register and what came of it. Values are unique, or small; undefined: not there yet. */
export interface RegisterOperation {
  readonly kind: "read" | "write" | "compare_and_set";
  /** What is written. */
  readonly value?: number | undefined;
  /** What a compare-and-set wants to find. */
  readonly expected?: number | undefined;
  /** What a read saw; whether a compare-and-set did set. */
  readonly seen?: number | undefined;
  readonly isSet?: boolean;
  /** When it was sent, and when its answer came: Infinity for one whose outcome nobody knows. */
  readonly invokedMs: number;
  readonly returnedMs: number;
}

/** `undecided`: the search became too large. */
export type Linearizability = "linearizable" | "violated" | "undecided";

type State = number | undefined;

const STATES_MAX = 500_000;

/** Any value that nobody ever saw or expected. */
const UNSEEN = -1;

/** Judges one register, from `initial` on. Refused operations must not be in `history`. */
export function checkRegister(
  history: readonly RegisterOperation[],
  initial: State = undefined,
): Linearizability {
  const operations = blurred(history)
    .filter(({ kind, returnedMs }) => kind !== "read" || returnedMs !== Infinity)
    .toSorted((left, right) => left.invokedMs - right.invokedMs);
  const known = operations.filter(({ returnedMs }) => returnedMs !== Infinity).length;
  const tried = new Set<string>();
  const stack: Node[] = [{ done: 0n, first: 0, state: initial, known: 0 }];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node.known === known) return "linearizable";
    for (const at of candidates(operations, node)) {
      const next = take(operations, node, at);
      if (next === undefined) continue;
      const name = `${next.done.toString(36)} ${next.state}`;
      if (tried.has(name)) continue;
      if (tried.size >= STATES_MAX) return "undecided";
      tried.add(name);
      stack.push(next);
    }
  }
  return "violated";
}

/** With one value for all that nobody can tell apart. */
function blurred(history: readonly RegisterOperation[]): RegisterOperation[] {
  const told = new Set(history.flatMap(({ seen, expected }) => [seen, expected]));
  return history.map((operation) =>
    told.has(operation.value) ? operation : { ...operation, value: UNSEEN }
  );
}

/** A point of the search: who has had his turn, and what the register holds behind them. */
interface Node {
  readonly done: bigint;
  /** All before this one have had their turn. */
  readonly first: number;
  readonly state: State;
  /** How many of those whose outcome is known have had their turn. */
  readonly known: number;
}

/** Those who may be next: nobody else's answer came before they were sent. */
function candidates(operations: readonly RegisterOperation[], node: Node): readonly number[] {
  const open: number[] = [];
  const deeds = new Set<string>();
  let returnedMinMs = Infinity;
  for (let at = node.first; at < operations.length; at++) {
    const operation = operations[at];
    if (operation === undefined || operation.invokedMs > returnedMinMs) break;
    if ((node.done >> BigInt(at) & 1n) === 1n) continue;
    if (operation.returnedMs === Infinity) {
      const deed = `${operation.kind} ${operation.expected} ${operation.value}`;
      if (deeds.has(deed)) continue;
      deeds.add(deed);
    }
    open.push(at);
    returnedMinMs = Math.min(returnedMinMs, operation.returnedMs);
  }
  // Known ones in their order first: nearly always that is how it was.
  return open.filter((at) => (operations[at]?.invokedMs ?? 0) <= returnedMinMs).reverse();
}

function take(
  operations: readonly RegisterOperation[],
  node: Node,
  at: number,
): Node | undefined {
  const operation = operations[at];
  if (operation === undefined) return undefined;
  const isKnown = operation.returnedMs !== Infinity;
  const state = step(operation, node.state);
  if (state === IMPOSSIBLE) return undefined;
  // What may never have happened need not, where it changes nothing.
  if (!isKnown && state === node.state) return undefined;
  const done = node.done | 1n << BigInt(at);
  let { first } = node;
  while ((done >> BigInt(first) & 1n) === 1n) first += 1;
  return { done, first, state, known: node.known + (isKnown ? 1 : 0) };
}

const IMPOSSIBLE = Symbol("impossible");

function step(operation: RegisterOperation, state: State): State | typeof IMPOSSIBLE {
  const { kind, value, expected, seen, isSet, returnedMs } = operation;
  const isKnown = returnedMs !== Infinity;
  switch (kind) {
    case "read":
      return seen === state ? state : IMPOSSIBLE;
    case "write":
      return value;
    case "compare_and_set": {
      const matches = state === expected;
      if (isKnown && matches !== isSet) return IMPOSSIBLE;
      return matches ? value : state;
    }
  }
}
