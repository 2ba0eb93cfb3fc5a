/**
 * What a look at a stopped node's data directory found, as `dust check --json` prints it and `dust recover` takes it
 * from other machines. One JSON object, format 1; null stands for what could not be read.
 */

/** How a part is. A note is worth knowing and needs nothing done. */
export type PartStatus = "ok" | "note" | "damaged";

/** One line of the report. */
export interface PartReport {
  readonly part: string;
  readonly status: PartStatus;
  readonly text: string;
  /** Where the damage is. */
  readonly file: string | null;
  /** Bytes from the file's beginning; null when nobody can tell. */
  readonly offset: number | null;
}

/** A member of the cluster, by the end of the log. */
export interface ReportedMember {
  readonly nodeId: number;
  readonly name: string;
  readonly address: string;
  readonly isVoter: boolean;
}

/** What the log says. */
export interface ReportedLog {
  readonly cluster: string;
  readonly incarnation: string;
  readonly nodeId: number;
  /** The newest term that the node knows of. */
  readonly term: number;
  /** The last entry. */
  readonly lastTerm: number;
  readonly lastIndex: number;
  readonly firstIndex: number;
  readonly commitIndex: number;
  readonly generation: number;
}

/** What the state says. */
export interface ReportedState {
  readonly cluster: string;
  readonly appliedIndex: number;
  readonly members: readonly ReportedMember[];
  /** The ids that majorities are reckoned from; more than one list while the members change. */
  readonly voters: readonly (readonly number[])[];
}

/** The whole report. */
export interface NodeReport {
  readonly format: typeof REPORT_FORMAT;
  readonly directory: string;
  /** `amnesic`: what was durable is missing, so the node must never vote again as who it was (rule D5). */
  readonly verdict: "whole" | "damaged" | "amnesic";
  readonly isRemoved: boolean;
  readonly log: ReportedLog | null;
  readonly state: ReportedState | null;
  readonly parts: readonly PartReport[];
  /** What to do, a sentence each; none when all is well. */
  readonly advice: readonly string[];
}

/** The format that is written, and the only one that is read. */
export const REPORT_FORMAT = 1;

/** The node's own name, where its directory tells. */
export function nameOf({ log, state }: Pick<NodeReport, "log" | "state">): string | undefined {
  return state?.members.find(({ nodeId }) => nodeId === log?.nodeId)?.name;
}

/** Whose report it is, for messages. */
export function titleOf(report: NodeReport): string {
  return nameOf(report) ?? report.directory;
}

/** The report in a JSON text; undefined when it is none of this format. */
export function parseReport(text: string): NodeReport | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (!isObject(value) || value["format"] !== REPORT_FORMAT) return undefined;
  const { directory, verdict, log, state, parts } = value;
  const isReport = typeof directory === "string" && typeof verdict === "string" &&
    Array.isArray(parts) && (log === null || hasNumbers(log)) &&
    (state === null ||
      isObject(state) && Array.isArray(state["members"]) && Array.isArray(state["voters"]));
  return isReport ? value as unknown as NodeReport : undefined;
}

function hasNumbers(log: unknown): boolean {
  const names = ["nodeId", "term", "lastTerm", "lastIndex", "firstIndex", "commitIndex"];
  return isObject(log) && typeof log["cluster"] === "string" &&
    names.every((name) => typeof log[name] === "number");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The report for people: one line for each part, then what to do. */
export function reportText(report: NodeReport): string {
  const lines = report.parts.map(({ part, status, text, file, offset }) => {
    const place = file === null ? "" : `${file}${offset === null ? "" : ` at offset ${offset}`}: `;
    return `${status.padEnd(8)} ${part.padEnd(9)} ${place}${text}`;
  });
  if (report.advice.length > 0) lines.push("", "What to do:");
  for (const sentence of report.advice) lines.push(`  ${sentence}`);
  return `${lines.join("\n")}\n`;
}
