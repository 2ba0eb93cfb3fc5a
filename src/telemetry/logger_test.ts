import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { LOGGED_TEXT_LENGTH_MAX } from "./limits.ts";
import { Logger, type LoggerOptions, type LogLevel } from "./logger.ts";

function recorder(options: Partial<LoggerOptions> = {}): { lines: string[]; logger: Logger } {
  const lines: string[] = [];
  const logger = new Logger({
    level: "DEBUG",
    format: "text",
    component: "log",
    sink: (line) => void lines.push(line),
    wallClockMs: () => 1_000,
    ...options,
  });
  return { lines, logger };
}

Deno.test("Logger writes one line for people: time, level, component, message, fields", () => {
  const { lines, logger } = recorder();
  logger.info("Segment is full", {
    index: 7,
    path: "/a b",
    empty: "",
    big: 2n ** 63n,
    gone: undefined,
  });
  logger.forComponent("http").error("Cannot answer", {
    cause: new Error("broken pipe"),
    ok: false,
  });
  deepStrictEqual(lines, [
    '1970-01-01T00:00:01.000Z INFO  [log] Segment is full index=7 path="/a b" empty="" ' +
    "big=9223372036854775808\n",
    '1970-01-01T00:00:01.000Z ERROR [http] Cannot answer cause="broken pipe" ok=false\n',
  ]);
});

Deno.test("Logger writes one JSON object a line", () => {
  const { lines, logger } = recorder({ format: "json" });
  logger.warn("Slow", { tookMs: 12.5, isLeader: true, message: "twice", big: 1n, gone: undefined });
  deepStrictEqual(lines.map((line) => JSON.parse(line)), [{
    time: "1970-01-01T00:00:01.000Z",
    level: "WARN",
    component: "log",
    message: "Slow",
    tookMs: 12.5,
    isLeader: true,
    message_: "twice",
    big: "1",
  }]);
  ok(lines[0]?.endsWith("}\n"));
});

Deno.test("Logger leaves out what is below its level", () => {
  const written = (level: LogLevel): string[] => {
    const { lines, logger } = recorder({ level });
    logger.error("e");
    logger.warn("w");
    logger.info("i");
    logger.debug("d");
    return lines.map((line) => line.split(" ")[1] ?? "");
  };
  deepStrictEqual(written("ERROR"), ["ERROR"]);
  deepStrictEqual(written("WARN"), ["ERROR", "WARN"]);
  deepStrictEqual(written("DEBUG"), ["ERROR", "WARN", "INFO", "DEBUG"]);
  const { logger } = recorder({ level: "INFO" });
  ok(logger.isOn("INFO") && !logger.isOn("DEBUG"));
});

Deno.test("Logger cannot be made to write a second line or a terminal command (X18)", () => {
  const hostile =
    "a\r\n2026 ERROR [x] forged\u001b[2J\u0007\u009b31m\u2028\u2029\u202e\u0085\u{e0001}\ud800";
  for (const format of ["text", "json"] as const) {
    const { lines, logger } = recorder({ format });
    logger.info(hostile, { sql: hostile, name: 'say "hi" \\ =' });
    strictEqual(lines.length, 1);
    const line = lines[0] ?? "";
    ok(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u.test(line.slice(0, -1)), line);
    ok(line.endsWith("\n"));
  }
  const { lines, logger } = recorder();
  logger.info("m", { name: 'say "hi" \\n\n=' });
  strictEqual(lines[0]?.slice(37), 'm name="say \\"hi\\" \\\\n\\n="\n');
});

Deno.test("Logger cuts what is too long, and says so", () => {
  const { lines, logger } = recorder();
  const limit = LOGGED_TEXT_LENGTH_MAX;
  logger.info("m", { at: "x".repeat(limit), over: "y".repeat(limit + 1) });
  const line = lines[0] ?? "";
  ok(
    line.includes(
      ` at=${"x".repeat(limit)} over=${"y".repeat(limit)}... (${limit + 1} characters)`,
    ),
  );
});
