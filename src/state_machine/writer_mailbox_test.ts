import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { MAILBOX_BATCH_BYTES_MAX } from "./limits.ts";
import { WriterMailbox } from "./writer_mailbox.ts";

/** A writer on a thread of its own that answers with what it was given, in letters, until there is nothing more. */
class EchoWriter implements Disposable {
  readonly mailbox: WriterMailbox;
  readonly #memory = WriterMailbox.allocate();
  readonly #worker: Worker;
  readonly #url: string;

  constructor() {
    this.mailbox = new WriterMailbox(this.#memory);
    const module = new URL("./writer_mailbox.ts", import.meta.url).href;
    const source = `import { WriterMailbox } from ${JSON.stringify(module)};
      self.onmessage = ({ data: { memory, answer } }) => {
        const mailbox = new WriterMailbox(memory);
        mailbox.onReceived();
        for (let taken = mailbox.take(60_000); taken !== undefined; taken = mailbox.take(60_000)) {
          const text = answer ?? taken.id + String.fromCharCode(...new Uint8Array(taken.batch));
          const isTaken = mailbox.answer(text);
          if (!isTaken) mailbox.answer("");
        }
        self.postMessage("back in the event loop");
      };`;
    this.#url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.#worker = new Worker(this.#url, { type: "module" });
  }

  /** Starts it; `answer` is what it says to everything, if not what it was given. */
  start(answer?: string): void {
    this.#worker.postMessage({ memory: this.#memory, answer });
    this.mailbox.onPosted();
  }

  /** Gives it a batch as soon as it waits for one. */
  async give(id: number, batch: Uint8Array<ArrayBuffer>): Promise<string> {
    for (;;) {
      const answer = this.mailbox.give(id, batch.buffer);
      if (answer !== undefined) return await answer;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Resolves when the thread has left the mailbox. */
  end(): Promise<string> {
    return new Promise((resolve) => {
      this.#worker.onmessage = ({ data }: MessageEvent<string>) => resolve(data);
      this.mailbox.onPosted();
    });
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
    URL.revokeObjectURL(this.#url);
  }
}

Deno.test("WriterMailbox brings batches to a writer that waits, and its answers back, in turn", async () => {
  using writer = new EchoWriter();
  writer.start();
  const answers: string[] = [];
  for (let id = 1; id <= 300; id++) {
    answers.push(await writer.give(id, new TextEncoder().encode("x".repeat(id % 7))));
  }
  strictEqual(await writer.end(), "back in the event loop");
  deepStrictEqual(answers, answers.map((_, at) => `${at + 1}${"x".repeat((at + 1) % 7)}`));
});

Deno.test("WriterMailbox.give() is refused when the writer does not wait, and for what does not fit", async () => {
  using writer = new EchoWriter();
  strictEqual(writer.mailbox.give(1, new ArrayBuffer(8)), undefined);
  writer.start();
  strictEqual(await writer.give(2, new Uint8Array(0)), "2");
  strictEqual((await writer.give(3, new Uint8Array(1000))).length, 1001);
  strictEqual(writer.mailbox.give(4, new ArrayBuffer(MAILBOX_BATCH_BYTES_MAX + 1)), undefined);
  await writer.end();
  strictEqual(writer.mailbox.give(5, new ArrayBuffer(8)), undefined);
});

Deno.test("WriterMailbox.answer() refuses what does not fit, and an empty one says so", async () => {
  using writer = new EchoWriter();
  writer.start("é\u{1f600}".repeat(2730));
  strictEqual(await writer.give(1, new Uint8Array(1)), "é\u{1f600}".repeat(2730));
  await writer.end();
  using other = new EchoWriter();
  other.start("x".repeat(16_385));
  strictEqual(await other.give(1, new Uint8Array(1)), "");
  await other.end();
});

Deno.test("WriterMailbox.take() does not wait while a message is on its way", () => {
  const memory = WriterMailbox.allocate();
  const [sender, receiver] = [new WriterMailbox(memory), new WriterMailbox(memory)];
  sender.onPosted();
  const startedMs = performance.now();
  strictEqual(receiver.take(60_000), undefined);
  ok(performance.now() - startedMs < 30_000);
});
