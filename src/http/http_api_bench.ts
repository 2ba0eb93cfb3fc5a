/**
 * The API in front of a database that answers at once, to be put under load from outside: what the
 * room costs, apart from what it calls. `deno run -A src/http/http_api_bench.ts PORT [bare]`; with
 * `bare` a server that only reads the body, for comparison in the same run.
 */
import { DenoClock } from "../os/deno_clock.ts";
import type { DatabasePort } from "./database_port.ts";
import { HttpApi } from "./http_api.ts";
import { BODY_BYTES_MAX, REQUESTS_IN_FLIGHT_MAX } from "./limits.ts";
import { startHttpServer } from "./server.ts";

const LEADER_KNOWN = true;
const RESULTS = '[{"last_insert_id":1,"rows_affected":1}]';

function unused(): never {
  throw new Error("Not part of this measurement");
}

const database: DatabasePort = {
  execute: () => Promise.resolve({ results: RESULTS, raftIndex: 7 }),
  query: () => Promise.resolve({ results: RESULTS, raftIndex: 0 }),
  request: () => Promise.resolve({ results: RESULTS, raftIndex: 0 }),
  cancel: () => {},
  hasLeader: () => Promise.resolve(LEADER_KNOWN),
  status: unused,
  nodes: unused,
  leader: unused,
  elsewhere: unused,
  remove: unused,
  stepDown: unused,
  setTime: unused,
  readiness: unused,
  snapshot: unused,
  metricsText: unused,
};

if (import.meta.main) {
  const port = Number(Deno.args[0]);
  const hostname = "127.0.0.1";
  const crash = (error: unknown): void => {
    throw error;
  };
  if (Deno.args[1] === "bare") {
    Deno.serve({ port, hostname }, async (request) => {
      await request.text();
      return new Response(`{"results":${RESULTS}}`, {
        headers: { "content-type": "application/json" },
      });
    });
  } else {
    const api = new HttpApi({
      database,
      clock: new DenoClock(),
      version: "bench",
      advertisedAddress: `${hostname}:${port}`,
      bindAddress: `${hostname}:${port}`,
      allowOrigin: undefined,
      writeQueue: { capacity: 1024, batchSize: 128, timeoutMs: 50, transaction: false },
      bodyBytesMax: BODY_BYTES_MAX,
      requestsInFlightMax: REQUESTS_IN_FLIGHT_MAX,
      commandLine: [],
      crash,
    });
    startHttpServer({ api, hostname, port, crash });
  }
}
