/**
 * Copies of the state and checks of such, each on a thread of its own (copy_worker.ts).
 */
import { FatalError, OperatingError } from "../base/errors.ts";
import type { CopyReply, CopyRequest } from "./copy_worker.ts";

/** A copy that was made, or looked at. */
export type CopiedState = Extract<CopyReply, { readonly kind: "copied" }>;

/** @throws {OperatingError} `disk_full`: nothing has changed. @throws {FatalError} */
export async function copyOnThread(request: CopyRequest): Promise<CopiedState> {
  const { promise, resolve, reject } = Promise.withResolvers<CopyReply>();
  const worker = new Worker(new URL("./copy_worker.ts", import.meta.url), {
    type: "module",
    name: "dust-copy",
  });
  worker.onmessage = ({ data }: MessageEvent<CopyReply>) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new FatalError(74, `The copying thread has ended: ${event.message}`));
  };
  worker.postMessage(request);
  const reply = await promise;
  switch (reply.kind) {
    case "copied":
      return reply;
    case "disk_full":
      throw new OperatingError("disk_full", `Cannot copy the state: ${reply.message}`);
    case "failed": {
      const { message, isStateDamaged } = reply;
      throw new FatalError(74, `Cannot copy the state: ${message}`, { isStateDamaged });
    }
  }
}
