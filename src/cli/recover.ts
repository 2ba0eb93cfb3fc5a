/**
 * `dust recover DATA_DIR|REPORT...`: shows how far each of the nodes that are left is, who has the newest log, and what
 * going on with them would lose; with --write-peers it writes the raft/peers.json that the nodes obey at their next
 * start (recovery.ts). Reports are what --json printed on other machines; there the same file is yours to write.
 * Until then nothing is changed. Exit status as `dust check`; 1 also for what is refused.
 */
import { listFlag, textFlag } from "../config/flag.ts";
import { formatFlags } from "../config/flag_help.ts";
import { parseFlags } from "../config/flag_parser.ts";
import { DenoFileSystem } from "../os/deno_file_system.ts";
import { joinPath } from "../os/file_system.ts";
import { look, LOOK_FLAGS, orRefused, print, refuseUsage } from "./check.ts";
import { InspectionRefusal } from "./inspection.ts";
import { nameOf, type NodeReport, parseReport, titleOf } from "./inspection_report.ts";
import {
  acceptanceOf,
  isUsable,
  type PeerLine,
  peersFor,
  planRecovery,
  type RecoveryPlan,
  stateWord,
} from "./recovery_plan.ts";

const RECOVERY = "Recovery";

const RECOVER_FLAGS = {
  "write-peers": listFlag({
    group: RECOVERY,
    placeholder: "ADDR,...",
    meaning:
      "Write raft/peers.json with these nodes, by Raft address or as name=host:port, into each " +
      "directory given that is one of theirs",
  }),
  "accept-data-loss": textFlag({
    group: RECOVERY,
    placeholder: "WORDS",
    meaning: "The words that a refusal names",
  }),
  ...LOOK_FLAGS,
} as const;

const USAGE = "Usage: dust recover [flags] DATA_DIR|REPORT...";

/** What an operand was. */
interface Looked {
  readonly report: NodeReport;
  /** On this machine; undefined for a report from elsewhere. */
  readonly directory: string | undefined;
}

/** Runs the command. @returns the exit status. */
export async function recover(argv: readonly string[]): Promise<number> {
  const parsed = parseFlags(RECOVER_FLAGS, { argv, environment: {}, environmentPrefix: undefined });
  if (parsed.kind === "help") return print(Deno.stdout, help(), 0);
  if (parsed.kind === "wrong") return refuseUsage(parsed.message, USAGE);
  const { values, operands } = parsed;
  if (operands.length === 0) return refuseUsage("No data directory given", USAGE);
  const listed = values["write-peers"];
  const accepted = values["accept-data-loss"];
  if (parsed.given.has("write-peers") && listed.length === 0) {
    return refuseUsage("-write-peers names no node", USAGE);
  }
  if (accepted !== "" && listed.length === 0) {
    return refuseUsage("-accept-data-loss goes with -write-peers", USAGE);
  }
  return await orRefused(async () => {
    const looked: Looked[] = [];
    for (const operand of operands) looked.push(await lookAt(operand, values));
    const reports = looked.map(({ report }) => report);
    const text = values.json
      ? reports.map((report) => `${JSON.stringify(report)}\n`).join("")
      : overview(reports);
    print(Deno.stdout, text, 0);
    if (listed.length === 0) return planRecovery(reports).kind === "impossible" ? 1 : 0;
    const outcome = peersFor(reports, { listed, accepted });
    if (outcome.kind === "refused") {
      return print(Deno.stderr, `fatal: Cannot recover: ${outcome.reason}\n`, 1);
    }
    return await writePeers(looked, { peers: outcome.peers, isQuiet: values.json });
  });
}

async function lookAt(
  operand: string,
  values: Parameters<typeof look>[1],
): Promise<Looked> {
  const facts = await Deno.stat(operand).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
  if (facts?.isFile !== true) return { report: await look(operand, values), directory: operand };
  const report = parseReport(await Deno.readTextFile(operand));
  if (report === undefined) {
    throw new InspectionRefusal(66, `Cannot use ${operand}: it is no report of dust check --json`);
  }
  return { report, directory: undefined };
}

async function writePeers(
  looked: readonly Looked[],
  { peers, isQuiet }: { readonly peers: readonly PeerLine[]; readonly isQuiet: boolean },
): Promise<number> {
  const say = (text: string): void => {
    print(isQuiet ? Deno.stderr : Deno.stdout, `${text}\n`, 0);
  };
  const text = `${JSON.stringify(peers)}\n`;
  const missing: string[] = [];
  say("");
  for (const { id } of peers) {
    const directory = looked.find(({ report }) => nameOf(report) === id)?.directory;
    if (directory === undefined) missing.push(id);
    else say(`written: ${await writePeersFile(directory, text)}`);
  }
  if (missing.length > 0) {
    say(
      `On ${
        missing.join(", ")
      } write this into raft/peers.json of the data directory: ${text.trim()}`,
    );
  }
  say(
    "Now start all of them. The others of the old cluster must not be started on their old data.",
  );
  return 0;
}

/** Whole or not at all, and durable. @returns its path. */
async function writePeersFile(directory: string, text: string): Promise<string> {
  const fileSystem = new DenoFileSystem();
  const lock = await fileSystem.lockDirectory(directory);
  try {
    const folder = joinPath(directory, "raft");
    await fileSystem.makeDirectory(folder);
    const path = joinPath(folder, "peers.json");
    const temporary = `${path}.tmp`;
    if (await fileSystem.exists(temporary)) await fileSystem.remove(temporary);
    const file = fileSystem.createSync(temporary);
    file.writeSync(new TextEncoder().encode(text), 0);
    await file.sync();
    file.close();
    await fileSystem.rename(temporary, path);
    await fileSystem.syncDirectory(folder);
    return path;
  } finally {
    lock.release();
  }
}

/** The nodes as a table, and what can be done. */
function overview(reports: readonly NodeReport[]): string {
  const rows = [
    [
      "node",
      "state",
      "term",
      "last",
      "committed",
      "applied",
      "cluster",
      "incarnation",
      "directory",
    ],
    ...reports.map((report) => {
      const { log, state, directory } = report;
      const last = log === null ? "?" : `${log.lastIndex} (term ${log.lastTerm})`;
      return [
        nameOf(report) ?? "?",
        stateWord(report),
        `${log?.term ?? "?"}`,
        last,
        `${log?.commitIndex ?? "?"}`,
        `${state?.appliedIndex ?? "?"}`,
        (log?.cluster ?? state?.cluster ?? "?").slice(0, 8),
        (log?.incarnation ?? "?").slice(0, 8),
        directory,
      ];
    }),
  ];
  const widths =
    rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const table = rows.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()
  );
  const plan = planRecovery(reports);
  const damaged = reports.filter((report) => !isUsable(report)).flatMap(wordsFor);
  return `${[...table, "", ...damaged, ...planWords(plan)].join("\n")}\n`;
}

/** What is wrong with a node that cannot take part, and what becomes of it. */
function wordsFor(report: NodeReport): readonly string[] {
  const title = titleOf(report);
  if (report.verdict === "whole") return [`${title} was removed from its cluster and has no say.`];
  const damage = report.parts.find(({ status }) => status === "damaged");
  const reason = damage === undefined ? "" : `: ${damage.file ?? damage.part}: ${damage.text}`;
  const never = report.verdict === "amnesic" ? "It must never vote again as who it was. " : "";
  return [
    `${title} is ${report.verdict}${reason}.`,
    `  ${never}Move ${report.directory} aside; once the others run, start it empty, with -join.`,
  ];
}

function planWords(plan: RecoveryPlan): readonly string[] {
  if (plan.kind === "impossible") return [`No recovery with these: ${plan.reason}.`];
  const newest = titleOf(plan.newest);
  const first = `The newest log is that of ${newest}: entry ${plan.newest.log?.lastIndex ?? 0}.`;
  if (plan.kind === "not_needed") {
    return [
      first,
      "A majority of the voters is here: start the nodes. Nothing needs to be recovered.",
    ];
  }
  const words = acceptanceOf(plan, undefined);
  const loss = words === undefined
    ? ["Fewer than a majority are missing: it has all that was acknowledged."]
    : [
      `A majority of the voters cannot be read (${plan.missing.join(", ")}), so writes that were`,
      `acknowledged behind that entry may be lost. If one of them can be brought back, do that first.`,
    ];
  const flag = words === undefined ? "" : ` --accept-data-loss="${words}"`;
  return [first, ...loss, `To go on: dust recover --write-peers ADDR,...${flag} DATA_DIR...`];
}

function help(): string {
  return `${USAGE}

For a cluster that has lost its majority for good. Shows how far each of the nodes that are left is, who
has the newest log, and what going on without the others would lose. Give the directories of all nodes that
are left; for those on other machines, files with what dust check --json prints there.

${formatFlags(RECOVER_FLAGS)}`;
}
