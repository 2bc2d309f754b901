import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bytes, encodeUtf8, systemRandom } from "@sotto/base";
import type { FlightStream } from "../src/flight-stream.ts";
import { createSwitchboard, defaultSwitchboardLimits, type SwitchboardLimits } from "../src/switchboard.ts";

type Session = { readonly stream: FlightStream; readonly signal: AbortSignal; readonly end: () => void };

/** A switchboard whose sessions do what the test says; time stands still unless moved. */
function open(limits: Partial<SwitchboardLimits> = {}, serve?: (stream: FlightStream) => Promise<void>) {
  const sessions: Session[] = [];
  const time = { now: 1_000_000 };
  const board = createSwitchboard({
    serveSession: (stream, signal) =>
      serve?.(stream) ??
      new Promise<void>((resolve) => {
        sessions.push({ stream, signal, end: resolve });
      }),
    clock: () => time.now,
    random: systemRandom,
    limits: { ...defaultSwitchboardLimits, ...limits },
  });
  const post = (path: string, body: Uint8Array<ArrayBuffer> | null = encodeUtf8("in")): Promise<Response> =>
    board.handle(new Request(`http://node.invalid${path}`, { method: "POST", body }));
  return { board, sessions, time, post };
}

async function codeOf(response: Response): Promise<[number, unknown]> {
  const body: unknown = await response.json();
  return [
    response.status,
    typeof body === "object" && body !== null && "code" in body ? body.code : undefined,
  ];
}

/** Answers each flight with its own bytes, upper case. */
async function echo(stream: FlightStream): Promise<void> {
  for await (const chunk of stream) {
    stream.write(String(chunk).toUpperCase());
    stream.endFlight();
  }
}

test("a session gets a handle, and its flights go in and come out one exchange at a time", async () => {
  const { post, board } = open({}, echo);
  const first = await post("/sessions", encodeUtf8("hello"));
  assert.equal(first.status, 200);
  const handle = first.headers.get("sotto-session") ?? "";
  assert.match(handle, /^[0-9a-f]{32}$/);
  assert.equal(await first.text(), "HELLO");
  const second = await post(`/sessions/${handle}`, encodeUtf8("again"));
  assert.equal(second.headers.get("sotto-session"), null);
  assert.equal(await second.text(), "AGAIN");
  assert.equal(board.sessionCount(), 1);
  board.close();
  assert.equal(board.sessionCount(), 0);
  assert.deepEqual(await codeOf(await post(`/sessions/${handle}`)), [404, "unknown-session"]);
});

test("sessions do not mix, however their flights do", async () => {
  const { post, board } = open({}, echo);
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
  board.close();
});

test("paths, methods and handles that are none are refused, and open nothing", async () => {
  const { board, post } = open();
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
});

test("what is too large or too much is refused, and the sessions that are there go on", async () => {
  const { post, board, sessions } = open({ maxBodyBytes: 100, maxSessions: 3 });
  assert.deepEqual(await codeOf(await post("/sessions", new Uint8Array(101))), [413, "too-large"]);
  assert.equal(board.sessionCount(), 0);
  const opened = await Promise.all([post("/sessions"), post("/sessions"), post("/sessions")]);
  const refused = await post("/sessions");
  assert.equal(refused.headers.get("retry-after"), "1");
  assert.deepEqual(await codeOf(refused), [503, "busy"]);
  assert.equal(board.sessionCount(), 3);
  sessions[0]?.stream.write("still here");
  sessions[0]?.stream.endFlight();
  assert.equal(await opened[0]?.text(), "still here");
  sessions[1]?.end();
  await opened[1]?.text();
  assert.equal((await post("/sessions")).status, 200);
  board.close();
});

test("a session that idles or outlives its time is cut, and told so by its signal", async () => {
  const { post, board, sessions, time } = open({ idleMs: 100, lifetimeMs: 1000 });
  const idle = await post("/sessions");
  const busy = await post("/sessions");
  const path = `/sessions/${busy.headers.get("sotto-session")}`;
  time.now += 90;
  const used = await post(path);
  time.now += 90;
  assert.deepEqual(await codeOf(await post(`/sessions/${idle.headers.get("sotto-session")}`)), [
    404,
    "unknown-session",
  ]);
  assert.deepEqual(
    sessions.map(({ signal }) => signal.aborted),
    [true, false],
  );
  assert.ok(sessions[0]?.stream.destroyed);
  for (let passed = 180; passed < 1000; passed += 90) {
    assert.equal((await post(path)).status, 200);
    time.now += 90;
  }
  time.now += 90;
  assert.deepEqual(await codeOf(await post(path)), [404, "unknown-session"]);
  assert.equal(board.sessionCount(), 0);
  await Promise.allSettled([idle.text(), used.text()]);
});

test("a session that fails ends its own exchange and no other, and says nothing of why", async () => {
  const { post, board } = open({}, async (stream) => {
    for await (const chunk of stream) {
      if (String(chunk) === "fail") throw new Error("secret reason");
      await new Promise((resolve) => setTimeout(resolve, 20));
      stream.write("fine");
      stream.endFlight();
    }
  });
  const [good, bad] = await Promise.all([post("/sessions"), post("/sessions", encodeUtf8("fail"))]);
  assert.equal(await bad.text().catch(() => ""), "");
  assert.equal(await good.text(), "fine");
  assert.equal(board.sessionCount(), 1);
  board.close();
});

test("a client that leaves in the middle of an answer takes its session with it", async () => {
  const { post, sessions } = open();
  const response = await post("/sessions");
  sessions[0]?.stream.write("half");
  await response.body?.cancel();
  assert.ok(sessions[0]?.stream.destroyed);
});

test("what a session says between exchanges waits for the next, up to a limit", async () => {
  const { post, sessions, board } = open();
  const first = await post("/sessions");
  const stream = sessions[0]?.stream;
  assert.ok(stream);
  stream.write("one");
  stream.endFlight();
  assert.equal(await first.text(), "one");
  stream.write("two");
  const handle = first.headers.get("sotto-session");
  const second = await post(`/sessions/${handle}`, new Uint8Array());
  stream.endFlight();
  assert.equal(await second.text(), "two");
  const failed = new Promise((resolve) => stream.once("error", resolve));
  const piece: Bytes = new Uint8Array(256 * 1024);
  for (let written = 0; written < 5; written += 1) stream.write(piece);
  await failed;
  assert.ok(stream.destroyed);
  board.close();
});
