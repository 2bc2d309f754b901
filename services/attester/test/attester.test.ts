import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { maxBatchSize, type SandboxLayer, sandboxLayers } from "@sotto/attestation";
import { createReportSigner } from "@sotto/attestation/software";
import { createAttester, ReleaseFileError, releasedCode } from "@sotto/attester";
import { decodeUtf8, encodeUtf8 } from "@sotto/base";
import { serializeStatement } from "@sotto/log";
import { openReportDevice } from "@sotto/tee";
import { chip, measurement } from "../../../protocol/attestation/test/stage.ts";
import {
  bindingOf,
  createFixture,
  folder,
  rejects,
  release,
  settle,
  vouchesFor,
  writeRelease,
} from "./stage.ts";

test("sessions of one moment share a report, and each gets the path of its own leaf", async () => {
  const { attester, asked } = createFixture();
  const bindings = [0, 1, 2, 3, 4].map((session) => bindingOf(session));
  const pending = bindings.map((binding) => attester.attest(binding));
  await settle();
  assert.equal(asked.length, 1);
  asked[0]?.answer();
  const bundles = await Promise.all(pending);
  for (const [index, bundle] of bundles.entries()) {
    assert.equal(decodeUtf8(bundle.statement), "statement");
    assert.equal(decodeUtf8(bundle.proof), "proof");
    assert.deepEqual([bundle.batch.index, bundle.batch.size, bundle.peers, bundle.gpus], [index, 5, [], []]);
    const vouched = bindings.map((binding) => vouchesFor(bundle, binding));
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
  const before = await first;
  assert.equal(before.batch.size, 1);
  await settle();
  assert.equal(asked.length, 2);
  asked[1]?.answer();
  const bundles = await Promise.all(late);
  assert.deepEqual(
    bundles.map(({ batch }) => batch.index),
    [0, 1],
  );
  for (const [index, bundle] of bundles.entries()) {
    assert.ok(vouchesFor(bundle, bindingOf(index + 1)));
    assert.ok(!vouchesFor({ ...bundle, snp: before.snp }, bindingOf(index + 1)));
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
  assert.ok(vouchesFor(bundle, bindingOf(8)));
  assert.ok(!vouchesFor({ ...bundle, peers: [] }, bindingOf(8)));
});

test("a session claims the layers that it was given, in order, and none by itself", async () => {
  const { attester, asked } = createFixture();
  const some: readonly SandboxLayer[] = ["environment", "core-dumps"];
  const pending = [attester.attest(bindingOf(0), { layers: some }), attester.attest(bindingOf(1))];
  await settle();
  asked[0]?.answer();
  const bundles = await Promise.all(pending);
  for (const [index, layers] of [some, []].entries()) {
    const bundle = bundles[index];
    assert.ok(bundle);
    assert.deepEqual(bundle.layers, layers);
    assert.ok(vouchesFor(bundle, bindingOf(index)));
    for (const other of sandboxLayers.filter((layer) => !layers.includes(layer))) {
      const more = sandboxLayers.filter((layer) => layer === other || layers.includes(layer));
      assert.ok(!vouchesFor({ ...bundle, layers: more }, bindingOf(index)), other);
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
  asked[0]?.fail(new Error("device"));
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

test("no ten seconds hold more than ten reports, and nobody waits for much more than one", async () => {
  const { attester, asked, advance, clock } = createFixture();
  for (let session = 0; session < 40; session += 1) {
    const since = clock();
    const pending = attester.attest(bindingOf(session));
    await settle();
    while (asked.length === session) {
      advance(50);
      await settle();
    }
    const report = asked[session];
    assert.ok(report !== undefined && report.at - since <= 1150);
    report.answer();
    await pending;
    if (session % 7 === 0) advance(300);
  }
  for (const [index, { at }] of asked.entries()) {
    assert.ok(at - (asked[index - 10]?.at ?? 0) >= 10_000, `report ${index}`);
  }
});

test("the release file is read again when it changes, and kept while it cannot be read", async () => {
  const path = join(folder, "changing.json");
  const { attester, asked, advance } = createFixture({ release: path });
  const attest = async (session: number): Promise<string> => {
    const pending = attester.attest(bindingOf(session));
    advance(10_000);
    await settle();
    asked.at(-1)?.answer();
    return decodeUtf8((await pending).proof);
  };
  const unreadable = (error: unknown): boolean => error instanceof ReleaseFileError;
  await assert.rejects(attester.attest(bindingOf(0)), unreadable);
  writeFileSync(path, '{"statement":"AA==","proof":"x","extra":1}');
  await assert.rejects(attester.attest(bindingOf(0)), unreadable);
  writeRelease(path, encodeUtf8("statement"), "first");
  assert.equal(await attest(1), "first");
  writeFileSync(path, '{"statement":');
  assert.equal(await attest(2), "first");
  writeRelease(path, encodeUtf8("statement"), "the second");
  assert.equal(await attest(3), "the second");
});

test("works over the guest's own interface, with a process of its own", async () => {
  const root = join(folder, "guest");
  mkdirSync(root);
  const signer = await createReportSigner(chip, measurement);
  const device = openReportDevice({ folder: join(root, "tsm"), certificates: chip.certificates, signer });
  const own = { tsmRoot: join(root, "tsm"), release, role: "predictor" } as const;
  const attester = createAttester({ ...own, clock: Date.now });
  try {
    const bundles = await Promise.all([0, 1, 2].map((session) => attester.attest(bindingOf(session))));
    assert.equal(device.reportsMade(), 1);
    for (const [session, bundle] of bundles.entries()) {
      assert.deepEqual(bundle.snp.certificates, chip.certificates);
      assert.ok(vouchesFor(bundle, bindingOf(session)));
    }
  } finally {
    await attester.close();
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
