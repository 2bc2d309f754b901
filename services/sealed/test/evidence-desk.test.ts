import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type EvidenceBundle,
  parseEvidenceBundle,
  type SandboxLayer,
  type SessionBinding,
} from "@sotto/attestation";
import { type Bytes, CodedError, concatBytes, encodeUtf8 } from "@sotto/base";
import {
  type Attest,
  answerAttest,
  type MessageType,
  messageType,
  parseWord,
  refusals,
  serializeAttestMessage,
} from "@sotto/sealed";

const hash = (byte: number): Bytes => new Uint8Array(32).fill(byte);
const binding = { spkiDigest: hash(1), nonce: hash(2), exporter: hash(3), requestDigest: hash(4) };
const message = serializeAttestMessage({ binding, peers: [] });
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

/** Has one message answered, and tells what came of it. */
async function answer(
  content: Bytes,
  { role = "predictor", attest }: { readonly role?: SessionBinding["role"]; readonly attest?: Attest } = {},
) {
  const asked: Parameters<Attest>[] = [];
  const sent: [MessageType, Bytes | undefined][] = [];
  let kills = 0;
  const process = {
    layers,
    send: (type: MessageType, given?: Bytes) => void sent.push([type, given]),
    kill: () => {
      kills += 1;
    },
  };
  const ask: Attest = async (...given) => {
    asked.push(given);
    return attest === undefined ? bundle : attest(...given);
  };
  await answerAttest(process, role, ask, content);
  return { asked, sent, kills };
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
      sent.map(([type, content]) => [type, parseEvidenceBundle(content ?? new Uint8Array())]),
      [[messageType.evidence, bundle]],
    );
    assert.equal(kills, 0);
  }
});

test("the peers that it will use are passed on as they are", async () => {
  const peers = [{ binding: { ...binding, role: "predictor" as const }, bundle }];
  const { asked } = await answer(serializeAttestMessage({ binding, peers }), { role: "orchestrator" });
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
    message.slice(0, 127),
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
      sent.map(([type, content]) => [type, content?.length, parseWord(refusals, content?.[0])]),
      [[messageType.refusal, 1, word]],
    );
    assert.equal(kills, 0);
  }
});

test("evidence that could not be read at the other end is not sent", async () => {
  const unreadable = { ...bundle, batch: { index: 0, size: 1, path: [hash(1).slice(1)] } };
  const { sent } = await answer(message, { attest: async () => unreadable });
  assert.deepEqual(
    sent.map(([type, content]) => [type, parseWord(refusals, content?.[0])]),
    [[messageType.refusal, "failed"]],
  );
});
