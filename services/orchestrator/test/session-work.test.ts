// A sealed process's work in this process, between a client and nodes with evidence that verifies: whom it accepts as
// predictor and as guard, whom it shows, and what a client is told where one of them is missing.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex, PassThrough } from "node:stream";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { amdRoots, type TrustPolicy } from "@sotto/attestation";
import { type Bytes, decodeUtf8, encodeUtf8, systemRandom } from "@sotto/base";
import { jsonAnswer, sendRequest, serveRequest } from "@sotto/exchange";
import { classifierUrl, policyUrl } from "@sotto/guard";
import { openClientSession, RatlsError } from "@sotto/ratls";
import { acceptServerSession } from "@sotto/ratls/server";
import {
  type Attest,
  createSealedPeer,
  type Obstacle,
  openClientDesk,
  openNodeDesk,
  type StreamName,
} from "@sotto/sealed";
import { Channel } from "@sotto/sealed/child";
import { createStage } from "../../../protocol/ratls/test/stage.ts";
import { createSessionWork } from "../src/sealed/session-work.ts";

const stage = await createStage();
const folder = mkdtempSync(join(tmpdir(), "sotto-orchestrator-"));
after(() => rmSync(folder, { recursive: true, force: true }));

type Node =
  | { readonly role: "predictor" | "guard"; readonly says: string; readonly clientPolicy?: TrustPolicy }
  | "absent"
  | "broken";

/** One end of a stream that the parent carries. */
class Carried extends Duplex {
  readonly #send: (bytes: Bytes | undefined) => void;

  constructor(send: (bytes: Bytes | undefined) => void) {
    super();
    this.#send = send;
    this.on("error", () => {});
  }

  override _read(): void {
    // Pushed as it comes.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#send(new Uint8Array(chunk));
    done();
  }

  override _final(done: () => void): void {
    this.#send(undefined);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#send(undefined);
    done(error);
  }
}

/** Starts the work with these nodes; `asked` is what reached their models. */
async function start(
  nodes: { readonly predictor: Node; readonly guard?: Node },
  { isWithoutEvidence = false } = {},
) {
  const model = nodes.guard === undefined ? {} : { model: { timeoutMs: 5000 } };
  const config = join(folder, `${systemRandom(6).toHex()}.json`);
  writeFileSync(config, JSON.stringify({ trust: {}, guard: model }));
  const [policy, classifier] = [fileURLToPath(policyUrl), fileURLToPath(classifierUrl)];
  const work = createSessionWork(() => stage.policy, JSON.stringify({ config, policy, classifier }));
  const [input, output] = [new PassThrough(), new PassThrough()];
  const { promise: ended } = Promise.withResolvers<undefined>();
  const peer = createSealedPeer({
    input,
    output,
    kill: () => {},
    ended,
    onLocked: () => {},
    onReady: () => {},
  });
  const channel = new Channel(input, output, () => {});
  const open = (name: StreamName): Carried =>
    new Carried((bytes) => (bytes === undefined ? peer.end(name) : peer.write(name, bytes)));
  const streams = { client: open("client"), predictor: open("predictor"), guard: open("guard") };
  const asked: string[] = [];
  const shown: string[] = [];
  const attest: Attest = (binding, { peers }) => {
    if (isWithoutEvidence) return Promise.reject(new Error("no report"));
    shown.push(...peers.map((one) => one.binding.role));
    return stage.attester("orchestrator", { peers }).attest(binding);
  };
  const desk = { process: { ...peer, layers: [] }, role: "orchestrator", attest } as const;
  const nodeDesk = openNodeDesk(desk, new Set(["predictor", "guard"]));
  const clientDesk = openClientDesk({ ...desk, clock: Date.now });
  let isReady = false;
  peer.handle({
    bytes: (name, bytes) => {
      streams[name].push(Buffer.from(bytes));
      return true;
    },
    end: (name) => void streams[name].push(null),
    flight: () => {},
    done: () => {},
    asked: (_type, content) => void (isReady ? clientDesk : nodeDesk)(content),
  });
  for (const name of ["predictor", "guard"] as const) {
    const node = nodes[name];
    if (node === "absent") streams[name].end();
    else if (node === "broken") streams[name].write("HTTP/1.1 400 Bad Request\r\n\r\n");
    else if (node !== undefined) void serve(streams[name], node, asked).catch(() => {});
  }
  const loaded = await work.load();
  const obstacle: Obstacle = await work.prepare(loaded, channel);
  isReady = true;
  const outcome = work.serve(loaded, channel);
  const connect = () =>
    openClientSession({
      ...{ stream: streams.client, policy: stage.policy, role: "orchestrator" },
      ...{ clock: Date.now, random: systemRandom },
    });
  return { obstacle, outcome, connect, asked, shown };
}

async function serve(stream: Duplex, node: Exclude<Node, string>, asked: string[]): Promise<void> {
  const { role, says, clientPolicy = stage.policy } = node;
  const attester = stage.attester(role);
  const session = await acceptServerSession({ stream, role, attester, clientPolicy, random: systemRandom });
  assert.equal(session.client?.role, "orchestrator");
  await serveRequest(session, async () => {
    asked.push(role);
    const message = { role: "assistant", content: says };
    return jsonAnswer(200, { id: "x", choices: [{ index: 0, message, finish_reason: "stop" }] });
  });
  session.close();
}

const predictor = { role: "predictor", says: "A fine answer." } as const;
const guard = { role: "guard", says: "safe" } as const;

async function ask(session: Awaited<ReturnType<typeof openClientSession>>) {
  const question = { messages: [{ role: "user", content: "How do I grow an apple tree?" }] };
  const answer = await sendRequest(session, {
    method: "POST",
    authority: "node.sotto.invalid",
    path: "/v1/chat/completions",
    contentType: "application/json",
    content: encodeUtf8(JSON.stringify(question)),
  });
  let text = "";
  for await (const piece of answer.body) text += decodeUtf8(piece);
  return JSON.parse(text).choices[0];
}

test("without a guard model only the predictor is met, shown and asked", async () => {
  const { obstacle, outcome, connect, asked, shown } = await start({ predictor });
  assert.equal(obstacle, "none");
  const choice = await ask(await connect());
  assert.equal(choice.message.content, "A fine answer.");
  assert.deepEqual([asked, shown, await outcome], [["predictor"], ["predictor"], "answered"]);
});

test("with one both are verified before there is a client, shown to it, and asked in turn", async () => {
  for (const [says, wanted, order] of [
    ["safe", "answered", ["guard", "predictor"]],
    ["unsafe\nS10", "refused", ["guard"]],
  ] as const) {
    const nodes = { predictor, guard: { role: "guard", says } as const };
    const { obstacle, outcome, connect, asked, shown } = await start(nodes);
    assert.equal(obstacle, "none");
    const choice = await ask(await connect());
    assert.equal(choice.finish_reason, wanted === "answered" ? "stop" : "content_filter");
    assert.deepEqual([shown, asked, await outcome], [["predictor", "guard"], order, wanted]);
  }
});

test("whoever is not what it should be, or not there, is told of, and no question is taken", async () => {
  const cases: [string, Parameters<typeof start>[0], Obstacle, string][] = [
    ["predictor as guard", { predictor, guard: predictor }, "guard-refused", "guard-refused"],
    ["guard as predictor", { predictor: guard }, "predictor-refused", "predictor-refused"],
    ["no guard", { predictor, guard: "absent" }, "guard-unreachable", "busy"],
    ["no guard that speaks tls", { predictor, guard: "broken" }, "guard-refused", "guard-refused"],
    ["no predictor", { predictor: "absent", guard }, "predictor-unreachable", "busy"],
    ["neither", { predictor: "absent", guard: predictor }, "predictor-unreachable", "busy"],
  ];
  for (const [name, nodes, obstacle, code] of cases) {
    const started = await start(nodes);
    assert.equal(started.obstacle, obstacle, name);
    await assert.rejects(
      started.connect(),
      (error: unknown) => error instanceof RatlsError && error.code === code,
      name,
    );
    assert.deepEqual([started.shown, started.asked, await started.outcome], [[], [], "failed"], name);
  }
});

test("an orchestrator that cannot show evidence of its own asks nobody", async () => {
  const started = await start({ predictor, guard }, { isWithoutEvidence: true });
  assert.equal(started.obstacle, "predictor-unreachable");
  await assert.rejects(started.connect(), { code: "busy" });
  assert.deepEqual([started.asked, await started.outcome], [[], "failed"]);
});

test("an orchestrator that its nodes turn away shows what they saw, and is asked nothing", async () => {
  const picky: Node = {
    ...predictor,
    clientPolicy: { ...stage.policy, profile: "production", roots: amdRoots },
  };
  const pickyGuard: Node = { ...picky, ...guard };
  const cases: [Parameters<typeof start>[0], Extract<Obstacle, `${string}-refused`>][] = [
    [{ predictor: picky }, "predictor-refused"],
    [{ predictor: picky, guard: pickyGuard }, "predictor-refused"],
    [{ predictor, guard: pickyGuard }, "guard-refused"],
  ];
  for (const [nodes, obstacle] of cases) {
    const started = await start(nodes);
    assert.equal(started.obstacle, obstacle);
    // Its own evidence was judged first: what is wrong is that it has nobody to show.
    const message = "the orchestrator shows no predictor that it would ask";
    await assert.rejects(started.connect(), { code: "predictor-refused", message });
    assert.deepEqual([started.shown, started.asked, await started.outcome], [[], [], "failed"]);
  }
  const other = await start({ predictor: picky, guard: "absent" });
  await assert.rejects(other.connect(), { code: "predictor-refused" });
});
