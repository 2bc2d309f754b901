// A long answer in flights, through the real switchboard: fresh evidence is asked for in an exchange of its own, which
// takes over the answer that is on its way in another.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bytes, concatBytes, encodeUtf8, systemRandom } from "@sotto/base";
import { type ByteStream, openClientSession } from "@sotto/ratls";
import { acceptServerSession } from "@sotto/ratls/server";
import { requestEvidence } from "@sotto/sealed/child";
import { createStage } from "../../../protocol/ratls/test/stage.ts";
import { openClientStream } from "../src/sealed/client-stream.ts";
import { createSwitchboard, type Switchboard } from "../src/switchboard.ts";
import { type Child, createChildPool } from "./child.ts";

const stage = await createStage();
const pieceBytes = 1000;
const pieces = 12;
const pieceOf = (index: number): Bytes => new Uint8Array(pieceBytes).fill(index + 1);
const whole = concatBytes(...Array.from({ length: pieces }, (_, index) => pieceOf(index)));

/** Carries a session to the switchboard as the gateway does; exchanges are read in the order in which they began. */
function createFlights(board: Switchboard) {
  const exchanges: Promise<Response>[] = [];
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  let outgoing: Uint8Array[] = [];
  let session = "";
  let count = 0;
  let wake = (): void => {};
  const endFlight = (): void => {
    const body = concatBytes(...outgoing);
    outgoing = [];
    count += 1;
    const request = new Request(`http://node.invalid/sessions${session}`, { method: "POST", body });
    const answered = board.handle(request).then((response) => {
      assert.equal(response.status, 200);
      if (session === "") session = `/${response.headers.get("sotto-session")}`;
      return response;
    });
    exchanges.push(answered);
    wake();
  };
  const read = async (): Promise<Bytes | undefined> => {
    for (;;) {
      if (reader === undefined) {
        while (exchanges.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        reader = (await exchanges.shift())?.body?.getReader();
      }
      const next = await reader?.read();
      if (next?.done === false) return new Uint8Array(next.value);
      reader = undefined;
    }
  };
  const write = async (bytes: Bytes): Promise<void> => {
    outgoing.push(bytes);
    if (count === 0) endFlight(); // the ClientHello is a flight by itself
  };
  const stream: ByteStream = { read, write, end: () => {}, destroy: () => {} };
  return { stream, endFlight, count: () => count };
}

test("an answer goes on in the exchange that asked for evidence, each byte once and in order", async () => {
  let now = Date.now();
  let reports = 0;
  const gates = Array.from({ length: pieces }, () => Promise.withResolvers<void>());
  const serve = async ({ channel, assigned, finish }: Child): Promise<void> => {
    await assigned;
    const { stream, endFlight } = openClientStream(channel);
    const session = await acceptServerSession({
      stream,
      role: "orchestrator",
      attester: { attest: (binding) => requestEvidence(channel, "client", binding) },
      random: systemRandom,
      onFlight: endFlight,
    });
    assert.deepEqual(await session.request, encodeUtf8("tell me more"));
    const answer = session.respond();
    for (let index = 0; index < pieces; index += 1) {
      await gates[index]?.promise;
      await answer.write(pieceOf(index));
    }
    await answer.end();
    session.close();
    await finish("answered");
  };
  const processes = createChildPool((child) => void serve(child).catch(() => {}));
  const board = createSwitchboard({
    processes,
    attest: async (binding) => {
      const bundle = await stage.attester("orchestrator").attest(binding);
      reports += 1;
      return bundle;
    },
    isOpen: () => true,
    onEnd: () => {},
    clock: () => now,
    random: systemRandom,
  });
  const { stream, endFlight, count } = createFlights(board);
  const session = await openClientSession({
    ...{ stream, policy: stage.policy, role: "orchestrator", clock: Date.now, random: systemRandom },
    reattest: { everyMs: Number.MAX_SAFE_INTEGER, everyBytes: 3 * pieceBytes },
    onFlight: endFlight,
  });
  assert.equal(count(), 2);
  const heard: Bytes[] = [];
  let length = 0;
  for (const gate of gates.slice(0, 2)) gate.resolve();
  for await (const bytes of session.request(encodeUtf8("tell me more"))) {
    heard.push(bytes);
    length += bytes.length;
    now += 10_000; // the process may have evidence again
    // Each exchange but those of the hello and the question is answered by a report, which the next piece comes after.
    while (reports < count() - 2) await new Promise((resolve) => setImmediate(resolve));
    gates[Math.floor(length / pieceBytes) + 1]?.resolve();
  }
  assert.deepEqual(concatBytes(...heard), whole);
  assert.ok(reports >= 3, `${reports} reports`);
  assert.equal(count(), 2 + reports);
  board.close();
  processes.close();
});
