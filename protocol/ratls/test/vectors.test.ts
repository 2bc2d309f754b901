// The specification's own vectors, spec/vectors/attested-session.json.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createBatch, parseEvidenceBundle, sessionLeaf, verifyBinding, verifyNode } from "@sotto/attestation";
import { developmentPolicy } from "@sotto/attestation/software";
import { type Bytes, concatBytes, decodeHex, encodeHex, sha256 } from "@sotto/base";
import { exportKeys } from "../../tls/src/key-schedule.ts";
import { cipherSuites } from "../../tls/src/parameters.ts";
import { parseAttestRequest } from "../src/attest-request.ts";
import { judgeSessionCertificate } from "../src/certificate.ts";
import { FrameParser, type FrameType, frameType, serializeFrame } from "../src/frame.ts";
import { exporterLabels, exporterLength } from "../src/profile.ts";
import { readVectors } from "./vector-file.ts";

const vectors = readVectors();

function bytesOf(fields: Readonly<Record<string, string>>, ...names: readonly string[]): Bytes[] {
  return names.map((name) => decodeHex(fields[name] ?? assert.fail(`no ${name}`)));
}

function bindingOf(fields: Readonly<Record<string, string>>) {
  const [spkiDigest, nonce, exporter, requestDigest] = bytesOf(
    fields,
    ...["spkiDigest", "nonce", "exporter", "requestDigest"],
  );
  assert.ok(spkiDigest && nonce && exporter && requestDigest);
  return { spkiDigest, nonce, exporter, requestDigest };
}

function typeOf(code: number): FrameType {
  return Object.values(frameType).find((type) => type === code) ?? assert.fail(`no type ${code}`);
}

test("frames: written as the vectors have them, read back, refused with their codes", () => {
  const { taken, refused } = vectors.frames;
  assert.ok(taken.length >= 6 && refused.length >= 10);
  for (const { type, content, padTo, bytes } of taken) {
    assert.equal(encodeHex(serializeFrame(typeOf(type), decodeHex(content), padTo)), bytes);
    const parser = new FrameParser();
    parser.expect([typeOf(type)]);
    assert.deepEqual(parser.push(decodeHex(bytes)), [{ type, content: decodeHex(content) }]);
  }
  for (const { why, bytes, expected, code } of refused) {
    const parser = new FrameParser();
    parser.expect(expected.map(typeOf));
    assert.throws(() => parser.push(decodeHex(bytes)), { name: "RatlsError", code }, why);
  }
});

test("attest requests: one form", () => {
  for (const vector of vectors.attestRequests) {
    const parse = (): string => encodeHex(parseAttestRequest(decodeHex(vector.bytes)));
    if ("code" in vector) assert.throws(parse, { code: vector.code });
    else assert.equal(parse(), vector.nonce);
  }
});

test("exporters: of either end, in either suite", () => {
  assert.equal(new Set(vectors.exporters.map(({ exporter }) => exporter)).size, 4);
  for (const { suite, exporterMasterSecret, end, attestRequest, exporter } of vectors.exporters) {
    const found = cipherSuites.find(({ name }) => name === suite) ?? assert.fail(suite);
    const context = sha256(decodeHex(attestRequest));
    const secret = decodeHex(exporterMasterSecret);
    assert.equal(
      encodeHex(exportKeys(found, secret, exporterLabels[end], context, exporterLength)),
      exporter,
    );
  }
});

test("leaves and batches: every path leads to REPORT_DATA, and to no other's", () => {
  for (const { role, binding, parts, leaf } of vectors.leaves) {
    const [statement, layers, gpus, peers] = bytesOf(parts, "statement", "layers", "gpus", "peers");
    assert.ok(statement && layers && gpus && peers);
    const made = sessionLeaf({ role, ...bindingOf(binding) }, { statement, layers, gpus, peers });
    assert.equal(encodeHex(made), leaf);
  }
  for (const { size, reportData, sessions } of vectors.batches) {
    const batch = createBatch(sessions.map(({ leaf }) => decodeHex(leaf)));
    assert.equal(encodeHex(batch.reportData), reportData);
    for (const [index, { leaf, path }] of sessions.entries()) {
      assert.deepEqual(batch.pathFor(index).path.map(encodeHex), path);
      const given = { index, size, path: path.map((hash) => decodeHex(hash)) };
      verifyBinding(decodeHex(leaf), given, decodeHex(reportData));
      const wrong = [
        ...Array.from({ length: size + 1 }, (_, other) => ({ ...given, index: other })).filter(
          (other) => other.index !== index,
        ),
        { ...given, size: size + 1 },
        { ...given, size: size - 1 },
        { ...given, path: given.path.slice(1) },
        { ...given, path: [...given.path, new Uint8Array(32)] },
      ].filter(
        (other) => other.path.length !== given.path.length || other.index !== index || other.size !== size,
      );
      for (const other of wrong) {
        const verify = (): void => verifyBinding(decodeHex(leaf), other, decodeHex(reportData));
        assert.throws(verify, { code: "binding-mismatch" });
      }
    }
  }
});

test("certificates: one form, one hour, one key", async () => {
  for (const vector of vectors.certificates) {
    const judge = async (): Promise<string> => {
      const judged = judgeSessionCertificate(decodeHex(vector.der), vector.nowMs);
      await judged.verifySelfSignature();
      return encodeHex(judged.spkiDigest);
    };
    if ("code" in vector) await assert.rejects(judge, { name: "RatlsError", code: vector.code }, vector.why);
    else assert.equal(await judge(), vector.spkiDigest);
  }
});

test("evidence: accepted as it is, refused with one thing changed", async () => {
  const { bytes, settings, nowMs, role, binding, overall, refused } = vectors.evidence;
  const policy = developmentPolicy(settings);
  const good = decodeHex(bytes);
  const claim = { policy, nowMs, binding: { role, ...bindingOf(binding) } };
  const node = await verifyNode({ ...claim, bundle: parseEvidenceBundle(good) });
  assert.equal(node.verdict.overall, overall);
  assert.ok(refused.length >= 10);
  for (const { why, code, ...change } of refused) {
    const bent = concatBytes(good, decodeHex(change.append ?? ""));
    if (change.flip !== undefined) bent[change.flip] = (bent[change.flip] ?? 0) ^ 1;
    const other = { role: change.role ?? role, ...bindingOf({ ...binding, ...change.binding }) };
    const verify = async () =>
      verifyNode({
        policy,
        nowMs: nowMs + (change.laterMs ?? 0),
        binding: other,
        bundle: parseEvidenceBundle(bent),
      });
    await assert.rejects(verify, { name: "AttestationError", code }, why);
  }
});

test("the specification lists every code that a session ends with, and no others", () => {
  const read = (path: string): string => readFileSync(join(import.meta.dirname, path), "utf8");
  const [, table = ""] =
    /\n## Codes\n([\s\S]*?)\n\nWhere/.exec(read("../../../spec/attested-session.md")) ?? [];
  const listed = [...table.matchAll(/^\|([^|]*)\|/gm)].flatMap(([, cell = ""]) =>
    [...cell.matchAll(/`([a-z-]+)`/g)].map(([, code = ""]) => code),
  );
  const [, unions = ""] =
    /export type RatlsErrorCode =([\s\S]*?)\/\*\* A session/.exec(read("../src/ratls-error.ts")) ?? [];
  const codes = [...unions.matchAll(/\| "([a-z-]+)"/g)].map(([, code = ""]) => code);
  assert.ok(codes.length >= 30);
  assert.deepEqual(listed.toSorted(), codes.toSorted());
});
