/**
 * Bugs in the log and in what identifies a disk: syncs left out, orders changed, damage taken for a torn
 * tail, members that come back without their memory.
 * Not here, since the node never gets there, but held by unit tests of the log: a second batch between
 * two syncs that begins a segment, and a purge past a commit index that no marker has made durable.
 */
import { bug, type PlantedBug } from "./planted_bug.ts";

/** See the file's header. */
export const DISK_BUGS: readonly PlantedBug[] = [
  bug("segment_name_not_synced", "a new segment's name is durable before it is used", {
    in: "src/log/segment.ts",
    find: "    this.#name = name;\n    await this.#fileSystem.syncDirectory(this.#directory);",
    replace: "    this.#name = name;",
  }),
  bug("segment_content_not_synced", "a segment's content is durable before its name", {
    in: "src/log/segment.ts",
    find: '    await assertDefined(this.#writer, "Segment.publish: sealed").sync();\n',
    replace: "",
  }),
  bug("removals_not_ordered", "segments go oldest first, each durably before the next", {
    in: "src/log/segment_files.ts",
    find:
      "      await this.#fileSystem.syncDirectory(this.#directory);\n    }\n  }\n\n  /** Closes all handles",
    replace: "    }\n  }\n\n  /** Closes all handles",
  }),
  bug("sync_does_nothing", "sync reaches the disk", {
    in: "src/log/segment.ts",
    find: '    await assertDefined(this.#writer, "Segment.syncData: sealed").syncData(options);\n',
    replace: "    await Promise.resolve();\n",
  }),
  bug("failed_sync_ignored", "after a failed fsync the node stops", {
    in: "src/log/segmented_log.ts",
    find: "      if (replaced.length > 0) this.#closeReaders(replaced);\n    } catch (error) {\n" +
      "      throw this.#fail(error);",
    replace:
      "      if (replaced.length > 0) this.#closeReaders(replaced);\n    } catch (error) {\n" +
      "      if (!(error instanceof FatalError)) throw this.#fail(error);",
  }),
  bug("tail_of_a_dead_process_trusted", "what a failed fsync left is written again at a start", {
    in: "src/log/recovery.ts",
    find: "    await makeTailDurable(writer, range);\n",
    replace: "    if (range.from > range.to) await makeTailDurable(writer, range);\n",
  }),
  {
    name: "damage_taken_for_a_torn_tail",
    breaks: "never an automatic repair of a checksum mismatch",
    edits: [
      {
        path: "src/log/recovery.ts",
        find:
          '    if (finding.kind === "wrong") {\n      throw this.#damage("damaged", name, frameStart(offset), finding.reason);\n    }\n',
        replace: "",
      },
      {
        path: "src/log/recovery.ts",
        find: "if (isProvenDurable(window, offset)) {",
        replace: "if (isProvenDurable(window, size)) {",
      },
    ],
  },
  bug("torn_tail_not_cleared", "later frames do not run into a torn tail", {
    in: "src/log/recovery.ts",
    find: "      await this.#repair(name, { from: offset, to: usedEnd });\n",
    replace: "",
  }),
  bug("truncation_not_recorded", "a start knows what was replaced", {
    in: "src/log/segmented_log.ts",
    find: 'if (point !== this.#contents.last) records.push({ kind: "truncate", point });',
    replace: 'if (point.index < 0) records.push({ kind: "truncate", point });',
  }),
  bug("vote_record_not_written", "term and vote are in the log", {
    in: "src/log/segmented_log.ts",
    find: '    records.push({ kind: "hard_state", hardState });\n    this.#write(records,',
    replace: '    if (entries.length > 0) records.push({ kind: "hard_state", hardState });\n' +
      '    this.#write(records.length > 0 ? records : [{ kind: "hard_state", ' +
      "hardState: this.#contents.hardState }],",
  }),
  bug("wiped_disk_votes_again", "a wiped directory is not the old voter (rule D5)", {
    in: "tests/sim/nemesis.ts",
    find: '    this.#world.trace.note("wiped", victim.id);\n    victim.isLost = true;\n' +
      '    this.#world.kill(victim, "power");\n',
    replace: '    this.#world.kill(victim, "power");\n' +
      "    const fresh = this.#world.addMachine(this.#world.judge.history.configurations.get(1));\n" +
      "    this.#world.machines.delete(fresh.id);\n    victim.disk = fresh.disk;\n" +
      "    victim.facts = new DurableFacts();\n",
  }),
  {
    name: "rolled_back_disk_votes_again",
    breaks: "a directory that was put back is not the old voter (rule D5)",
    edits: [
      {
        path: "tests/sim/nemesis.ts",
        find: "    victim.isLost = true;\n    victim.isRolledBack = true;\n",
        replace: "",
      },
    ],
  },
];
