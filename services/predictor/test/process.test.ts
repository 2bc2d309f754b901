// The predictor as a real process on a simulated machine, with a model server beside it.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClientSession } from "@sotto/ratls";
import {
  ask,
  configOf,
  events,
  launch,
  type ModelServer,
  openPredictor,
  type Running,
  readText,
  startModelServer,
  textOf,
} from "../../../tests/confidential-stage.ts";

const maximumProcesses = 4;
let model: ModelServer;
let predictor: Running;
let echo: ModelServer["play"];

before(async () => {
  model = await startModelServer();
  echo = model.play;
  const engine = { kind: "openai", url: model.url, model: "toy" };
  predictor = await launch("predictor", await configOf("predictor", { engine, maximumProcesses }));
});

/** Opens a session, as soon as there is a process for it. */
async function open(): Promise<ClientSession> {
  for (let attempts = 1; ; attempts += 1) {
    try {
      return await openPredictor(predictor.address);
    } catch (error) {
      if (attempts === 20) throw error;
      await sleep(100);
    }
  }
}

const skip = process.platform === "linux" ? false : "processes are found in /proc";

/** Ids of the processes that the predictor has started. */
function childrenOf(parent: number | undefined): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) === parent;
      } catch {
        return false; // gone by now
      }
    });
}

test("a verified session carries one question to the server and its answer back", async () => {
  const session = await open();
  assert.equal(session.node.verdict.overall, "simulated");
  assert.equal(await readText(await ask(session, "hello there")), "HELLO THERE");
  const { messages, cache_salt, cache_prompt, ...rest } = JSON.parse(model.asked.at(-1)?.body ?? "");
  assert.deepEqual(messages, [{ role: "user", content: "hello there" }]);
  assert.match(cache_salt, /^[0-9a-f]{32}$/);
  assert.equal(cache_prompt, false);
  assert.deepEqual(rest, { model: "toy", stream: true, stream_options: { include_usage: true } });
  await assert.rejects(ask(session, "again"), "a session is good for one question");
});

test("a long answer comes whole, streamed or not, and to a client that is slow to read it", async () => {
  const long = "word ".repeat(200_000);
  model.play = (response) => {
    response.write(events.text(long));
    response.end(Buffer.concat([events.finish(), events.usage, events.done]));
  };
  const sessions = await Promise.all([open(), open()]);
  const texts = await Promise.all(
    sessions.map(async (session, index) => {
      const answer = await ask(session, "hello", { stream: index === 0 });
      const pieces: Uint8Array[] = [];
      for await (const piece of answer.body) {
        if (pieces.length < 3) await sleep(100);
        pieces.push(piece);
      }
      return Buffer.concat(pieces).toString();
    }),
  );
  const [streamed = "", whole = ""] = texts;
  assert.equal(JSON.parse(/data: (.*"content".*)/.exec(streamed)?.[1] ?? "").choices[0].delta.content, long);
  assert.equal(JSON.parse(whole).choices[0].message.content, long);
  model.play = echo;
});

test("questions at once do not mix: each has its own process, connection and salt; one too many is turned away", async () => {
  const first = model.asked.length;
  const names = ["ann", "ben", "cat", "dan"];
  assert.equal(names.length, maximumProcesses);
  const sessions = await Promise.all(names.map(open));
  await assert.rejects(openPredictor(predictor.address), { code: "truncated" });
  const answers = await Promise.all(
    sessions.map(async (session, index) => readText(await ask(session, `${names[index]} asks`))),
  );
  assert.deepEqual(
    answers,
    names.map((name) => `${name} asks`.toUpperCase()),
  );
  const asked = model.asked.slice(first);
  assert.equal(new Set(asked.map(({ request }) => request.socket)).size, names.length);
  assert.equal(new Set(asked.map(({ body }) => JSON.parse(body).cache_salt)).size, names.length);
  assert.equal(await readText(await ask(await open(), "room")), "ROOM", "there is room again");
});

test("a client that leaves in the middle stops the server's work, and nobody else's", async () => {
  const stopped = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  model.play = async (response: ServerResponse, { body }) => {
    response.write(events.text("begun "));
    if (body.includes("leave")) response.on("close", stopped.resolve);
    else {
      await gate.promise;
      response.end(Buffer.concat([events.text("done"), events.finish(), events.done]));
    }
  };
  const [leaving, staying] = await Promise.all([open(), open()]);
  const [left, kept] = await Promise.all([ask(leaving, "leave"), ask(staying, "stay")]);
  const answer = textOf(kept);
  assert.equal((await answer.next()).value, "begun ");
  for await (const piece of textOf(left)) {
    assert.equal(piece, "begun ");
    break;
  }
  await stopped.promise;
  gate.resolve();
  assert.equal((await answer.next()).value, "done");
  model.play = echo;
});

test("a process that is killed in the middle cuts its own answer, which does not look whole, and no other", {
  skip,
}, async () => {
  const gate = Promise.withResolvers<void>();
  model.play = async (response) => {
    response.write(events.text("begun "));
    await gate.promise;
    response.end(Buffer.concat([events.text("done"), events.finish(), events.done]));
  };
  const session = await open();
  const answer = textOf(await ask(session, "hello"));
  assert.equal((await answer.next()).value, "begun ");
  // All that there are go, the one with the question and the ones that wait.
  for (const pid of childrenOf(predictor.process.pid)) process.kill(pid, "SIGKILL");
  await assert.rejects(answer.next(), { code: "truncated" });
  gate.resolve();
  model.play = echo;
  assert.equal(await readText(await ask(await open(), "next")), "NEXT");
});

test("a server that goes and comes back is used again, and no question is lost to a dead connection", async () => {
  await model.close();
  await sleep(200); // those that wait have noticed
  const waiting = open();
  await sleep(200);
  model = await startModelServer(model.port);
  assert.equal(await readText(await ask(await waiting, "back")), "BACK");
});

test("it has told how many sessions ended how, and nothing else", async () => {
  assert.equal(await predictor.stop(), 0);
  for (const line of predictor.output().split("\n").filter(Boolean)) {
    const ended = '"session-ended","outcome":"(answered|failed)"';
    const counted = `{"event":"counted","kind":(${ended}|"process-failed"),"times":"10-100"}`;
    assert.match(line, new RegExp(`^${counted}$`));
  }
  if (skip === false) assert.deepEqual(childrenOf(predictor.process.pid), []);
});
