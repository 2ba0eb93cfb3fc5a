/**
 * What the machine itself allows, measured in the same run as the load: how often its disk syncs, and
 * how many requests a bare HTTP server answers that only reads the body. A database cannot be faster.
 */
import { RequestMaker, type Workload } from "./bench_workload.ts";
import { type LoadResult, runLoad } from "./bench_load.ts";

/** About as long as the record of one small write. */
const RECORD_BYTES = 150;
const FILE_BYTES = 4 * 1024 * 1024;

/** `fdatasync` per second after small writes into preallocated room, one at a time, in `directory`. */
export async function measureSyncs(directory: string, seconds: number): Promise<number> {
  const path = await Deno.makeTempFile({ dir: directory, prefix: "dust-bench-" });
  try {
    using file = await Deno.open(path, { write: true });
    await file.write(new Uint8Array(FILE_BYTES));
    await file.sync();
    await file.seek(0, Deno.SeekMode.Start);
    const record = new Uint8Array(RECORD_BYTES).fill(1);
    const start = performance.now();
    let count = 0;
    let written = 0;
    while (performance.now() - start < seconds * 1000) {
      if (written + RECORD_BYTES > FILE_BYTES) {
        await file.seek(0, Deno.SeekMode.Start);
        written = 0;
      }
      file.writeSync(record);
      await file.syncData();
      written += RECORD_BYTES;
      count += 1;
    }
    return count / ((performance.now() - start) / 1000);
  } finally {
    await Deno.remove(path);
  }
}

/** The same load as the one measured, on a server that reads the body and answers with a constant. */
export async function measureBareServer(options: {
  readonly workload: Workload;
  readonly clients: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
}): Promise<LoadResult> {
  const { workload, ...load } = options;
  const worker = new Worker(new URL("./bench_bare_server_worker.ts", import.meta.url), {
    type: "module",
  });
  try {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    worker.onmessage = (event: MessageEvent<number>) => resolve(event.data);
    worker.onerror = (event) => reject(new Error(event.message));
    const address = `127.0.0.1:${await promise}`;
    const requests = (client: number): RequestMaker =>
      new RequestMaker({ workload, address, client });
    return await runLoad({ ...load, addresses: [address], requests });
  } finally {
    worker.terminate();
  }
}
