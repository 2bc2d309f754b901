import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  boundParts,
  type EvidenceBundle,
  maxBatchSize,
  type SandboxLayer,
  type SessionBinding,
  sandboxLayers,
  sessionLeaf,
  verifyBinding,
} from "@sotto/attestation";
import {
  AttesterError,
  type AttesterOptions,
  createAttester,
  ReleaseFileError,
  releasedCode,
} from "@sotto/attester";
import { type Bytes, decodeUtf8, encodeBase64, encodeUtf8 } from "@sotto/base";
import { serializeStatement } from "@sotto/log";
import fc from "fast-check";
import { createReportBudget } from "../src/report-budget.ts";
import { openFakeDevice } from "./fake-device.ts";

const folder = mkdtempSync(join(tmpdir(), "sotto-attester-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const release = join(folder, "release.json");
const writeRelease = (path: string, statement: string, proof: string): void =>
  writeFileSync(path, JSON.stringify({ statement: encodeBase64(encodeUtf8(statement)), proof }));
writeRelease(release, "statement", "proof");

const bindingOf = (session: number, role: SessionBinding["role"] = "predictor"): SessionBinding => {
  const field = (kind: number): Bytes => {
    const bytes = new Uint8Array(32).fill(kind);
    new DataView(bytes.buffer).setUint32(0, session);
    return bytes;
  };
  return { role, spkiDigest: field(1), nonce: field(2), exporter: field(3), requestDigest: field(4) };
};
const vouchesFor = (bundle: EvidenceBundle, binding: SessionBinding, reportData: Bytes): boolean => {
  try {
    verifyBinding(sessionLeaf(binding, boundParts(bundle)), bundle.batch, reportData);
    return true;
  } catch {
    return false;
  }
};

/** An attester over a device that answers when told to, in a time of its own. */
const createFixture = (options: Partial<AttesterOptions> = {}) => {
  let now = 1_000_000;
  const asked: { at: number; data: Bytes; answer: () => void; fail: () => void }[] = [];
  const attester = createAttester({
    tsmRoot: "/nowhere",
    release,
    role: "predictor",
    clock: () => now,
    sleep: async (delayMs) => {
      now += delayMs;
    },
    report: (data) =>
      new Promise((resolve, reject) => {
        asked.push({
          at: now,
          data,
          answer: () => resolve({ report: data, certificates: new Uint8Array(1) }),
          fail: () => reject(new Error("device")),
        });
      }),
    ...options,
  });
  return { attester, asked, advance: (delayMs: number) => (now += delayMs) };
};
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};
const rejects = (promise: Promise<unknown>, code: AttesterError["code"]): Promise<void> =>
  assert.rejects(promise, (error: unknown) => error instanceof AttesterError && error.code === code);

test("sessions of one moment share a report, and each gets the path of its own leaf", async () => {
  const { attester, asked } = createFixture();
  const bindings = [0, 1, 2, 3, 4].map((session) => bindingOf(session));
  const pending = bindings.map((binding) => attester.attest(binding));
  await settle();
  assert.equal(asked.length, 1);
  const data = asked[0]?.data ?? new Uint8Array();
  asked[0]?.answer();
  const bundles = await Promise.all(pending);
  for (const [index, bundle] of bundles.entries()) {
    assert.equal(decodeUtf8(bundle.statement), "statement");
    assert.equal(decodeUtf8(bundle.proof), "proof");
    assert.deepEqual([bundle.batch.index, bundle.batch.size, bundle.peers, bundle.gpus], [index, 5, [], []]);
    const vouched = bindings.map((binding) => vouchesFor(bundle, binding, data));
    assert.deepEqual(
      vouched,
      bindings.map((_, other) => other === index),
    );
  }
});

test("sessions that arrive while a report is being made share the next one", async () => {
  const { attester, asked } = createFixture();
  const first = attester.attest(bindingOf(0));
  await settle();
  const late = [attester.attest(bindingOf(1)), attester.attest(bindingOf(2))];
  await settle();
  assert.equal(asked.length, 1, "one at a time");
  asked[0]?.answer();
  assert.equal((await first).batch.size, 1);
  await settle();
  assert.equal(asked.length, 2);
  asked[1]?.answer();
  const bundles = await Promise.all(late);
  assert.deepEqual(
    bundles.map(({ batch }) => batch.index),
    [0, 1],
  );
  for (const [index, bundle] of bundles.entries()) {
    assert.ok(vouchesFor(bundle, bindingOf(index + 1), asked[1]?.data ?? new Uint8Array()));
    assert.ok(!vouchesFor(bundle, bindingOf(index + 1), asked[0]?.data ?? new Uint8Array()));
  }
});

test("evidence of peers is vouched for by the session that shows it", async () => {
  const { attester, asked } = createFixture();
  const peer = attester.attest(bindingOf(7));
  await settle();
  asked[0]?.answer();
  const peers = [{ binding: bindingOf(7), bundle: await peer }];
  const pending = attester.attest(bindingOf(8), { peers, layers: [] });
  await settle();
  asked[1]?.answer();
  const bundle = await pending;
  const data = asked[1]?.data ?? new Uint8Array();
  assert.ok(vouchesFor(bundle, bindingOf(8), data));
  assert.ok(!vouchesFor({ ...bundle, peers: [] }, bindingOf(8), data));
});

test("a session claims the layers that it was given, in order, and none by itself", async () => {
  const { attester, asked } = createFixture();
  const some: readonly SandboxLayer[] = ["environment", "core-dumps"];
  const pending = [attester.attest(bindingOf(0), { layers: some }), attester.attest(bindingOf(1))];
  await settle();
  asked[0]?.answer();
  const bundles = await Promise.all(pending);
  const data = asked[0]?.data ?? new Uint8Array();
  for (const [index, layers] of [some, []].entries()) {
    const bundle = bundles[index];
    assert.ok(bundle);
    assert.deepEqual(bundle.layers, layers);
    assert.ok(vouchesFor(bundle, bindingOf(index), data));
    for (const other of sandboxLayers.filter((layer) => !layers.includes(layer))) {
      const more = sandboxLayers.filter((layer) => layer === other || layers.includes(layer));
      assert.ok(!vouchesFor({ ...bundle, layers: more }, bindingOf(index), data), other);
    }
  }
  const wrong = attester.attest(bindingOf(2), { layers: [...some].reverse() });
  await assert.rejects(wrong, { name: "AttestationError", code: "malformed" });
});

test("a report that fails ends the sessions that shared it, and no others", async () => {
  const { attester, asked } = createFixture();
  const lost = [attester.attest(bindingOf(0)), attester.attest(bindingOf(1))];
  await settle();
  const kept = attester.attest(bindingOf(2));
  const refusals = lost.map((promise) => rejects(promise, "unavailable"));
  asked[0]?.fail();
  await Promise.all(refusals);
  await settle();
  asked[1]?.answer();
  assert.equal((await kept).batch.size, 1);
});

test("too many waiting sessions are told so; another role's session is refused", async () => {
  const { attester, asked } = createFixture();
  await rejects(attester.attest(bindingOf(0, "orchestrator")), "wrong-role");
  const first = attester.attest(bindingOf(0));
  await settle();
  const waiting = Array.from({ length: maxBatchSize }, (_, index) => attester.attest(bindingOf(index + 1)));
  await rejects(attester.attest(bindingOf(9999)), "busy");
  asked[0]?.answer();
  await first;
  await settle();
  asked[1]?.answer();
  const bundles = await Promise.all(waiting);
  assert.equal(bundles.at(-1)?.batch.size, maxBatchSize);
});

test("no ten seconds hold more than ten reports, and nobody waits for more than five", async () => {
  const { attester, asked, advance } = createFixture({});
  const waits: number[] = [];
  for (let session = 0; session < 60; session += 1) {
    const before = asked.at(-1)?.at ?? 0;
    const pending = attester.attest(bindingOf(session));
    await settle();
    const report = asked[session];
    assert.ok(report !== undefined);
    if (session > 0) waits.push(report.at - before);
    report.answer();
    await pending;
    if (session % 7 === 0) advance(300);
  }
  for (const [index, { at }] of asked.entries()) {
    assert.ok(at - (asked[index - 10]?.at ?? 0) >= 10_000, `report ${index}`);
  }
  assert.ok(Math.max(...waits) <= 5300);
});

test("the budget holds for any arrivals, and for a clock that goes back", () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 3000 }), { maxLength: 80 }), (pauses) => {
      let now = 0;
      const budget = createReportBudget(() => now);
      const taken: number[] = [];
      for (const pause of pauses) {
        now += pause;
        const delayMs = budget.delay();
        assert.ok(delayMs <= 5000);
        now += delayMs;
        assert.equal(budget.delay(), 0);
        budget.take();
        taken.push(now);
      }
      for (const [index, at] of taken.entries()) assert.ok(at - (taken[index - 10] ?? -10_000) >= 10_000);
    }),
  );
  let now = 1_000_000;
  const budget = createReportBudget(() => now);
  for (let index = 0; index < 10; index += 1) budget.take();
  now = 0;
  assert.equal(budget.delay(), 10_000);
  now = 10_000;
  assert.equal(budget.delay(), 0);
});

test("the release file is read again when it changes, and kept while it cannot be read", async () => {
  const path = join(folder, "changing.json");
  const { attester, asked } = createFixture({ release: path });
  const attest = async (session: number): Promise<string> => {
    const pending = attester.attest(bindingOf(session));
    await settle();
    asked.at(-1)?.answer();
    return decodeUtf8((await pending).proof);
  };
  const unreadable = (error: unknown): boolean => error instanceof ReleaseFileError;
  await assert.rejects(attester.attest(bindingOf(0)), unreadable);
  writeFileSync(path, '{"statement":"AA==","proof":"x","extra":1}');
  await assert.rejects(attester.attest(bindingOf(0)), unreadable);
  writeRelease(path, "statement", "first");
  assert.equal(await attest(1), "first");
  writeFileSync(path, '{"statement":');
  assert.equal(await attest(2), "first");
  writeRelease(path, "statement", "the second");
  assert.equal(await attest(3), "the second");
});

test("works over the guest's own interface", async () => {
  const device = openFakeDevice();
  try {
    const attester = createAttester({ tsmRoot: device.root, release, role: "predictor", clock: Date.now });
    const bundles = await Promise.all([0, 1, 2].map((session) => attester.attest(bindingOf(session))));
    assert.equal(device.requests.length, 1);
    for (const [session, bundle] of bundles.entries()) {
      assert.deepEqual(bundle.snp.report, device.requests[0]);
      assert.equal(decodeUtf8(bundle.snp.certificates), "certificates");
      assert.ok(vouchesFor(bundle, bindingOf(session), bundle.snp.report));
    }
  } finally {
    device.close();
  }
});

test("the code of a release is known by its statement, and what is none is refused", () => {
  const about = (statement: Uint8Array<ArrayBuffer>) => () =>
    releasedCode({ statement, proof: new Uint8Array() });
  const times = { issuedAt: 1, expiresAt: 2 };
  const code = `sha256:${"ab".repeat(32)}` as const;
  const release = serializeStatement({
    ...{ kind: "release", role: "predictor", version: "1", measurements: ["5a".repeat(48)], code, ...times },
    ...{ config: code, weights: [], policies: [], securityVersion: 1 },
  });
  assert.equal(about(release)(), code);
  const keys = serializeStatement({
    kind: "keys",
    purpose: "ohttp",
    keys: [code],
    notBefore: 1,
    notAfter: 2,
    ...times,
  });
  for (const other of [keys, release.slice(1), encodeUtf8("{}"), new Uint8Array()]) {
    assert.throws(about(other), { name: "ReleaseFileError", code: "not-a-release" });
  }
});
