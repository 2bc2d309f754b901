// Findings about the switch that turns inference off, against the two services that hold text as real processes.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClientSession } from "@sotto/ratls";
import {
  ask,
  configOf,
  events,
  launch,
  type ModelServer,
  openOrchestrator,
  openPredictor,
  put,
  type Running,
  readText,
  startModelServer,
  textOf,
} from "../confidential-stage.ts";

let model: ModelServer;
let echo: ModelServer["play"];
let predictor: Running;
let orchestrator: Running;
const switches = { orchestrator: "", predictor: "" };
type Service = keyof typeof switches;

before(async () => {
  model = await startModelServer();
  echo = model.play;
  for (const service of ["orchestrator", "predictor"] as const) {
    switches[service] = put(`${service}-switch`, "on\n");
  }
  const engine = { kind: "openai", url: model.url, model: "toy" };
  const config = await configOf("predictor", { engine });
  predictor = await launch("predictor", config, { SOTTO_SWITCH: switches.predictor });
  orchestrator = await launch("orchestrator", await configOf("orchestrator"), {
    SOTTO_PREDICTORS: new URL(predictor.address).host,
    SOTTO_SWITCH: switches.orchestrator,
  });
});
after(() => Promise.all([orchestrator?.stop(), predictor?.stop()]));

const processOf = (service: Service): Running => (service === "predictor" ? predictor : orchestrator);

/** Puts words into the switch's file, and waits until the service has told that it has seen them. */
async function turn(service: Service, to: "on" | "off", content = `${to}\n`): Promise<void> {
  const seen = processOf(service).output().length;
  put(`${service}-switch`, content);
  const line = `{"event":"inference-switched","to":"${to}"}\n`;
  while (!processOf(service).output().slice(seen).includes(line)) await sleep(20);
}

/** Opens a session with the orchestrator, as soon as there is a process for it. */
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

const post = async (path: string): Promise<[number, unknown]> => {
  const url = new URL(path, orchestrator.address);
  const response = await fetch(url, { method: "POST", body: new Uint8Array(100) });
  return [response.status, ((await response.json()) as { code?: unknown }).code]; // a problem's body
};
const isOff = [503, "inference-off"];

/** A question whose answer goes on until the gate opens; the first of its words have come. */
async function begin(session: ClientSession, gate: Promise<void>) {
  model.play = async (response) => {
    response.write(events.text("begun "));
    await gate;
    response.end(Buffer.concat([events.text("and done"), events.finish(), events.done]));
  };
  const answer = textOf(await ask(session, "hello"));
  assert.equal((await answer.next()).value, "begun ");
  model.play = echo;
  return answer;
}

test("29: while inference is on, questions are answered on every path", async () => {
  assert.equal(await readText(await ask(await open(), "one")), "ONE");
  assert.equal(await readText(await ask(await openPredictor(predictor.address), "two")), "TWO");
});

test("29: off at the orchestrator: no session, no later flight, and no rest of a streamed answer", async () => {
  const gate = Promise.withResolvers<void>();
  const waiting = await open();
  const answer = await begin(await open(), gate.promise);
  const asked = model.asked.length;
  await turn("orchestrator", "off");
  assert.deepEqual(await post("/sessions"), isOff);
  await assert.rejects(openOrchestrator(orchestrator.address));
  await assert.rejects(answer.next(), "an answer under way is cut, and does not look whole");
  gate.resolve();
  await assert.rejects(ask(waiting, "now?"), "a session that was open carries nothing more");
  for (const content of ["off\n", "", "ON\n", "on", " on\n", "on\non\n"]) {
    put("orchestrator-switch", content);
    await sleep(300);
    assert.deepEqual(await post("/sessions"), isOff, JSON.stringify(content));
  }
  rmSync(switches.orchestrator);
  await sleep(300);
  assert.deepEqual(await post("/sessions"), isOff, "the file is gone");
  assert.equal(model.asked.length, asked, "the model was asked nothing");
  await turn("orchestrator", "on");
  assert.equal(await readText(await ask(await open(), "again")), "AGAIN");
});

test("29: off at the predictor: nobody is let in, whoever is there is cut, through the orchestrator too", async () => {
  const gate = Promise.withResolvers<void>();
  const direct = await openPredictor(predictor.address);
  const answers = [
    await begin(await openPredictor(predictor.address), gate.promise),
    await begin(await open(), gate.promise),
  ];
  const asked = model.asked.length;
  await turn("predictor", "off");
  for (const answer of answers) await assert.rejects(answer.next());
  gate.resolve();
  await assert.rejects(ask(direct, "now?"));
  await assert.rejects(openPredictor(predictor.address), { code: "truncated" });
  // The orchestrator still speaks, but has nobody to ask.
  await assert.rejects(openOrchestrator(orchestrator.address), { code: "busy" });
  assert.equal(model.asked.length, asked, "the model was asked nothing");
  await turn("predictor", "on");
  assert.equal(await readText(await ask(await openPredictor(predictor.address), "direct")), "DIRECT");
  assert.equal(await readText(await ask(await open(), "through")), "THROUGH");
});

test("29: what is measured as off stays off, whatever the host's switch says", async () => {
  const engine = { kind: "openai", url: model.url, model: "toy" };
  const hints = { SOTTO_SWITCH: put("always-on", "on\n") };
  const off = await Promise.all([
    launch("predictor", await configOf("predictor", { engine, inference: "off" }), hints),
    launch("orchestrator", await configOf("orchestrator", { inference: "off" }), {
      ...hints,
      SOTTO_PREDICTORS: new URL(predictor.address).host,
    }),
  ]);
  const [closedPredictor, closedOrchestrator] = off;
  await assert.rejects(openPredictor(closedPredictor.address), { code: "truncated" });
  await assert.rejects(openOrchestrator(closedOrchestrator.address));
  const response = await fetch(new URL("/sessions", closedOrchestrator.address), {
    method: "POST",
    body: new Uint8Array(100),
  });
  assert.equal(response.status, 503);
  assert.match(await response.text(), /"code":"inference-off"/);
  await Promise.all(off.map((one) => one.stop()));
});

test("29: the switch is told in two words, and says nothing of whom it cut", async () => {
  await Promise.all([orchestrator.stop(), predictor.stop()]);
  const told = /^\{"event":"(inference-switched","to":"(on|off)|counted",.*"times":"10-100)"\}$/;
  for (const service of [orchestrator, predictor]) {
    for (const line of service.output().split("\n").filter(Boolean)) assert.match(line, told);
  }
});
