import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type EvidenceBundle,
  type PeerEvidence,
  parseEvidenceBundle,
  type SandboxLayer,
  type SessionBinding,
} from "@sotto/attestation";
import { type Bytes, type Clock, CodedError, concatBytes, encodeUtf8 } from "@sotto/base";
import {
  type Attest,
  type MessageType,
  messageType,
  openClientDesk,
  openNodeDesk,
  parseWord,
  refusals,
  type StreamName,
  serializeAttestMessage,
} from "@sotto/sealed";

const hash = (byte: number): Bytes => new Uint8Array(32).fill(byte);
const binding = { spkiDigest: hash(1), nonce: hash(2), exporter: hash(3), requestDigest: hash(4) };
const message = serializeAttestMessage({ stream: "client", binding, peers: [] });
const bundle: EvidenceBundle = {
  snp: { report: new Uint8Array(8), certificates: new Uint8Array(8) },
  batch: { index: 0, size: 1, path: [] },
  statement: encodeUtf8("statement"),
  proof: encodeUtf8("proof"),
  layers: [],
  gpus: [],
  peers: [],
};
const layers: readonly SandboxLayer[] = ["environment", "code"];

type Given = {
  readonly role?: SessionBinding["role"];
  readonly attest?: Attest;
  readonly clock?: Clock;
  /** Nodes that it may ask about, instead of its client. */
  readonly nodes?: readonly StreamName[];
};

/** A desk, and what comes of the messages that are put on it. */
function openDesk({ role = "predictor", attest, clock = () => 0, nodes }: Given = {}) {
  const asked: Parameters<Attest>[] = [];
  const sent: [MessageType, Bytes | undefined][] = [];
  let kills = 0;
  const process = {
    layers: Promise.resolve(layers),
    send: (type: MessageType, given?: Bytes) => void sent.push([type, given]),
    kill: () => {
      kills += 1;
    },
  };
  const ask: Attest = async (...given) => {
    asked.push(given);
    return attest === undefined ? bundle : attest(...given);
  };
  const options = { process, role, attest: ask };
  const desk =
    nodes === undefined ? openClientDesk({ ...options, clock }) : openNodeDesk(options, new Set(nodes));
  return { desk, asked, sent, kills: () => kills };
}

/** Has one message answered. */
async function answer(content: Bytes, given?: Given) {
  const { desk, asked, sent, kills } = openDesk(given);
  await desk(content);
  return { asked, sent, kills: kills() };
}

test("the evidence is about the session that asks, of the role of who answers, in the layers that were found", async () => {
  for (const role of ["orchestrator", "predictor", "guard"] as const) {
    const { asked, sent, kills } = await answer(message, { role });
    assert.deepEqual(asked, [
      [
        { ...binding, role },
        { peers: [], layers },
      ],
    ]);
    assert.deepEqual(
      sent.map(([type, content]) => [
        type,
        content?.[0],
        parseEvidenceBundle(content?.slice(1) ?? new Uint8Array()),
      ]),
      [[messageType.evidence, 0, bundle]],
    );
    assert.equal(kills, 0);
  }
});

test("the peers that it will use are passed on as they are", async () => {
  const peers = [{ binding: { ...binding, role: "predictor" as const }, bundle }];
  const { asked } = await answer(serializeAttestMessage({ stream: "client", binding, peers }), {
    role: "orchestrator",
  });
  assert.deepEqual(asked, [
    [
      { ...binding, role: "orchestrator" },
      { peers, layers },
    ],
  ]);
});

test("what is no such message ends the process, without a word and without a report", async () => {
  const wrong = [
    new Uint8Array(),
    message.slice(0, 128),
    concatBytes(message, Uint8Array.of(1)),
    concatBytes(message, hash(5)),
  ];
  for (const content of wrong) {
    const { asked, sent, kills } = await answer(content, { attest: () => assert.fail("asked") });
    assert.deepEqual([asked, sent, kills], [[], [], 1]);
  }
});

test("where no evidence can be made, the process hears one of two words", async () => {
  const failures: readonly [unknown, string][] = [
    [new CodedError("busy", "too many wait"), "busy"],
    [new CodedError("unavailable", "no report"), "failed"],
    [new CodedError("wrong-role", "of another role"), "failed"],
    [new Error("canary"), "failed"],
    ["canary", "failed"],
    [undefined, "failed"],
  ];
  for (const [error, word] of failures) {
    const { sent, kills } = await answer(message, { attest: () => Promise.reject(error) });
    assert.deepEqual(
      sent.map(([type, content]) => [type, content?.length, content?.[0], parseWord(refusals, content?.[1])]),
      [[messageType.refusal, 2, 0, word]],
    );
    assert.equal(kills, 0);
  }
});

test("evidence that could not be read at the other end is not sent", async () => {
  const unreadable = { ...bundle, batch: { index: 0, size: 1, path: [hash(1).slice(1)] } };
  const { sent } = await answer(message, { attest: async () => unreadable });
  assert.deepEqual(
    sent.map(([type, content]) => [type, parseWord(refusals, content?.[1])]),
    [[messageType.refusal, "failed"]],
  );
});

const about = (
  stream: StreamName,
  given: Partial<typeof binding> = {},
  peers: readonly PeerEvidence[] = [],
) => serializeAttestMessage({ stream, binding: { ...binding, ...given }, peers });
const peer: PeerEvidence = { binding: { ...binding, role: "predictor" }, bundle };

test("a process that is not ready gets evidence for each node that it will ask, once, and for nobody else", async () => {
  const nodes = ["predictor", "guard"] as const;
  const { desk, asked, sent, kills } = openDesk({ role: "orchestrator", nodes });
  await Promise.all([desk(about("guard")), desk(about("predictor"))]);
  assert.deepEqual(
    sent.map(([, content]) => content?.[0]),
    [2, 1],
  );
  assert.equal(asked.length, 2);
  assert.equal(kills(), 0);
  await desk(about("guard"));
  assert.deepEqual([asked.length, kills()], [2, 1]);
  const wrong: [string, Bytes, readonly StreamName[]][] = [
    ["its client", about("client"), nodes],
    ["a node that it has no connection to", about("guard"), ["predictor"]],
    ["a node with others behind this one", about("predictor", {}, [peer]), nodes],
  ];
  for (const [name, content, given] of wrong) {
    const result = await answer(content, { role: "orchestrator", nodes: given });
    assert.deepEqual([result.asked, result.sent, result.kills], [[], [], 1], name);
  }
});

test("its client may want evidence again, ten seconds later and sixteen times", async () => {
  let now = 0;
  const { desk, asked, kills } = openDesk({ clock: () => now });
  for (let count = 0; count < 17; count += 1) {
    await desk(about("client", { nonce: hash(count) }));
    now += 10_000;
  }
  assert.deepEqual([asked.length, kills()], [17, 0]);
  await desk(about("client"));
  assert.deepEqual([asked.length, kills()], [17, 1]);
});

test("what is asked again too soon, at once, of another key or with other peers ends the process", async () => {
  const slow = Promise.withResolvers<EvidenceBundle>();
  const wrong: [string, number, Bytes, Attest?][] = [
    ["too soon", 9999, about("client")],
    ["with a clock that was set back", -1, about("client")],
    ["before the first was answered", 10_000, about("client"), () => slow.promise],
    ["another key", 10_000, about("client", { spkiDigest: hash(7) })],
    ["other peers", 10_000, about("client", {}, [peer])],
    ["a node", 10_000, about("predictor")],
  ];
  for (const [name, ms, content, attest] of wrong) {
    let now = 0;
    const { desk, asked, kills } = openDesk({
      clock: () => now,
      ...(attest === undefined ? {} : { attest }),
    });
    const first = desk(about("client"));
    if (attest === undefined) await first;
    now = ms;
    await desk(content);
    assert.deepEqual([asked.length, kills()], [1, 1], name);
  }
  slow.resolve(bundle);
});
