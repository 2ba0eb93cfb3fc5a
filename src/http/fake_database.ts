/**
 * A database for this room's tests: records what it is asked, and answers what the test says.
 */
import { OperatingError } from "../base/errors.ts";
import type { Answer, ExecuteRequest, QueryRequest, ReadLevel } from "../command/request.ts";
import type { DatabasePort, FactTree, NodeFacts, Readiness } from "./database_port.ts";

/** Answers with its fields; a field that is an Error is thrown. */
export class FakeDatabase implements DatabasePort {
  readonly calls: { readonly name: string; readonly argument: unknown }[] = [];
  answer: Answer | Error | (() => Promise<Answer>) = { results: "[]", raftIndex: 0 };
  leaderKnown = true;
  /** The API of the leader, when that is another node. */
  leaderUrl: string | undefined;
  /** Why the cluster cannot be changed. */
  change: Error | undefined;
  sections: { readonly [section: string]: FactTree } | Error = { store: { open: false } };
  members: readonly NodeFacts[] | Error = [];
  ready: Readiness | Error = { state: "ready" };
  snapshotOutcome: "taken" | "nothing_new" | Error = "taken";
  metrics: string | Error = "metric 1\n";

  execute(request: ExecuteRequest): Promise<Answer> {
    return this.#answer("execute", request);
  }

  query(request: QueryRequest): Promise<Answer> {
    return this.#answer("query", request);
  }

  request(request: QueryRequest): Promise<Answer> {
    return this.#answer("request", request);
  }

  cancel(id: number): void {
    this.calls.push({ name: "cancel", argument: id });
  }

  hasLeader(): Promise<boolean> {
    return Promise.resolve(this.leaderKnown);
  }

  status(): Promise<{ readonly [section: string]: FactTree }> {
    return this.#reply("status", { argument: undefined, reply: this.sections });
  }

  nodes(argument: unknown): Promise<readonly NodeFacts[]> {
    return this.#reply("nodes", { argument, reply: this.members });
  }

  readiness(argument: unknown): Promise<Readiness> {
    return this.#reply("readiness", { argument, reply: this.ready });
  }

  snapshot(argument: unknown): Promise<"taken" | "nothing_new"> {
    return this.#reply("snapshot", { argument, reply: this.snapshotOutcome });
  }

  metricsText(): Promise<string> {
    return this.#reply("metricsText", { argument: undefined, reply: this.metrics });
  }

  leader(): Promise<NodeFacts | undefined> {
    const { members } = this;
    if (members instanceof Error) return Promise.reject(members);
    return Promise.resolve(
      members.find(({ contact }) => contact.reachable && contact.leader),
    );
  }

  elsewhere(level: ReadLevel | undefined): string | undefined {
    if (!this.leaderKnown) throw new OperatingError("not_leader", "leader not found");
    return level === "none" ? undefined : this.leaderUrl;
  }

  remove(id: string, options: unknown): Promise<void> {
    return this.#reply("remove", { argument: { id, options }, reply: this.change });
  }

  stepDown(id: string | undefined, options: unknown): Promise<void> {
    return this.#reply("stepDown", { argument: { id, options }, reply: this.change });
  }

  setTime(options: unknown): Promise<void> {
    return this.#reply("setTime", { argument: { options }, reply: this.change });
  }

  #answer(name: string, argument: unknown): Promise<Answer> {
    if (typeof this.answer !== "function") {
      return this.#reply(name, { argument, reply: this.answer });
    }
    this.calls.push({ name, argument });
    return this.answer();
  }

  #reply<T>(
    name: string,
    call: { readonly argument: unknown; readonly reply: T | Error },
  ): Promise<T> {
    this.calls.push({ name, argument: call.argument });
    return call.reply instanceof Error ? Promise.reject(call.reply) : Promise.resolve(call.reply);
  }
}
