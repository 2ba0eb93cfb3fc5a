/**
 * Strict serializability of transactions that append to lists and read them (Elle's list-append). Every
 * element is unique, so a list tells the order of its writers, and every committed transaction says at which
 * entry of the log it stands. That makes the check stronger than a search for cycles: there is one order, of
 * the indexes, and every transaction must have seen exactly what is before it in that order (which leaves
 * no room for G0, G1a to G1c, G-single and G2), and the order must be that of real time.
 */

/** One transaction. */
export interface ListTransaction {
  /** `refused`: nothing happened. `unknown`: all of it may have happened, or nothing. */
  readonly outcome: "done" | "refused" | "unknown";
  /** The entry of the log, of a transaction that is done; of one that only read, the last it saw and a half. */
  readonly index: number;
  readonly steps: readonly ListStep[];
  /** When it was sent, and when its answer came. */
  readonly invokedMs: number;
  readonly returnedMs: number;
}

/** In their order. */
export type ListStep =
  | { readonly kind: "append"; readonly list: number; readonly element: number }
  /** What was seen; of a transaction that is done. */
  | { readonly kind: "read"; readonly list: number; readonly elements: readonly number[] };

/** Where an element comes from. */
interface Writer {
  readonly transaction: ListTransaction;
  readonly list: number;
}

/** Judges a history by the lists as they are at its end. @returns one sentence for each anomaly. */
export function checkLists(
  history: readonly ListTransaction[],
  final: ReadonlyMap<number, readonly number[]>,
): readonly string[] {
  const writers = new Map<number, Writer>();
  for (const transaction of history) {
    for (const step of transaction.steps) {
      if (step.kind === "append") writers.set(step.element, { transaction, list: step.list });
    }
  }
  return [
    ...checkFinal(writers, final),
    ...checkCompleteness(history, final),
    ...checkRealTime(history),
    ...history.filter(({ outcome }) => outcome === "done")
      .flatMap((transaction) => checkReads(transaction, { writers, final })),
  ];
}

/** Each element is there once, in its list, not refused, and in the order of the log. */
function checkFinal(
  writers: ReadonlyMap<number, Writer>,
  final: ReadonlyMap<number, readonly number[]>,
): readonly string[] {
  const anomalies: string[] = [];
  for (const [list, elements] of final) {
    let lastIndex = 0;
    if (new Set(elements).size < elements.length) {
      anomalies.push(`List ${list} has an element twice`);
    }
    for (const element of elements) {
      const writer = writers.get(element);
      if (writer === undefined || writer.list !== list) {
        anomalies.push(`List ${list} has ${element}, which nobody appended`);
        continue;
      }
      const { outcome, index } = writer.transaction;
      if (outcome === "refused") {
        anomalies.push(`List ${list} has ${element}, which was refused (G1a)`);
      }
      if (outcome !== "done") continue;
      if (index < lastIndex) {
        anomalies.push(`List ${list} has ${element} behind a later entry (G0)`);
      }
      lastIndex = index;
    }
  }
  return anomalies;
}

/** What was acknowledged is there; of what nobody knows, all or nothing. */
function checkCompleteness(
  history: readonly ListTransaction[],
  final: ReadonlyMap<number, readonly number[]>,
): readonly string[] {
  const there = new Set([...final.values()].flat());
  return history.flatMap(({ outcome, index, steps }) => {
    const elements = steps.flatMap((step) => step.kind === "append" ? [step.element] : []);
    const found = elements.filter((element) => there.has(element)).length;
    if (outcome === "done" && found < elements.length) {
      return [`Entry ${index} was acknowledged, and ${elements.join()} are not all there`];
    }
    if (outcome === "unknown" && found > 0 && found < elements.length) {
      return [`Of ${elements.join()}, one transaction, only some are there`];
    }
    return [];
  });
}

/** Whoever began when another had ended stands behind him in the log. */
function checkRealTime(history: readonly ListTransaction[]): readonly string[] {
  const done = history.filter(({ outcome }) => outcome === "done");
  const byEnd = done.toSorted((left, right) => left.returnedMs - right.returnedMs);
  const anomalies: string[] = [];
  let at = 0;
  let indexMax = 0;
  for (const transaction of done.toSorted((left, right) => left.invokedMs - right.invokedMs)) {
    for (; (byEnd[at]?.returnedMs ?? Infinity) < transaction.invokedMs; at++) {
      indexMax = Math.max(indexMax, byEnd[at]?.index ?? 0);
    }
    // Transactions that only read share the entry whose effects they saw.
    const isReader = !Number.isInteger(transaction.index);
    if (isReader ? transaction.index < indexMax : transaction.index <= indexMax) {
      anomalies.push(`Entry ${transaction.index} began when ${indexMax} had ended`);
    }
  }
  return anomalies;
}

/** A read sees what stands before it in the log, and what its own transaction has appended so far. */
function checkReads(
  transaction: ListTransaction,
  facts: {
    readonly writers: ReadonlyMap<number, Writer>;
    readonly final: ReadonlyMap<number, readonly number[]>;
  },
): readonly string[] {
  const anomalies: string[] = [];
  const own = new Map<number, number[]>();
  for (const step of transaction.steps) {
    const mine = own.get(step.list) ?? [];
    own.set(step.list, mine);
    if (step.kind === "append") {
      mine.push(step.element);
      continue;
    }
    const problem = readProblem(step, { transaction, mine, ...facts });
    if (problem !== undefined) anomalies.push(`Entry ${transaction.index}: ${problem}`);
  }
  return anomalies;
}

function readProblem(
  read: ListStep & { readonly kind: "read" },
  facts: {
    readonly transaction: ListTransaction;
    readonly mine: readonly number[];
    readonly writers: ReadonlyMap<number, Writer>;
    readonly final: ReadonlyMap<number, readonly number[]>;
  },
): string | undefined {
  const { transaction, mine, writers, final } = facts;
  const { list, elements } = read;
  const whole = final.get(list) ?? [];
  if (elements.some((element, place) => whole[place] !== element)) {
    return `saw list ${list} as it never was`;
  }
  if (mine.some((element, place) => elements[elements.length - mine.length + place] !== element)) {
    return `did not see what it appended to list ${list} itself`;
  }
  const others = elements.slice(0, elements.length - mine.length);
  const early = others.find((element) => isAfter(writers.get(element), transaction));
  if (early !== undefined) {
    return `saw ${early} of list ${list}, which is later in the log (G1, G2)`;
  }
  const missed = whole.slice(elements.length).find((element) =>
    isBefore(writers.get(element), transaction)
  );
  return missed === undefined ? undefined : `did not see ${missed} of list ${list} (G-single, G2)`;
}

function isAfter(writer: Writer | undefined, reader: ListTransaction): boolean {
  return writer?.transaction.outcome === "done" && writer.transaction.index >= reader.index;
}

function isBefore(writer: Writer | undefined, reader: ListTransaction): boolean {
  return writer?.transaction.outcome === "done" && writer.transaction.index < reader.index;
}
