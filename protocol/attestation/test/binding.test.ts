// One report, many sessions: what ties evidence to one of them, and how all of it travels.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AttestationError,
  batchReportData,
  boundParts,
  createBatch,
  type EvidenceBundle,
  maxBatchSize,
  maxBundleBytes,
  parseEvidenceBundle,
  parsePeers,
  roleCode,
  sandboxLayers,
  serializeEvidenceBundle,
  serializePeers,
  sessionLeaf,
  verifyBinding,
} from "@sotto/attestation";
import { type Bytes, ByteWriter, concatBytes, encodeUtf8, sha256, sha512, systemRandom } from "@sotto/base";
import { HashTree, inclusionProof, leafHash, nodeHash } from "@sotto/log";
import fc from "fast-check";
import { bindingOf, patched, present, refuses } from "./stage.ts";

const leavesOf = (size: number): Bytes[] => Array.from({ length: size }, () => systemRandom(64));

test("a leaf is the hash that the specification writes", () => {
  const binding = bindingOf("predictor");
  const parts = {
    statement: encodeUtf8("s"),
    layers: encodeUtf8("l"),
    gpus: encodeUtf8("g"),
    peers: encodeUtf8("p"),
  };
  const fields = [binding.spkiDigest, binding.nonce, binding.exporter, binding.requestDigest];
  for (const part of [parts.statement, parts.layers, parts.gpus, parts.peers]) fields.push(sha256(part));
  const bytes = concatBytes(
    encodeUtf8("sotto-attested-session/1\0"),
    Uint8Array.of(2),
    ...fields.flatMap((field) => [Uint8Array.of(0, 0, 0, 32), field]),
  );
  assert.deepEqual(sessionLeaf(binding, parts), sha512(bytes));
  const root = systemRandom(32);
  const batch = concatBytes(encodeUtf8("sotto-attested-batch/1\0"), Uint8Array.of(0, 0, 1, 2), root);
  assert.deepEqual(batchReportData(258, root), sha512(batch));
});

test("every field of the session changes the leaf", async () => {
  const binding = bindingOf("orchestrator");
  const [statement, layers, gpus, peers] = [10, 2, 10, 10].map((length) => systemRandom(length));
  assert.ok(statement && layers && gpus && peers);
  const parts = { statement, layers, gpus, peers };
  const leaf = sessionLeaf(binding, parts);
  assert.deepEqual(sessionLeaf({ ...binding }, { ...parts }), leaf);
  for (const role of ["predictor", "guard"] as const)
    assert.notDeepEqual(sessionLeaf({ ...binding, role }, parts), leaf);
  for (const name of ["spkiDigest", "nonce", "exporter", "requestDigest"] as const) {
    for (let index = 0; index < 32; index += 1) {
      const field = patched(binding[name], index, (binding[name][index] ?? 0) ^ 1);
      assert.notDeepEqual(sessionLeaf({ ...binding, [name]: field }, parts), leaf);
    }
    for (const length of [0, 31, 33, 64])
      await refuses(() => sessionLeaf({ ...binding, [name]: systemRandom(length) }, parts), "malformed");
  }
  for (const name of ["statement", "layers", "gpus", "peers"] as const)
    assert.notDeepEqual(sessionLeaf(binding, { ...parts, [name]: systemRandom(10) }), leaf);
  // Two values in each other's place are other values.
  const swapped = { ...binding, nonce: binding.exporter, exporter: binding.nonce };
  assert.notDeepEqual(sessionLeaf(swapped, parts), leaf);
});

test("in batches of every size each session finds itself, at its own place only", async () => {
  for (const size of [...Array.from({ length: 20 }, (_, index) => index + 1), 255, 256, 257, maxBatchSize]) {
    const leaves = leavesOf(size);
    const { reportData, pathFor } = createBatch(leaves);
    const step = size > 20 ? Math.floor(size / 5) : 1;
    for (let index = 0; index < size; index += step) {
      const leaf = leaves[index] ?? new Uint8Array();
      const batch = pathFor(index);
      verifyBinding(leaf, batch, reportData);
      for (const other of [index + 1, index - 1, index + 2, size, 0xffffffff, -1, 0.5, Number.NaN]) {
        const wrong = { ...batch, index: other };
        await refuses(() => verifyBinding(leaf, wrong, reportData), "binding-mismatch");
      }
      for (const other of [size + 1, size - 1, 2 * size, 0, -1, 0.5, Number.NaN, 2 ** 40]) {
        const wrong = { ...batch, size: other };
        await refuses(() => verifyBinding(leaf, wrong, reportData), "binding-mismatch");
      }
      const longer = { ...batch, path: [...batch.path, systemRandom(32)] };
      await refuses(() => verifyBinding(leaf, longer, reportData), "binding-mismatch");
      if (size > 1) {
        const shorter = { ...batch, path: batch.path.slice(1) };
        await refuses(() => verifyBinding(leaf, shorter, reportData), "binding-mismatch");
        const neighbour = pathFor(index === 0 ? 1 : 0);
        await refuses(() => verifyBinding(leaf, neighbour, reportData), "binding-mismatch");
      }
      await refuses(() => verifyBinding(systemRandom(64), batch, reportData), "binding-mismatch");
      await refuses(() => verifyBinding(leaf, batch, systemRandom(64)), "binding-mismatch");
    }
  }
  await refuses(() => createBatch([]), "too-large");
  await refuses(() => createBatch(leavesOf(maxBatchSize + 1)), "too-large");
});

test("an inner node does not pass for a leaf, nor one session's batch for a larger one", async () => {
  const leaves = leavesOf(4);
  const [a, b, c, d] = leaves.map((leaf) => leafHash(leaf));
  assert.ok(a && b && c && d);
  const { reportData } = createBatch(leaves);
  const [left, right] = [nodeHash(a, b), nodeHash(c, d)];
  // 64 bytes, as a leaf has, that hash to an inner node if leaves were not marked as such.
  const forged = concatBytes(a, b);
  for (const size of [2, 3, 4])
    for (const data of [reportData, batchReportData(size, nodeHash(left, right))])
      await refuses(() => verifyBinding(forged, { index: 0, size, path: [right] }, data), "binding-mismatch");
  const wholeTree = concatBytes(left, right);
  await refuses(
    () =>
      verifyBinding(wholeTree, { index: 0, size: 1, path: [] }, batchReportData(1, nodeHash(left, right))),
    "binding-mismatch",
  );
  // The size is hashed with the root: the same root in a tree of another size is another report.
  const [leaf] = leaves;
  assert.ok(leaf);
  assert.notDeepEqual(batchReportData(1, a), batchReportData(2, a));
  await refuses(
    () => verifyBinding(leaf, { index: 0, size: 1, path: [] }, batchReportData(2, a)),
    "binding-mismatch",
  );
});

test("a batch over the limit is refused, also when its path is right", async () => {
  const leaves = leavesOf(maxBatchSize + 1);
  const tree = new HashTree();
  for (const leaf of leaves) tree.append(leafHash(leaf));
  const [leaf] = leaves;
  assert.ok(leaf);
  const batch = { index: 0, size: tree.size, path: inclusionProof(0, tree.size, tree.read) };
  const data = batchReportData(tree.size, tree.root());
  await refuses(() => verifyBinding(leaf, batch, data), "binding-mismatch");
});

const bytes = (max: number) => fc.uint8Array({ maxLength: max }).map((array) => new Uint8Array(array));
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((array) => new Uint8Array(array));
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const role = fc.constantFrom("orchestrator" as const, "predictor" as const, "guard" as const);
const plain = { noNullPrototype: true } as const;
const bundleWith = (peers: EvidenceBundle["peers"]): fc.Arbitrary<EvidenceBundle> =>
  fc.record(
    {
      snp: fc.record({ report: bytes(100), certificates: bytes(100) }, plain),
      batch: fc.record({ index: u32, size: u32, path: fc.array(hash, { maxLength: 12 }) }, plain),
      statement: bytes(100),
      proof: bytes(100),
      layers: fc.subarray([...sandboxLayers]),
      gpus: fc.array(bytes(50), { maxLength: 16 }),
      peers: fc.constant(peers),
    },
    plain,
  );
const peer = fc.record(
  {
    binding: fc.record({ role, spkiDigest: hash, nonce: hash, exporter: hash, requestDigest: hash }, plain),
    bundle: bundleWith([]),
  },
  plain,
);
const anyBundle = fc.array(peer, { maxLength: 8 }).chain((peers) => bundleWith(peers));

test("a bundle is the same after its journey", () => {
  fc.assert(
    fc.property(anyBundle, (bundle) => {
      assert.deepEqual(parseEvidenceBundle(serializeEvidenceBundle(bundle)), bundle);
    }),
  );
});

test("bytes that can be read are the only ones that say the same", () => {
  const attempt = (input: Bytes): void => {
    let bundle: EvidenceBundle;
    try {
      bundle = parseEvidenceBundle(input);
    } catch (error) {
      assert.ok(error instanceof AttestationError, String(error));
      return;
    }
    assert.deepEqual(serializeEvidenceBundle(bundle), input);
  };
  fc.assert(fc.property(bytes(600), attempt));
  fc.assert(
    fc.property(anyBundle, u32, fc.integer({ min: 1, max: 255 }), (bundle, place, bits) => {
      const good = serializeEvidenceBundle(bundle);
      const index = place % good.length;
      attempt(patched(good, index, (good[index] ?? 0) ^ bits));
    }),
  );
});

test("a bundle ends where it ends", async () => {
  const inner = await present("predictor", { batch: { index: 1, size: 3 } });
  const { bundle } = await present("orchestrator", { peers: [inner], batch: { index: 2, size: 5 } });
  const good = serializeEvidenceBundle(bundle);
  assert.deepEqual(parseEvidenceBundle(good), bundle);
  for (let length = 0; length < good.length; length += 1)
    assert.throws(() => parseEvidenceBundle(good.subarray(0, length)), { code: "malformed" });
  await refuses(() => parseEvidenceBundle(concatBytes(good, new Uint8Array(1))), "malformed");
  for (const version of [0, 2, 255])
    await refuses(() => parseEvidenceBundle(patched(good, 0, version)), "unsupported-version");
});

test("peers by themselves are the same after their journey, as they stand in a bundle, and end where they end", async () => {
  fc.assert(
    fc.property(fc.array(peer, { maxLength: 8 }), (peers) => {
      const good = serializePeers(peers);
      assert.deepEqual(parsePeers(good), peers);
      const bound = boundParts({ statement: new Uint8Array(), layers: [], gpus: [], peers });
      assert.deepEqual(good, bound.peers);
    }),
  );
  assert.deepEqual(parsePeers(new Uint8Array()), []);
  const good = serializePeers([await present("predictor"), await present("guard")]);
  const second = good.length - serializePeers([await present("guard")]).length;
  for (let length = 1; length < good.length; length += 1) {
    if (length !== second) assert.throws(() => parsePeers(good.slice(0, length)), { code: "malformed" });
  }
  await refuses(() => parsePeers(concatBytes(good, new Uint8Array(1))), "malformed");
});

test("bytes that can be read as peers are the only ones that say the same", () => {
  const attempt = (input: Bytes): void => {
    let peers: EvidenceBundle["peers"];
    try {
      peers = parsePeers(input);
    } catch (error) {
      assert.ok(error instanceof AttestationError, String(error));
      return;
    }
    assert.deepEqual(serializePeers(peers), input);
  };
  fc.assert(fc.property(bytes(600), attempt));
  fc.assert(
    fc.property(
      fc.array(peer, { minLength: 1, maxLength: 3 }),
      u32,
      fc.integer({ min: 1, max: 255 }),
      (peers, place, bits) => {
        const good = serializePeers(peers);
        const index = place % good.length;
        attempt(patched(good, index, (good[index] ?? 0) ^ bits));
      },
    ),
  );
});

test("caps of peers hold in both directions", async () => {
  const { bundle } = await present("predictor");
  const one = { binding: bindingOf("predictor"), bundle };
  await refuses(() => serializePeers(Array.from({ length: 9 }, () => one)), "too-large");
  await refuses(() => serializePeers([{ ...one, bundle: { ...bundle, peers: [one] } }]), "too-large");
  const shortBinding = { ...one.binding, exporter: systemRandom(31) };
  await refuses(() => serializePeers([{ ...one, binding: shortBinding }]), "malformed");
  const good = serializePeers([one]);
  await refuses(() => parsePeers(concatBytes(...Array.from({ length: 9 }, () => good))), "too-large");
  for (const code of [0, 4, 255]) await refuses(() => parsePeers(patched(good, 0, code)), "malformed");
});

test("caps hold in both directions", async () => {
  const { bundle } = await present("predictor");
  const one = { binding: bindingOf("guard"), bundle };
  const deep = { binding: bindingOf("guard"), bundle: { ...bundle, peers: [one] } };
  const much = new Uint8Array(0x10000);
  const path = (length: number) => Array.from({ length }, () => systemRandom(32));
  const tooLarge: EvidenceBundle[] = [
    { ...bundle, peers: Array.from({ length: 9 }, () => one) },
    { ...bundle, peers: [deep] },
    { ...bundle, gpus: Array.from({ length: 17 }, () => new Uint8Array(1)) },
    { ...bundle, snp: { ...bundle.snp, report: new Uint8Array(4097) } },
    { ...bundle, snp: { ...bundle.snp, certificates: new Uint8Array(32 * 1024 + 1) } },
    { ...bundle, batch: { ...bundle.batch, path: path(13) } },
    { ...bundle, proof: new Uint8Array(64 * 1024 + 1) },
    { ...bundle, gpus: [much, much, much, much] },
  ];
  for (const large of tooLarge) await refuses(() => serializeEvidenceBundle(large), "too-large");
  const malformed: EvidenceBundle[] = [
    { ...bundle, batch: { ...bundle.batch, path: [systemRandom(31)] } },
    { ...bundle, batch: { ...bundle.batch, index: -1 } },
    { ...bundle, batch: { ...bundle.batch, size: 0.5 } },
    { ...bundle, statement: much },
    { ...bundle, peers: [{ ...one, binding: { ...one.binding, nonce: systemRandom(33) } }] },
  ];
  for (const bad of malformed) await refuses(() => serializeEvidenceBundle(bad), "malformed");
  await refuses(() => parseEvidenceBundle(new Uint8Array(maxBundleBytes + 1)), "too-large");
  const good = serializeEvidenceBundle({ ...bundle, peers: [one] });
  const start = good.length - serializeEvidenceBundle(bundle).length - 3 - 128 - 1;
  assert.equal(good[start], roleCode.guard);
  for (const code of [0, 4, 255])
    await refuses(() => parseEvidenceBundle(patched(good, start, code)), "malformed");
});

test("what the session vouches for is what travels", async () => {
  const inner = await present("predictor");
  const parts = {
    statement: encodeUtf8("s"),
    layers: ["environment", "limits"] as const,
    gpus: [encodeUtf8("one"), encodeUtf8("two")],
    peers: [inner],
  };
  const gpus = new ByteWriter().vector(3, encodeUtf8("one")).vector(3, encodeUtf8("two")).finish();
  const bound = boundParts(parts);
  assert.deepEqual(bound.gpus, gpus);
  assert.deepEqual(bound.statement, parts.statement);
  assert.deepEqual(bound.layers, Uint8Array.of(0, 0b1000001));
  const { spkiDigest, nonce, exporter, requestDigest } = inner.binding;
  const peers = new ByteWriter()
    .bytes(concatBytes(Uint8Array.of(2), spkiDigest, nonce, exporter, requestDigest))
    .vector(3, serializeEvidenceBundle(inner.bundle))
    .finish();
  assert.deepEqual(bound.peers, peers);
  // Two items are not one item with the bytes of both.
  const joined = boundParts({ ...parts, gpus: [encodeUtf8("onetwo")] });
  assert.notDeepEqual(joined.gpus, bound.gpus);
});
