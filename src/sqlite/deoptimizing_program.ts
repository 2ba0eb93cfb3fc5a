/**
 * For a test: a function of SQL that takes away, while it is called, what its caller was optimized on. With a call
 * that has a result V8 then ends the process (call_source.ts).
 */
import { createFunction } from "./functions.ts";
import { Statement } from "./statement.ts";
import { openMemory } from "./testing.ts";

const CALLS = 300_000;
const EVERY = 50_000;

class Holder {
  value = 1;
}

using connection = openMemory();
const holder = new Holder();
let calls = 0;
createFunction(connection, { name: "spoil", argumentCount: 0 }, () => {
  if (++calls % EVERY === 0) {
    holder.value = calls;
    Object.defineProperty(Statement.prototype, `spoilt${calls}`, { value: calls });
    Object.defineProperty(Holder.prototype, `spoilt${calls}`, { value: calls });
  }
  return 1;
});
using statement = connection.prepare("SELECT spoil()");

function callOnce(): number {
  const code = statement.stepCode();
  statement.reset();
  return code + holder.value;
}

let sum = 0;
for (let count = 0; count < CALLS; count++) sum += callOnce();
Deno.stdout.writeSync(new TextEncoder().encode(`alive ${sum > CALLS}\n`));
