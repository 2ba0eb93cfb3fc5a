/**
 * Breadth first through all states of a small world, shortest paths first, so that a violation comes with
 * a shortest way to it. The engine cannot be copied, so a state is its path, and each step is taken in a
 * world that has walked that path again.
 */
import { type Action, ACTION_KINDS, ExploredWorld, type Scope } from "./explored_world.ts";

/** What an exploration has found. */
export interface Exploration {
  /** Distinct states seen. */
  readonly states: number;
  /** Steps taken, also to states seen before. */
  readonly steps: number;
  /** The longest of the shortest paths. */
  readonly depth: number;
  /** Whether there was nothing left to explore. */
  readonly isComplete: boolean;
  readonly violation: { readonly reason: string; readonly path: readonly string[] } | undefined;
}

/** Explores until `statesMax` states were seen. `onProgress` is called now and then. */
export function explore(
  scope: Scope,
  options: { readonly statesMax: number; readonly onProgress: (states: number) => void },
): Exploration {
  return new Explorer(scope, options).run();
}

class Explorer {
  readonly #scope: Scope;
  readonly #options: {
    readonly statesMax: number;
    readonly onProgress: (states: number) => void;
  };
  /** By state, in order of discovery: where it was come from, and by which step. */
  readonly #parents: number[] = [-1];
  readonly #actions: number[] = [-1];
  readonly #depths: number[] = [0];
  readonly #seen = new Set<number>();
  #steps = 0;

  constructor(
    scope: Scope,
    options: { readonly statesMax: number; readonly onProgress: (states: number) => void },
  ) {
    this.#scope = scope;
    this.#options = options;
  }

  run(): Exploration {
    this.#seen.add(hashOf(new ExploredWorld(this.#scope).key));
    let state = 0;
    for (; state < this.#parents.length; state++) {
      if (this.#parents.length >= this.#options.statesMax) break;
      if (state % 10_000 === 0) this.#options.onProgress(this.#parents.length);
      const path = this.#pathTo(state);
      for (const action of this.#walk(path).actions()) {
        const reason = this.#take(state, path, action);
        if (reason !== undefined) return this.#outcome(state, { reason, path: [...path, action] });
      }
    }
    return this.#outcome(state, undefined);
  }

  /** Takes one step. @returns why it must not have been possible. */
  #take(from: number, path: readonly Action[], action: Action): string | undefined {
    this.#steps += 1;
    const world = this.#walk(path);
    try {
      world.act(action);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    const hash = hashOf(world.key);
    if (this.#seen.has(hash)) return undefined;
    this.#seen.add(hash);
    this.#parents.push(from);
    this.#actions.push(ACTION_KINDS.indexOf(action.kind) * 256 + action.at);
    this.#depths.push((this.#depths[from] ?? 0) + 1);
    return undefined;
  }

  #walk(path: readonly Action[]): ExploredWorld {
    const world = new ExploredWorld(this.#scope);
    for (const action of path) world.act(action);
    return world;
  }

  #pathTo(state: number): Action[] {
    const path: Action[] = [];
    for (let at = state; at > 0; at = this.#parents[at] ?? 0) {
      const code = this.#actions[at] ?? 0;
      const kind = ACTION_KINDS[Math.floor(code / 256)] ?? "campaign";
      path.push({ kind, at: code % 256 });
    }
    return path.reverse();
  }

  #outcome(
    state: number,
    violation: { readonly reason: string; readonly path: readonly Action[] } | undefined,
  ): Exploration {
    return {
      states: this.#parents.length,
      steps: this.#steps,
      depth: this.#depths.at(-1) ?? 0,
      isComplete: state >= this.#parents.length,
      violation: violation === undefined ? undefined : {
        reason: violation.reason,
        path: violation.path.map(({ kind, at }) => `${kind} ${at}`),
      },
    };
  }
}

/** 52 bits: of 10^7 states hardly two collide, and a collision only hides a state. */
function hashOf(text: string): number {
  let high = 0x811c9dc5;
  let low = 0x9e3779b1;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    high = Math.imul(high ^ code, 0x01000193);
    low = Math.imul(low ^ code, 0x85ebca6b) ^ low >>> 13;
  }
  return (high >>> 6) * 2 ** 26 + (low >>> 6);
}
