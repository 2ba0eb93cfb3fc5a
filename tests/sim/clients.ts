/**
 * Clients: each writes or reads, one thing at a time, at whatever node it believes to lead. What they are
 * told goes to the history, which knows whether it is true: `done` with the write's own result, `refused`
 * for what never happened, `unknown`, and reads that have seen everything acknowledged before.
 */
import { OperatingError } from "../../src/base/errors.ts";
import { runInBackground } from "../../src/base/background.ts";
import { encodeCommand } from "../../src/command/command_encoder.ts";
import type { Node } from "../../src/node/node.ts";
import type { Chance } from "./chance.ts";
import { encodeModelCommand, type ModelCommand } from "./model_state.ts";
import type { SimProcess } from "./sim_process.ts";
import { encodeSqlCommand, faultOfAnswer } from "./sql_commands.ts";
import type { World } from "./world.ts";

const KEYS = 8;
const PATIENCE_MS = 8000;
const READ_TIMEOUT_MS = 5000;

/** How much longer clients think in a lull. */
const LULL_FACTOR = 20;

/** See the file's header. */
export class Clients {
  readonly #world: World;
  readonly #chance: Chance;
  #nextId = 1;
  #isOver = false;

  constructor(world: World) {
    this.#world = world;
    this.#chance = world.stream("clients");
  }

  /** All clients begin. */
  begin(): void {
    for (let i = 0; i < this.#world.options.clients; i++) this.#later();
  }

  /** Nothing new is begun. */
  end(): void {
    this.#isOver = true;
  }

  #later(): void {
    const { options, isLull } = this.#world;
    const thinkMs = isLull ? options.thinkMs * LULL_FACTOR : options.thinkMs;
    this.#world.timeline.after(this.#chance.waitMs(thinkMs), () => {
      if (!this.#isOver) this.#act();
    });
  }

  #act(): void {
    const process = this.#target();
    if (process === undefined) return this.#later();
    // Whatever comes first: an answer, or the end of patience.
    let isOver = false;
    const over = (): void => {
      if (isOver) return;
      isOver = true;
      this.#later();
    };
    const isRead = this.#chance.happens(this.#world.options.readShare);
    const isTaken = process.enter((node) => {
      if (isRead) this.#read(process, node, over);
      else {runInBackground(this.write(process, node).finally(over), (error) =>
          process.failed(error));}
    });
    if (isTaken) this.#world.timeline.after(PATIENCE_MS, over);
    else over();
  }

  #target(): SimProcess | undefined {
    if (this.#chance.happens(0.8)) {
      const leaders = this.#world.running().filter(({ process }) =>
        process?.node?.isLeader === true
      );
      const leader = this.#chance.pick(leaders);
      if (leader !== undefined) return leader.process;
    }
    return this.#chance.pick(this.#world.running())?.process;
  }

  /** One write. @returns whether it was acknowledged. */
  async write(process: SimProcess, node: Node): Promise<boolean> {
    const { judge, trace } = this.#world;
    const { isSqlite } = this.#world.options;
    const command = this.#nextCommand();
    const padding = this.#chance.below(this.#world.options.payloadBytesMax);
    trace.note("write", process.machine.id, [command.id]);
    try {
      const payload = isSqlite
        ? encodeSqlCommand(command, this.#chance)
        : encodeModelCommand(command, padding);
      const { results, index } = await node.write(payload, 0);
      if (!process.isAlive) return false;
      const fault = isSqlite ? faultOfAnswer(command.id, results) : undefined;
      if (fault !== undefined) judge.fail(fault);
      if (!isSqlite && results !== String(command.id)) {
        judge.fail(`write ${command.id} was answered with ${results}`);
      }
      this.#world.count("writesAcked");
      judge.history.ack({ id: command.id, index });
      trace.note("acked", process.machine.id, [command.id, index]);
      return true;
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      if (process.isAlive) this.#refused(process, command, error);
      return false;
    }
  }

  #nextCommand(): ModelCommand {
    const isHeavy = this.#chance.happens(this.#world.options.heavyShare) || this.#world.isHeavyNext;
    // Often two in a row: verdicts must not mix.
    this.#world.isHeavyNext = isHeavy && this.#chance.happens(0.4);
    const weight = isHeavy ? this.#chance.pick(["heavy", "endless"] as const) : undefined;
    return {
      key: this.#chance.below(KEYS),
      id: this.#nextId++,
      weight: weight ?? "light",
      fails: this.#chance.happens(0.05),
    };
  }

  #refused(process: SimProcess, command: ModelCommand, error: OperatingError): void {
    const { judge, trace } = this.#world;
    trace.note("refused", process.machine.id, [command.id], () => `${command.id} ${error.code}`);
    if (error.code === "outcome_unknown") {
      this.#world.count("writesUnknown");
    } else if (error.code === "internal") {
      // An error of the statement is a result.
      if (!this.#world.options.isSqlite && error.message !== `failed ${command.id}`) {
        judge.fail(`write ${command.id} was answered with ${error.message}`);
      }
    } else {
      this.#world.count("writesRefused");
      judge.history.refuse(command.id);
    }
  }

  #read(process: SimProcess, node: Node, over: () => void): void {
    if (!node.isLeader && this.#chance.happens(0.5)) {
      this.#world.readAtFollower(process);
      return over();
    }
    const isStrong = this.#chance.happens(0.2);
    const { readFloor: floor } = this.#world.judge.history;
    const reading = this.#readAt(process, node, { isStrong, floor }).finally(over);
    runInBackground(reading, (error) => process.failed(error));
  }

  async #readAt(
    process: SimProcess,
    node: Node,
    read: { readonly isStrong: boolean; readonly floor: number },
  ): Promise<void> {
    try {
      if (read.isStrong) await node.barrier();
      else await node.confirmRead(READ_TIMEOUT_MS);
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      return;
    }
    if (!process.isAlive || process.stateMachine === undefined) return;
    const { index } = process.stateMachine.state;
    this.#world.trace.note("read", process.machine.id, [index, read.floor]);
    this.#world.count("reads");
    this.#world.judge.history.read({ floor: read.floor, index });
  }
}

/** A write of nothing, for those who only want to know whether the cluster works. */
export function emptyCommand(): Uint8Array {
  return encodeCommand({ kind: "barrier" });
}
