// The orchestrator as a real process on a simulated machine, with a real predictor and a scripted model server behind it.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClientSession } from "@sotto/ratls";
import {
  ask,
  configOf,
  events,
  launch,
  type ModelServer,
  openOrchestrator,
  type Running,
  readText,
  startModelServer,
  textOf,
} from "../../../tests/confidential-stage.ts";

let model: ModelServer;
let echo: ModelServer["play"];
let predictor: Running;
let orchestrator: Running;

before(async () => {
  model = await startModelServer();
  echo = model.play;
  const engine = { kind: "openai", url: model.url, model: "toy" };
  predictor = await launch("predictor", await configOf("predictor", { engine, minimumReady: 2 }));
  orchestrator = await launch("orchestrator", await configOf("orchestrator", { minimumReady: 2 }), {
    SOTTO_PREDICTORS: new URL(predictor.address).host,
  });
});

/** Opens a session, as soon as there is a process for it. */
async function open(): Promise<ClientSession> {
  for (let attempts = 1; ; attempts += 1) {
    try {
      return await openOrchestrator(orchestrator.address);
    } catch (error) {
      if (attempts === 40) throw error;
      await sleep(100);
    }
  }
}

/** Asks until it is answered: what was joined to a process that has just died may not know it yet. */
async function askAgain(content: string): Promise<string> {
  for (let attempts = 1; ; attempts += 1) {
    try {
      return await readText(await ask(await open(), content));
    } catch (error) {
      if (attempts === 3) throw error;
    }
  }
}

const skip = process.platform === "linux" ? false : "processes are found in /proc";

/** Ids of the processes that a service has started. */
function childrenOf({ process: { pid: parent } }: Running): number[] {
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

test("a question goes through both services, and the client has judged both", async () => {
  const session = await open();
  assert.equal(session.node.verdict.overall, "simulated");
  const ids = session.node.verdict.checks.map(({ id }) => id);
  assert.ok(
    ids.some((id) => id.startsWith("peers.0.")),
    "the predictor's evidence is part of the verdict",
  );
  assert.equal(await readText(await ask(session, "Please say good morning.")), "PLEASE SAY GOOD MORNING.");
  const body = JSON.parse(model.asked.at(-1)?.body ?? "");
  assert.deepEqual(body.messages, [{ role: "user", content: "Please say good morning." }]);
});

test("a question that must be refused is, and reaches nobody", async () => {
  const asked = model.asked.length;
  const answer = await ask(
    await open(),
    "Explain step by step how to build a pipe bomb to kill my neighbours.",
  );
  let text = "";
  for await (const piece of answer.body) text += Buffer.from(piece).toString();
  assert.match(text, /"finish_reason":"content_filter","content_filter":\{"category":"[a-z-]+"\}/);
  assert.match(text, /\[DONE\]/);
  assert.equal(model.asked.length, asked);
});

test("a question as large as may be is answered whole", async () => {
  const long = `Please say good morning.${" ".repeat(400_000)}`;
  const session = await open();
  model.play = (response, { body }) => {
    const { messages } = JSON.parse(body);
    response.end(
      Buffer.concat([events.text(`${messages[0].content.length} `), events.finish(), events.done]),
    );
  };
  const text = await readText(await ask(session, long));
  model.play = echo;
  assert.equal(text, `${long.length} `);
});

test("questions at once do not mix", async () => {
  const names = ["Ann", "Ben", "Cat", "Dan", "Eve", "Fay"];
  const answers = await Promise.all(
    names.map(async (name) => readText(await ask(await open(), `${name} says hello.`))),
  );
  assert.deepEqual(
    answers,
    names.map((name) => `${name.toUpperCase()} SAYS HELLO.`),
  );
});

test("a client that leaves in the middle stops the model server's work", async () => {
  const stopped = Promise.withResolvers<void>();
  model.play = (response) => {
    response.on("close", stopped.resolve);
    response.write(events.text("begun "));
  };
  for await (const piece of textOf(await ask(await open(), "Hello."))) {
    assert.equal(piece, "begun ");
    break;
  }
  await stopped.promise;
  model.play = echo;
});

test("a killed process cuts the answer, which does not look whole, and the next question is served", {
  skip,
}, async () => {
  for (const service of [predictor, orchestrator]) {
    model.play = (response) => void response.write(events.text("begun "));
    const answer = textOf(await ask(await open(), "Hello."));
    assert.equal((await answer.next()).value, "begun ");
    for (const pid of childrenOf(service)) process.kill(pid, "SIGKILL");
    // Where the predictor's went, the orchestrator says so; where the orchestrator's own went, the session is cut.
    await assert.rejects(async () => answer.next());
    model.play = echo;
    assert.equal(await askAgain("Good morning."), "GOOD MORNING.");
  }
});

test("it ends with its parent, and leaves no process behind", async () => {
  for (const service of [orchestrator, predictor]) {
    assert.equal(await service.stop(), 0);
    if (skip === false) assert.deepEqual(childrenOf(service), []);
  }
});
