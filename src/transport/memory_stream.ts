/**
 * A stream between two ends in one process, for tests: what one writes the other gets a turn later, until
 * `limit` messages have gone one way and the stream is cut. Reading can be paused, as on a real one.
 */
import type { ByteStream, StreamEnd, StreamEvents } from "./byte_stream.ts";

const CUT: StreamEnd = { kind: "broken", text: "Cut" };

/** The two ends; `accept` gets the other one. */
export function openMemoryStream(options: {
  readonly events: StreamEvents;
  readonly accept: (stream: ByteStream) => StreamEvents;
  /** Messages from the opening side after which the stream is cut; undefined: it is not. */
  readonly limit?: number | undefined;
  /** May change what goes to the accepting side. */
  readonly change?: (bytes: Uint8Array, place: number) => Uint8Array;
}): ByteStream {
  const state = { isOver: false, sent: 0 };
  const later = (action: () => void): void =>
    queueMicrotask(() => {
      if (!state.isOver) action();
    });
  const end = (ends: { readonly opened: StreamEnd; readonly accepted: StreamEnd }): void => {
    later(() => {
      state.isOver = true;
      options.events.onEnd(ends.opened);
      acceptedEvents.onEnd(ends.accepted);
    });
  };
  const accepted: ByteStream = {
    write: (bytes, onTaken) =>
      later(() => {
        options.events.onBytes(bytes);
        onTaken();
      }),
    finish: () =>
      end({
        opened: { kind: "done", text: "Done" },
        accepted: { kind: "done", text: "Done" },
      }),
    close: ({ kind, text }) =>
      end({
        opened: { kind: kind === "closed" ? "broken" : kind, text },
        accepted: { kind: "closed", text },
      }),
    pause: () => undefined,
    resume: () => undefined,
  };
  const acceptedEvents = options.accept(accepted);
  return {
    write: (bytes, onTaken) => {
      const place = state.sent;
      state.sent += 1;
      if (place === options.limit) return end({ opened: CUT, accepted: CUT });
      later(() => {
        acceptedEvents.onBytes(options.change?.(bytes, place) ?? bytes);
        onTaken();
      });
    },
    finish: () => later(() => acceptedEvents.onHalfEnd()),
    close: ({ text }) =>
      end({ opened: { kind: "closed", text }, accepted: { kind: "broken", text } }),
    pause: () => undefined,
    resume: () => undefined,
  };
}
