import assert from "node:assert/strict";
import { test } from "node:test";
import type { EvidenceBundle, SessionBinding } from "@sotto/attestation";
import { AttesterError } from "@sotto/attester";
import { type Bytes, concatBytes, encodeUtf8, systemRandom } from "@sotto/base";
import { type Attest, messageType, parseWord, refusals, serializeAttestMessage } from "@sotto/sealed";
import { requestEvidence } from "@sotto/sealed/child";
import {
  createSwitchboard,
  defaultSwitchboardLimits,
  type SwitchboardDependencies,
  type SwitchboardLimits,
} from "../src/switchboard.ts";
import { type Child, createChild, createChildPool, echo } from "./child.ts";

const bundle: EvidenceBundle = {
  snp: { report: new Uint8Array(8), certificates: new Uint8Array(8) },
  batch: { index: 0, size: 1, path: [] },
  statement: encodeUtf8("statement"),
  proof: encodeUtf8("proof"),
  layers: [],
  gpus: [],
  peers: [],
};
const hash = new Uint8Array(32).fill(7);
const binding: SessionBinding = {
  role: "orchestrator",
  spkiDigest: hash,
  nonce: hash,
  exporter: hash,
  requestDigest: hash,
};

type Given = Partial<SwitchboardDependencies> & {
  readonly serve?: (child: Child) => void;
  readonly maximum?: number;
  readonly limited?: Partial<SwitchboardLimits>;
};

/** A switchboard whose processes do what the test says; time stands still unless moved. */
function open({ serve, maximum, limited, ...given }: Given = {}) {
  const children: Child[] = [];
  const outcomes: string[] = [];
  const state = { now: 1_000_000, isOpen: true };
  const processes = createChildPool((child) => {
    children.push(child);
    serve?.(child);
  }, maximum);
  const board = createSwitchboard({
    processes,
    attest: async () => bundle,
    isOpen: () => state.isOpen,
    onEnd: (outcome) => outcomes.push(outcome),
    clock: () => state.now,
    random: systemRandom,
    limits: { ...defaultSwitchboardLimits, ...limited },
    ...given,
  });
  const post = (path: string, body: Uint8Array<ArrayBuffer> | null = encodeUtf8("in")): Promise<Response> =>
    board.handle(new Request(`http://node.invalid${path}`, { method: "POST", body }));
  /** Opens a session and gives its first answer, its path and its process. */
  const begin = async () => {
    const response = await post("/sessions");
    const child = children.find(({ process }) => process === taken.at(-1));
    assert.ok(child);
    return { response, path: `/sessions/${response.headers.get("sotto-session")}`, child };
  };
  const taken: unknown[] = [];
  const { take } = processes;
  Object.assign(processes, {
    take: async () => {
      const process = await take();
      taken.push(process);
      return process;
    },
  });
  const close = (): void => {
    board.close();
    processes.close();
  };
  return { board, children, outcomes, state, post, begin, close };
}

async function codeOf(response: Response): Promise<[number, unknown]> {
  const body: unknown = await response.json();
  return [
    response.status,
    typeof body === "object" && body !== null && "code" in body ? body.code : undefined,
  ];
}

const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

test("a session gets a handle, and its flights go in and come out one exchange at a time", async () => {
  const { post, board, close } = open({ serve: echo });
  const first = await post("/sessions", encodeUtf8("hello"));
  assert.equal(first.status, 200);
  const handle = first.headers.get("sotto-session") ?? "";
  assert.match(handle, /^[0-9a-f]{32}$/);
  assert.equal(await first.text(), "HELLO");
  const second = await post(`/sessions/${handle}`, encodeUtf8("again"));
  assert.equal(second.headers.get("sotto-session"), null);
  assert.equal(await second.text(), "AGAIN");
  assert.equal(board.sessionCount(), 1);
  close();
  assert.equal(board.sessionCount(), 0);
  assert.deepEqual(await codeOf(await post(`/sessions/${handle}`)), [404, "unknown-session"]);
});

test("sessions do not mix, however their flights do", async () => {
  const { post, close } = open({ serve: echo });
  const names = Array.from({ length: 20 }, (_, index) => `session ${index} `);
  const handles = await Promise.all(
    names.map(async (name) => {
      const response = await post("/sessions", encodeUtf8(name));
      assert.equal(await response.text(), name.toUpperCase());
      return response.headers.get("sotto-session") ?? "";
    }),
  );
  assert.equal(new Set(handles).size, names.length);
  const answers = await Promise.all(
    handles.map(async (handle, index) =>
      (await post(`/sessions/${handle}`, encodeUtf8(names[index] ?? ""))).text(),
    ),
  );
  assert.deepEqual(
    answers,
    names.map((name) => name.toUpperCase()),
  );
  close();
});

test("paths, methods and handles that are none are refused, and open nothing", async () => {
  const { board, post, close } = open();
  const handle = "0".repeat(32);
  for (const path of [
    "/",
    "/session",
    "/sessions/",
    "/sessions/xyz",
    `/sessions/${handle}0`,
    `/sessions/${handle}/x`,
  ]) {
    assert.deepEqual(await codeOf(await post(path)), [404, "not-found"], path);
  }
  assert.deepEqual(await codeOf(await post(`/sessions/${handle}`)), [404, "unknown-session"]);
  for (const method of ["GET", "PUT", "DELETE"]) {
    const request = new Request("http://node.invalid/sessions", { method });
    assert.deepEqual(await codeOf(await board.handle(request)), [405, "method-not-allowed"]);
  }
  assert.equal(board.sessionCount(), 0);
  close();
});

test("what is too large or too much is refused, and the sessions that are there go on", async () => {
  const { post, board, begin, close } = open({ limited: { maxBodyBytes: 100 }, maximum: 3 });
  assert.deepEqual(await codeOf(await post("/sessions", new Uint8Array(101))), [413, "too-large"]);
  assert.equal(board.sessionCount(), 0);
  const opened = [await begin(), await begin(), await begin()];
  const refused = await post("/sessions");
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.deepEqual(await codeOf(refused), [503, "busy"]);
  assert.equal(board.sessionCount(), 3);
  const [first, second] = opened;
  first?.child.client.write("still here");
  first?.child.endFlight();
  assert.equal(await first?.response.text(), "still here");
  second?.child.finish("answered");
  assert.equal(await second?.response.text(), "");
  while (board.sessionCount() === 3) await soon();
  assert.equal((await post("/sessions")).status, 200, "there is room again");
  close();
});

test("a session that sends more in all than one request and its handshake is dropped, and no other", async () => {
  const { post, board, begin, outcomes, close } = open({
    limited: { maxBodyBytes: 60, maxSessionBytes: 100 },
  });
  const other = await begin();
  const { path, child, response } = await begin();
  const first = encodeUtf8("in").length;
  const next = async (length: number): Promise<Response> => post(path, new Uint8Array(length));
  const allowed = [await next(60), await next(0), await next(100 - 60 - first)];
  assert.deepEqual(
    allowed.map(({ status }) => status),
    [200, 200, 200],
    "exactly as much as it may",
  );
  assert.ok(!child.wasKilled());
  assert.deepEqual(await codeOf(await next(1)), [413, "too-large"]);
  assert.ok(child.wasKilled());
  assert.equal(await response.text(), "", "an exchange before the one that was cut");
  await assert.rejects(async () => allowed.at(-1)?.text(), "what was under way does not look whole");
  assert.deepEqual(await codeOf(await next(1)), [404, "unknown-session"]);
  assert.deepEqual([board.sessionCount(), outcomes], [1, ["failed"]]);
  assert.equal((await post(other.path)).status, 200, "the other has its own count");
  close();
});

test("the largest request fits into a session, with its handshake", () => {
  const { maxBodyBytes, maxSessionBytes } = defaultSwitchboardLimits;
  assert.equal(maxSessionBytes, maxBodyBytes + 64 * 1024);
});

test("a session that idles or outlives its time is cut", async (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  const { post, begin, state, board, close } = open({ limited: { idleMs: 100, lifetimeMs: 1000 } });
  const pass = async (ms: number): Promise<void> => {
    state.now += ms;
    context.mock.timers.tick(1000);
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  const idle = await begin();
  const busy = await begin();
  await pass(90);
  const used = await post(busy.path);
  await pass(90);
  assert.deepEqual(await codeOf(await post(idle.path)), [404, "unknown-session"]);
  assert.deepEqual([idle.child.wasKilled(), busy.child.wasKilled()], [true, false]);
  await assert.rejects(idle.response.text(), "what it had begun to say does not look whole");
  for (let passed = 180; passed < 1000; passed += 90) {
    assert.equal((await post(busy.path)).status, 200);
    await pass(90);
  }
  await pass(90);
  assert.deepEqual(await codeOf(await post(busy.path)), [404, "unknown-session"]);
  assert.equal(board.sessionCount(), 0);
  await Promise.allSettled([busy.response.text(), used.text()]);
  close();
});

test("a process that dies ends its own exchange and no other", async () => {
  const { begin, board, outcomes, post, close } = open();
  const [good, bad, ended] = [await begin(), await begin(), await begin()];
  bad.child.client.write("half an ans");
  await soon();
  bad.child.exit(70);
  await assert.rejects(bad.response.text());
  good.child.client.write("fine");
  good.child.endFlight();
  assert.equal(await good.response.text(), "fine");
  assert.equal(board.sessionCount(), 2);
  assert.deepEqual(await codeOf(await post(bad.path)), [404, "unknown-session"]);
  ended.child.client.write("whole");
  ended.child.finish("refused");
  assert.equal(await ended.response.text(), "whole");
  await soon();
  assert.deepEqual(outcomes, ["failed", "refused"]);
  close();
});

test("a process that ends while something is still written to it is heard to its end", async () => {
  const { begin, outcomes, close } = open();
  const { response, child } = await begin();
  child.closeInput();
  child.process.write("predictor", new Uint8Array(1));
  await soon();
  assert.ok(!child.wasKilled(), "what it said is still on its way");
  child.client.write("the whole answer");
  child.finish("answered");
  assert.equal(await response.text(), "the whole answer");
  while (outcomes.length === 0) await soon();
  assert.deepEqual(outcomes, ["answered"]);
  close();
});

test("a client that leaves in the middle of an answer takes its session with it", async () => {
  const { begin, board, post, close } = open();
  const { response, child, path } = await begin();
  child.client.write("half");
  await response.body?.cancel();
  assert.ok(child.wasKilled());
  await soon();
  assert.equal(board.sessionCount(), 0);
  assert.deepEqual(await codeOf(await post(path)), [404, "unknown-session"]);
  close();
});

test("a process that takes its time to die serves nobody meanwhile", async () => {
  const child = createChild({ diesSlowly: true });
  const processes = { ...createChildPool(() => {}), take: async () => child.process };
  const { post, board, outcomes } = open({ processes });
  const response = await post("/sessions");
  const path = `/sessions/${response.headers.get("sotto-session")}`;
  child.client.write("half");
  await response.body?.cancel();
  child.client.write("of it, and more");
  assert.deepEqual(await codeOf(await post(path)), [404, "unknown-session"]);
  await soon();
  assert.deepEqual(outcomes, []);
  child.exit();
  await soon();
  assert.deepEqual([outcomes, board.sessionCount()], [["failed"], 0]);
  board.close();
});

test("what a session says between exchanges waits for the next, up to a limit", async () => {
  const { begin, post, close } = open();
  const { response, child, path } = await begin();
  child.client.write("one");
  child.endFlight();
  assert.equal(await response.text(), "one");
  child.client.write("two");
  await soon();
  const second = await post(path, new Uint8Array());
  await soon();
  child.endFlight();
  assert.equal(await second.text(), "two");
  const piece: Bytes = new Uint8Array(256 * 1024);
  for (let written = 0; written < 4; written += 1) child.client.write(piece);
  await soon();
  assert.ok(!child.wasKilled());
  child.client.write(piece);
  await soon();
  assert.ok(child.wasKilled());
  assert.deepEqual(await codeOf(await post(path)), [404, "unknown-session"]);
  close();
});

test("the end of an earlier flight does not end a later exchange", async () => {
  const { begin, post, close } = open();
  const { response, child, path } = await begin();
  child.endFlight(1);
  assert.equal(await response.text(), "");
  const second = await post(path);
  child.endFlight(1); // was under way when the second exchange came in
  child.client.write("the answer");
  await soon();
  child.endFlight(2);
  assert.equal(await second.text(), "the answer");
  close();
});

test("an exchange that begins while another is in progress takes over", async () => {
  const { begin, post, close } = open();
  const { response, child, path } = await begin();
  child.client.write("one");
  await soon();
  const second = await post(path);
  assert.equal(await response.text(), "one");
  child.client.write("two");
  child.endFlight(2);
  assert.equal(await second.text(), "two");
  close();
});

test("while inference is off, nothing is opened and nothing goes on", async () => {
  const { begin, post, state, children, close } = open();
  const { response, path, child } = await begin();
  child.endFlight(1);
  await response.text();
  const known = children.length;
  state.isOpen = false;
  assert.deepEqual(await codeOf(await post("/sessions")), [503, "inference-off"]);
  assert.deepEqual(await codeOf(await post(path)), [503, "inference-off"]);
  assert.equal(children.length, known, "no process was taken");
  assert.equal(child.client.received, 1, "nothing reached the process");
  state.isOpen = true;
  assert.equal((await post("/sessions")).status, 200);
  close();
});

test("inference that goes off while a session waits for its process is not begun", async () => {
  const gate = Promise.withResolvers<void>();
  const child = createChild();
  const processes = {
    ...createChildPool(() => {}),
    take: async () => {
      await gate.promise;
      return child.process;
    },
  };
  const { post, state, board } = open({ processes });
  const waiting = post("/sessions");
  await soon();
  state.isOpen = false;
  gate.resolve();
  assert.deepEqual(await codeOf(await waiting), [503, "inference-off"]);
  assert.ok(child.wasKilled());
  assert.equal(board.sessionCount(), 0);
  board.close();
});

test("dropping all sessions cuts the answers under way, so that they do not look whole", async () => {
  const { begin, post, board, outcomes, close } = open();
  const sessions = [await begin(), await begin(), await begin()];
  for (const { child } of sessions) child.client.write("the first half of");
  await soon();
  const readers = sessions.map(({ response }) => response.body?.getReader());
  for (const reader of readers) {
    assert.equal(new TextDecoder().decode((await reader?.read())?.value), "the first half of");
  }
  board.dropAll();
  for (const reader of readers) await assert.rejects(async () => reader?.read());
  for (const { path } of sessions) assert.deepEqual(await codeOf(await post(path)), [404, "unknown-session"]);
  await soon();
  assert.deepEqual(outcomes, ["failed", "failed", "failed"]);
  assert.equal((await post("/sessions")).status, 200, "new ones are served");
  close();
});

test("a process gets evidence for its own session, with the layers around it, and once", async () => {
  const asked: Parameters<Attest>[] = [];
  const { begin, close } = open({
    attest: async (...given) => {
      asked.push(given);
      return bundle;
    },
  });
  const { child } = await begin();
  assert.deepEqual(await requestEvidence(child.channel, "client", binding), bundle);
  assert.deepEqual(asked, [[binding, { peers: [], layers: [] }]]);
  child.channel.send(messageType.attest, serializeAttestMessage({ stream: "client", binding, peers: [] }));
  await soon();
  assert.ok(child.wasKilled(), "a second session's evidence is not for it");
  assert.equal(asked.length, 1);
  close();
});

test("evidence that cannot be made is refused with one of two words", async () => {
  const failures: [Error, string][] = [
    [new AttesterError("busy", "too many"), "busy"],
    [new AttesterError("unavailable", "no report"), "failed"],
    [new Error("canary"), "failed"],
  ];
  for (const [error, word] of failures) {
    const { begin, close } = open({ attest: () => Promise.reject(error) });
    const { child } = await begin();
    const answer = child.channel.nextOf("client", messageType.refusal);
    child.channel.send(messageType.attest, serializeAttestMessage({ stream: "client", binding, peers: [] }));
    const { content } = await answer;
    assert.equal(content.length, 1);
    assert.equal(parseWord(refusals, content[0]), word);
    close();
  }
});

test("a process that asks for what it must not is ended", async () => {
  const message = serializeAttestMessage({ stream: "client", binding, peers: [] });
  const wrong: [string, (child: Child) => void][] = [
    ["a turn at an engine", ({ channel }) => channel.send(messageType.turn)],
    ["evidence for a node", ({ channel }) => channel.send(messageType.attest, message.with(0, 1))],
    ["evidence of nothing", ({ channel }) => channel.send(messageType.attest)],
    ["half a binding", ({ channel }) => channel.send(messageType.attest, message.subarray(0, 128))],
    ["more than its peers", ({ channel }) => channel.send(messageType.attest, concatBytes(message, hash))],
    ["an end of no kind", ({ channel }) => channel.send(messageType.done, Uint8Array.of(9))],
    ["what only the parent says", ({ channel }) => channel.send(messageType.assign)],
  ];
  for (const [name, misbehave] of wrong) {
    const { begin, close } = open({ attest: () => assert.fail("asked") });
    const { child, response } = await begin();
    misbehave(child);
    await assert.rejects(response.text(), name);
    assert.ok(child.wasKilled(), name);
    close();
  }
});

test("a client that does not read makes its process wait, and loses nothing", async () => {
  const { begin, close } = open();
  const { response, child } = await begin();
  const total = 4 * 1024 * 1024;
  let written = 0;
  const produce = (): void => {
    while (written < total) {
      written += 64 * 1024;
      if (!child.client.write(new Uint8Array(64 * 1024).fill(written / 65536))) {
        child.client.once("drain", produce);
        return;
      }
    }
    child.finish("answered");
  };
  produce();
  await soon();
  assert.ok(written < 1024 * 1024, `${written} bytes were written to nobody`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  assert.equal(bytes.length, total);
  assert.ok(bytes.every((byte, index) => byte === Math.floor(index / 65536) + 1));
  close();
});
