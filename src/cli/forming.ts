/**
 * How N empty nodes become one cluster (`--bootstrap-expect N`, rule M2). All of them look at the addresses of
 * --join until they see N nodes without data, themselves among them. The one with the lowest name proposes a
 * cluster; each of the others gives it a durable pledge, one at a time, which only its proposer can release.
 * With all pledges the proposer begins the cluster; whoever is pledged asks it how that began. A node that
 * belongs to a cluster already turns forming into joining.
 *
 * DATA_DIR/raft/pledge.json: {"clusterId": hex, "proposer": name, "isOwn": boolean}, from the pledge to the birth.
 */
import { FatalError, OperatingError } from "../base/errors.ts";
import { type NodeId, nodeId } from "../base/ids.ts";
import { INCARNATION_BYTES, isSameIdentity } from "../command/member_table.ts";
import type { Config } from "../config/config.ts";
import type { Clock } from "../os/clock.ts";
import type { Entropy } from "../os/entropy.ts";
import { type FileSystem, joinPath } from "../os/file_system.ts";
import { encodeConfiguration, votersOnly } from "../raft/configuration.ts";
import { SOFT_LIMIT_STEPS_DEFAULT } from "../state_machine/replicated_limits.ts";
import type { Logger } from "../telemetry/logger.ts";
import type {
  IdentifyAnswer,
  PledgeAnswer,
  PledgedMember,
  PledgeRequest,
} from "../transport/peer_calls.ts";
import type { Birth } from "./data_directory.ts";
import { birthOf, joinRequest } from "./joining.ts";
import type { PeerPort } from "./peer_port.ts";

/** Between two looks at the others. */
const LOOK_MS = 200;
const CALL_TIMEOUT_MS = 2_000;

/** A promise that was given. */
interface Pledge {
  readonly clusterId: Uint8Array;
  /** Name of the node that proposed, or of the member that was asked to be let in. */
  readonly proposer: string;
  /** Whether it is this node's own proposal, to be made again. */
  readonly isOwn: boolean;
}

/** What forming needs. */
export interface FormingOptions {
  readonly config: Config;
  readonly port: Pick<PeerPort, "identity" | "call">;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly fileSystem: FileSystem;
  readonly logger: Logger;
  readonly stop: AbortSignal;
}

/** See the file's header. One per process, until it is a member. */
export class Forming {
  readonly #options: FormingOptions;
  readonly #path: string;
  #pledge: Pledge | undefined;
  #lastTurn: Promise<unknown> = Promise.resolve();

  constructor(options: FormingOptions) {
    this.#options = options;
    this.#path = joinPath(joinPath(options.config.dataDirectory, "raft"), "pledge.json");
  }

  /** Ends as a member. @throws {FatalError} (1) when that does not come to be in time. */
  async form(): Promise<Birth> {
    const { config, clock, stop, logger } = this.#options;
    const { bootstrapExpect, bootstrapTimeoutMs } = config.cluster;
    await this.#inTurn(async () => {
      this.#pledge = await this.#read();
    });
    const deadlineMs = clock.monotonicMs() + bootstrapTimeoutMs;
    let said = "";
    while (!stop.aborted && clock.monotonicMs() < deadlineMs) {
      const others = await this.#look();
      const member = others.find(({ hasData }) => hasData);
      const birth = member === undefined ? await this.#propose(others) : await this.#join(member);
      if (birth !== undefined) return birth;
      const names = others.map(({ identity }) => identity.name).join();
      if (names !== said) {
        logger.info("Waiting for nodes to form a cluster", { expected: bootstrapExpect, names });
      }
      said = names;
      await clock.sleep(LOOK_MS);
    }
    throw new FatalError(1, `Cannot form a cluster of ${bootstrapExpect} nodes in time`);
  }

  /** Another node proposes. */
  async pledge({ clusterId, members }: PledgeRequest): Promise<PledgeAnswer["outcome"]> {
    const { incarnation } = this.#options.port.identity;
    const [proposer] = members;
    if (!members.some((each) => isSameIdentity(each.incarnation, incarnation))) {
      throw new OperatingError("conflict", "Cannot pledge: this node is not among the members");
    }
    const held = await this.#pledgeTo({ clusterId, proposer: proposer?.name ?? "", isOwn: false });
    return held === undefined ? { kind: "pledged" } : { kind: "taken", clusterId: held.clusterId };
  }

  /** The proposer of `clusterId` has given up. */
  async abort(clusterId: Uint8Array): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#pledge === undefined || !isSameIdentity(this.#pledge.clusterId, clusterId)) return;
      await this.#release();
    });
  }

  /** All others that answer, by name. */
  async #look(): Promise<readonly IdentifyAnswer[]> {
    const { config, port } = this.#options;
    const found = new Map<string, IdentifyAnswer>();
    const ask = async (address: string): Promise<void> => {
      try {
        const options = { timeoutMs: CALL_TIMEOUT_MS };
        const answer = await port.call<"identify">(address, { kind: "identify" }, options);
        const { incarnation } = answer.identity;
        if (isSameIdentity(incarnation, port.identity.incarnation)) return;
        found.set(incarnation.toHex(), answer);
      } catch (error) {
        // Not there yet.
        if (!(error instanceof OperatingError)) throw error;
      }
    };
    await Promise.all(config.cluster.join.map(ask));
    return [...found.values()].sort((left, right) =>
      left.identity.name < right.identity.name ? -1 : 1
    );
  }

  /** @returns undefined while it cannot be had. @throws {FatalError} when this node is pledged elsewhere. */
  async #join({ identity }: IdentifyAnswer): Promise<Birth | undefined> {
    const { config, port, logger } = this.#options;
    const { clusterId, raftAddress, name } = identity;
    // From the question on: a member of one cluster must not be counted on by another proposer.
    const pledged = clusterId === undefined
      ? undefined
      : await this.#pledgeTo({ clusterId, proposer: name, isOwn: false });
    if (pledged !== undefined) {
      throw new FatalError(
        1,
        `Cannot join the cluster of ${name}: this node is pledged to another one, which ` +
          `${pledged.proposer} proposed; remove ${this.#path} if that one never came to be`,
      );
    }
    try {
      const options = { timeoutMs: config.cluster.connectTimeoutMs };
      const answer = await port.call<"join">(raftAddress, joinRequest(port, config), options);
      return birthOf(answer);
    } catch (error) {
      if (!(error instanceof OperatingError)) throw error;
      if (error.code === "conflict") throw new FatalError(1, error.message, { cause: error });
      logger.info("Cannot join yet", { member: name, reason: error.message });
      return undefined;
    }
  }

  /** Proposes, when all are there and it is this node's part. @returns undefined when it was not to be. */
  async #propose(others: readonly IdentifyAnswer[]): Promise<Birth | undefined> {
    const { config, port, entropy } = this.#options;
    if (others.length !== config.cluster.bootstrapExpect - 1) return undefined;
    const members = [port.identity, ...others.map(({ identity }) => identity)]
      .sort((left, right) => left.name < right.name ? -1 : 1)
      .map(({ name, incarnation, raftAddress, apiUrl }) => {
        return { name, incarnation, raftAddress, apiUrl };
      });
    const own = members.findIndex(({ incarnation }) =>
      isSameIdentity(incarnation, port.identity.incarnation)
    );
    if (own !== 0 || new Set(members.map(({ name }) => name)).size < members.length) {
      return undefined;
    }
    const known = this.#pledge?.isOwn === true ? this.#pledge.clusterId : undefined;
    const clusterId = known ?? entropy.bytes(INCARNATION_BYTES);
    const proposal = { clusterId, proposer: port.identity.name, isOwn: true };
    if (await this.#pledgeTo(proposal) !== undefined) return undefined;
    return await this.#begin({ clusterId, members, own });
  }

  /** @returns undefined when somebody is pledged elsewhere, or not to be reached. */
  async #begin({ clusterId, members, own }: {
    readonly clusterId: Uint8Array;
    readonly members: readonly PledgedMember[];
    readonly own: number;
  }): Promise<Birth | undefined> {
    const { config, logger } = this.#options;
    const refusal = await this.#collect({ kind: "pledge", clusterId, members });
    if (refusal === undefined) return foundingBirth({ clusterId, members, own, config });
    logger.warn("Cannot form a cluster yet", { reason: refusal });
    return undefined;
  }

  /** Asks all for their pledge. @returns why not; then those that were given are released. */
  async #collect(request: PledgeRequest): Promise<string | undefined> {
    const { port } = this.#options;
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    const given: PledgedMember[] = [];
    let refusal: string | undefined;
    for (const member of request.members.slice(1)) {
      try {
        const { outcome } = await port.call<"pledge">(member.raftAddress, request, options);
        if (outcome.kind === "pledged") given.push(member);
        else {refusal = `${member.name} is ${
            outcome.kind === "taken" ? "pledged" : "a member"
          } elsewhere`;}
      } catch (error) {
        if (!(error instanceof OperatingError)) throw error;
        // It may be pledged or not: it stays so, and is asked again for the same cluster.
        return `${member.name}: ${error.message}`;
      }
      if (refusal !== undefined) break;
    }
    if (refusal === undefined) return undefined;
    const { clusterId } = request;
    for (const member of given) {
      try {
        await port.call(member.raftAddress, { kind: "abort_pledge", clusterId }, options);
      } catch (error) {
        if (!(error instanceof OperatingError)) throw error;
        // Not known to be released: so this proposal stays, and is made again.
        return refusal;
      }
    }
    await this.abort(clusterId);
    return refusal;
  }

  /**
   * Pledges this node, durably, unless it is pledged to another cluster. One after the other, since each of two
   * proposers that ask at the same moment would else find it free.
   * @returns the pledge that holds already, to another cluster.
   */
  #pledgeTo(pledge: Pledge): Promise<Pledge | undefined> {
    return this.#inTurn(async () => {
      const held = this.#pledge;
      if (held !== undefined) {
        return isSameIdentity(held.clusterId, pledge.clusterId) ? undefined : held;
      }
      await this.#keep(pledge);
      return undefined;
    });
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const before = this.#lastTurn;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#lastTurn = promise;
    await before;
    try {
      return await work();
    } finally {
      resolve();
    }
  }

  async #read(): Promise<Pledge | undefined> {
    const { fileSystem } = this.#options;
    if (!(await fileSystem.exists(this.#path))) return undefined;
    const file = fileSystem.openSync(this.#path, "read");
    try {
      const bytes = new Uint8Array(file.sizeSync());
      file.readSync(bytes, 0);
      const { clusterId, proposer, isOwn } = JSON.parse(new TextDecoder().decode(bytes));
      const held = { clusterId: Uint8Array.fromHex(clusterId), proposer: String(proposer) };
      return { ...held, isOwn: isOwn === true };
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
      throw new FatalError(65, `Cannot read ${this.#path}: ${error.message}`, { cause: error });
    } finally {
      file.close();
    }
  }

  /** Durable before anybody is told. */
  async #keep(pledge: Pledge): Promise<void> {
    const { fileSystem, config } = this.#options;
    const next = `${this.#path}.next`;
    if (await fileSystem.exists(next)) fileSystem.removeSync(next);
    const file = fileSystem.createSync(next);
    const text = JSON.stringify({ ...pledge, clusterId: pledge.clusterId.toHex() });
    file.writeSync(new TextEncoder().encode(text), 0);
    await file.sync();
    file.close();
    await fileSystem.rename(next, this.#path);
    await fileSystem.syncDirectory(joinPath(config.dataDirectory, "raft"));
    this.#pledge = pledge;
  }

  async #release(): Promise<void> {
    const { fileSystem, config } = this.#options;
    this.#pledge = undefined;
    if (!(await fileSystem.exists(this.#path))) return;
    fileSystem.removeSync(this.#path);
    await fileSystem.syncDirectory(joinPath(config.dataDirectory, "raft"));
  }
}

/** The cluster that all have pledged themselves to, as its proposer begins it. */
function foundingBirth({ clusterId, members, own, config }: {
  readonly clusterId: Uint8Array;
  readonly members: readonly PledgedMember[];
  readonly own: number;
  readonly config: Config;
}): Birth {
  const rows = members.map((member, place) => {
    return { ...member, nodeId: place + 1, isReadOnly: false };
  });
  const ids = rows.map((row): NodeId => nodeId(row.nodeId));
  return {
    clusterId,
    nodeId: nodeId(own + 1),
    genesis: {
      configuration: encodeConfiguration(votersOnly(ids)),
      members: { nextNodeId: rows.length + 1, members: rows },
      foreignKeys: config.storage.foreignKeys,
      softLimitSteps: SOFT_LIMIT_STEPS_DEFAULT,
    },
  };
}
