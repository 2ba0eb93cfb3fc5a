/**
 * Keeps a simulation closed: while it runs, the real clock, real timers and real chance throw. What is
 * left to wait for is a promise that a simulated port resolves. `drainMicrotasks` runs whatever became
 * runnable, to its end and in order, so that one event is over before the next one begins.
 */
import { assert } from "../../src/base/assert.ts";

interface Core {
  readonly runMicrotasks: () => void;
}

function findCore(): Core {
  const internals: unknown = Reflect.get(Deno, Reflect.get(Deno, "internal") as PropertyKey);
  assert(typeof internals === "object" && internals !== null, "drainMicrotasks: no internals");
  return Reflect.get(internals, "core") as Core;
}

const core = findCore();

/** Runs all microtasks. Only outside of any microtask: see `onEmptyStack`. */
export function drainMicrotasks(): void {
  core.runMicrotasks();
}

/** Calls `work` where no promise is being resolved, so that microtasks can be drained inside it. */
export function onEmptyStack<T>(work: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setTimeout(() => {
      try {
        assertDrains();
        resolve(work());
      } catch (error) {
        reject(error);
      }
    }, 0);
  });
}

function assertDrains(): void {
  let isDrained = false;
  const chain = async (): Promise<void> => {
    await null;
    await null;
    isDrained = true;
  };
  chain().then(undefined, () => undefined);
  drainMicrotasks();
  assert(isDrained, "onEmptyStack: this runtime does not run microtasks when told to");
}

function trap(name: string): () => never {
  return () => {
    throw new Error(`The simulation used ${name}`);
  };
}

/** What is trapped: the object, the property, its name in the error. */
function trapped(): readonly (readonly [object: object, key: string, name: string])[] {
  return [
    [globalThis, "setTimeout", "setTimeout"],
    [globalThis, "setInterval", "setInterval"],
    [globalThis, "setImmediate", "setImmediate"],
    [globalThis, "fetch", "fetch"],
    [globalThis, "Worker", "Worker"],
    [Date, "now", "Date.now"],
    [Math, "random", "Math.random"],
    [performance, "now", "performance.now"],
    [crypto, "getRandomValues", "crypto.getRandomValues"],
    [crypto, "randomUUID", "crypto.randomUUID"],
  ];
}

/** Runs `work` with the traps set, and takes them away again. */
export function withTraps<T>(work: () => T): T {
  const saved = trapped().map(([object, key, name]) => {
    const own = Object.getOwnPropertyDescriptor(object, key);
    Object.defineProperty(object, key, { value: trap(name), configurable: true, writable: true });
    return { object, key, own };
  });
  try {
    return work();
  } finally {
    for (const { object, key, own } of saved) {
      if (own === undefined) Reflect.deleteProperty(object, key);
      else Object.defineProperty(object, key, own);
    }
  }
}
