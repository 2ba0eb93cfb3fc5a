/**
 * Configuration change files: what changes do to a configuration and to the progress of its members
 * (the files' README, section 11). One configuration for each file.
 */
import { logIndex } from "../../src/base/ids.ts";
import { configurationText } from "../../src/raft/configuration.ts";
import {
  type ChangeOutcome,
  changeSimply,
  enterJoint,
  leaveJoint,
} from "../../src/raft/configuration_changer.ts";
import { Members } from "../../src/raft/members.ts";
import { progressText } from "../../src/raft/progress.ts";
import { parseChanges } from "./conf_change_input.ts";
import { OutputError } from "./ready_handling.ts";
import { type Case, parseBoolean, ScriptError, valueOf } from "./script.ts";

/** What runs the cases of one file, in order. */
export function makeConfChangeFile(): (example: Case) => string {
  const members = new Members({
    inflightAppendsMax: 10,
    inflightBytesMax: Number.POSITIVE_INFINITY,
  });
  let lastIndex = 0;
  return (example) => {
    try {
      const outcome = change(members, example);
      if (outcome.kind === "impossible") return outcome.reason;
      members.switchTo({ ...outcome, lastIndex: logIndex(lastIndex) });
      return membersText(members);
    } catch (error) {
      if (error instanceof OutputError) return error.message;
      throw error;
    } finally {
      lastIndex++;
    }
  };
}

function change(members: Members, example: Case): ChangeOutcome {
  const { configuration } = members;
  const changes = parseChanges(example.input);
  switch (example.command) {
    case "simple":
      return changeSimply(configuration, changes);
    case "enter-joint": {
      const autoLeave = parseBoolean(valueOf(example.args, "autoleave") ?? "false");
      return enterJoint(configuration, { changes, autoLeave });
    }
    case "leave-joint":
      if (changes.length > 0) throw new OutputError("this command takes no input");
      return leaveJoint(configuration);
    default:
      throw new ScriptError(`unknown command: ${example.command}`);
  }
}

function membersText(members: Members): string {
  const lines = members.ids.map((id) => {
    const progress = members.progress(id);
    if (progress === undefined) throw new Error(`no progress for ${id}`);
    return `${id}: ${progressText(progress, { isLearner: members.isLearner(id) })}\n`;
  });
  return `${configurationText(members.configuration)}\n${lines.join("")}`;
}
