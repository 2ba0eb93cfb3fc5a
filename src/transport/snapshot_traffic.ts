/**
 * Snapshots in both directions: at most one to each member, each over a connection of its own, and one at
 * a time from others. A newer one, or the sender's own next try, ends the one that is on its way in; it is
 * taken when it is offered again, since what is being ended may still be writing (faults N10).
 * Not here: the transfers themselves (snapshot_sender.ts, snapshot_receiver.ts).
 */
import { assert } from "../base/assert.ts";
import { runInBackground } from "../base/background.ts";
import type { NodeId } from "../base/ids.ts";
import type { Clock } from "../os/clock.ts";
import type { FileSystem } from "../os/file_system.ts";
import type { SnapshotMessage } from "../raft/message.ts";
import type { ByteStream, StreamEvents } from "./byte_stream.ts";
import type { Hello } from "./generated/dust.ts";
import { makeHello, refusalOf } from "./handshake.ts";
import type { Admission } from "./inbound_stream.ts";
import { SNAPSHOT_STREAMS_MAX } from "./limits.ts";
import type { DialledStream } from "./outbound_lane.ts";
import type { LocalIdentity, Peer } from "./peer_identity.ts";
import type { PeerServices } from "./peer_services.ts";
import { SnapshotReceiver } from "./snapshot_receiver.ts";
import { checksumOf, SnapshotSender } from "./snapshot_sender.ts";

/** What is sent with a snapshot's message. */
export interface SnapshotContent {
  /** Stays, unchanged, until `onSnapshotReport`. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Of the entry at the snapshot's index, in hex (rule S3): goes along as the offer's note. */
  readonly entryChain: string;
}

/** What the traffic needs of the world. */
export interface SnapshotTrafficOptions {
  readonly clock: Clock;
  readonly fileSystem: FileSystem;
  readonly services: PeerServices;
  readonly identity: () => LocalIdentity;
  /** A member or guest as it is known now; undefined when it is none. */
  readonly peerOf: (id: NodeId) => Peer | undefined;
  /** Lets a sender in as for a stream of messages, or says why not. */
  readonly admit: (hello: Hello) => Admission;
  readonly dial: (address: string, events: StreamEvents) => DialledStream;
  /** A message of a peer whose content is here. */
  readonly deliver: (message: SnapshotMessage) => void;
}

/** On its way out. */
interface Transfer {
  readonly to: NodeId;
  sender: SnapshotSender | undefined;
}

const UTF8 = new TextEncoder();

/** All snapshots of a network. */
export class SnapshotTraffic {
  readonly #options: SnapshotTrafficOptions;
  readonly #sending = new Map<NodeId, Transfer>();
  readonly #receivers = new Set<SnapshotReceiver>();
  /** The one that was let in. */
  #receiving: SnapshotReceiver | undefined;
  /** A copy is sent to many, again and again: computed once for each object that stands for one. */
  readonly #checksums = new WeakMap<SnapshotContent, Promise<number>>();
  #isClosed = false;
  readonly #allEnded = Promise.withResolvers<void>();

  constructor(options: SnapshotTrafficOptions) {
    this.#options = options;
  }

  /** As `PeerNetwork.sendSnapshot`. */
  send(message: SnapshotMessage, content: SnapshotContent): void {
    const transfer: Transfer = { to: message.to, sender: undefined };
    this.#drop(message.to, "Another one is sent");
    this.#sending.set(message.to, transfer);
    const { onBug } = this.#options.services;
    runInBackground(this.#begin(transfer, { message, content }), onBug);
  }

  /** Another node offers one. */
  accept(stream: ByteStream): StreamEvents {
    if (this.#receivers.size >= SNAPSHOT_STREAMS_MAX) {
      queueMicrotask(() => stream.close({ kind: "busy", text: "Too many snapshots at once" }));
      return { onBytes: () => undefined, onHalfEnd: () => undefined, onEnd: () => undefined };
    }
    const { clock, services, deliver } = this.#options;
    const receiver: SnapshotReceiver = new SnapshotReceiver(stream, {
      clock,
      admit: (hello, message) => this.#admit(receiver, { hello, message }),
      receiveSnapshot: (offer) => services.receiveSnapshot(offer),
      deliver,
      onEnd: (ended) => {
        this.#receivers.delete(ended);
        if (this.#receiving === ended) this.#receiving = undefined;
        if (this.#receivers.size === 0 && this.#isClosed) this.#allEnded.resolve();
      },
      onBug: services.onBug,
    });
    this.#receivers.add(receiver);
    return receiver.events;
  }

  /** Ends what is being sent to a member that is none any more, and reports it: the copy is not needed for it. */
  giveUp(id: NodeId, text: string): void {
    if (!this.#sending.has(id)) return;
    this.#drop(id, text);
    const { services } = this.#options;
    // Not within the turn in which the members change.
    queueMicrotask(() => services.onSnapshotReport(id, "failed"));
  }

  /** What becomes of it is nobody's news any more. */
  #drop(id: NodeId, text: string): void {
    const transfer = this.#sending.get(id);
    this.#sending.delete(id);
    transfer?.sender?.cancel(text);
  }

  /** Ends all that are under way; resolves when no sink is used any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const id of [...this.#sending.keys()]) this.#drop(id, "Closing");
    for (const receiver of [...this.#receivers]) receiver.close("closed", "Closing");
    if (this.#receivers.size > 0) await this.#allEnded.promise;
  }

  async #begin(
    transfer: Transfer,
    { message, content }: { readonly message: SnapshotMessage; readonly content: SnapshotContent },
  ): Promise<void> {
    const { clock, identity, peerOf, dial, services } = this.#options;
    const checksum = await this.#checksumOf(content);
    if (this.#sending.get(transfer.to) !== transfer) return;
    const peer = peerOf(transfer.to);
    if (peer === undefined) {
      this.#end(transfer, "failed");
      return;
    }
    const { sizeBytes, entryChain } = content;
    transfer.sender = new SnapshotSender({
      clock,
      offer: { message, sizeBytes, checksum, note: UTF8.encode(entryChain) },
      file: this.#options.fileSystem.openSync(content.path, "read"),
      dial: (events) => dial(peer.address, events),
      hello: () => makeHello(identity(), { to: peer }),
      judge: (hello) => refusalOf(hello, { local: identity(), expected: peer }),
      onEnd: (outcome) => this.#end(transfer, outcome),
      onBug: services.onBug,
    });
  }

  #end(transfer: Transfer, outcome: "finished" | "failed"): void {
    if (this.#sending.get(transfer.to) !== transfer) return;
    this.#sending.delete(transfer.to);
    this.#options.services.onSnapshotReport(transfer.to, outcome);
  }

  #checksumOf(content: SnapshotContent): Promise<number> {
    const known = this.#checksums.get(content);
    if (known !== undefined) return known;
    const compute = async (): Promise<number> => {
      const file = this.#options.fileSystem.openSync(content.path, "read");
      try {
        return await checksumOf(file, content.sizeBytes);
      } finally {
        file.close();
      }
    };
    const computed = compute();
    this.#checksums.set(content, computed);
    return computed;
  }

  #admit(
    receiver: SnapshotReceiver,
    { hello, message }: { readonly hello: Hello; readonly message: SnapshotMessage },
  ): Admission {
    const admission = this.#options.admit(hello);
    if (admission.kind !== "admitted") return admission;
    if (message.from !== hello.nodeId || message.to !== admission.answer.nodeId) {
      return { kind: "refused", text: "A snapshot from or for another node" };
    }
    const current = this.#receiving;
    if (current !== undefined) {
      assert(current.message !== undefined, "SnapshotTraffic: let in without an offer");
      const { from, term } = current.message;
      const isNewer = message.from === from || message.term > term;
      if (isNewer) current.close("busy", "Another snapshot is offered");
      return { kind: "busy", text: "Another snapshot is on its way in" };
    }
    this.#receiving = receiver;
    return admission;
  }
}
