// Certificates that somebody made: what is not exactly AMD's form, or not from the right hands, is refused.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AttestationError,
  amdRoots,
  certificateGuid,
  parseCertificateTable,
  type SimulatedRoots,
  serializeCertificateTable,
  vekOid,
  verifySimulatedEvidence,
  verifySnpEvidence,
} from "@sotto/attestation";
import {
  type CertificateExtension,
  type ChipOptions,
  createReportSigner,
  issueSimulatedChip,
  parseSimulatedRoot,
  signCertificate,
  simulatedTcb,
} from "@sotto/attestation/software";
import {
  type Bytes,
  concatBytes,
  DerReader,
  decodeHex,
  encodeHex,
  encodeUtf8,
  systemRandom,
} from "@sotto/base";
import fc from "fast-check";
import { importIssuerKey, parseCertificate } from "../src/certificate.ts";
import { rootOrigin } from "../src/roots.ts";
import { checkRsassaPss } from "../src/rsassa-pss.ts";
import { verifyEndorsement } from "../src/snp/endorsement.ts";
import { der } from "../src/software/der-writer.ts";
import { authorityExtensions, vcekExtensions } from "../src/software/simulated-certificate.ts";
import { authority, chip, dayMs, le, measurement, nowMs, patched, refuses } from "./stage.ts";

const roots = parseSimulatedRoot(authority.ark);
const table = parseCertificateTable(chip.certificates);
const names = {
  ark: "ARK-Turin SIMULATED - NOT AMD",
  ask: "SEV-Turin SIMULATED - NOT AMD",
  vcek: "SEV-VCEK SIMULATED - NOT AMD",
};

type Change = (standard: readonly CertificateExtension[]) => readonly CertificateExtension[];
const replace =
  (id: string, content: Bytes): Change =>
  (standard) =>
    standard.map((one) => (one.id === id ? { id, content } : one));
const without =
  (id: string): Change =>
  (standard) =>
    standard.filter((one) => one.id !== id);

async function judge(certificates: Bytes, trusted: SimulatedRoots = roots): Promise<void> {
  await verifyEndorsement(certificates, trusted, nowMs);
}

async function judgeChip(options: ChipOptions): Promise<void> {
  await judge((await issueSimulatedChip(authority, nowMs, systemRandom, options)).certificates);
}

async function keyPair(algorithm: RsaHashedKeyGenParams | EcKeyGenParams) {
  const pair = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey));
  return { spki, pkcs8: new Uint8Array(await crypto.subtle.exportKey("pkcs8", pair.privateKey)) };
}
const rsa = (modulusLength: number) =>
  keyPair({
    name: "RSA-PSS",
    hash: "SHA-384",
    modulusLength,
    publicExponent: new Uint8Array([1, 0, 1]),
  });
const ec = (namedCurve: string) => keyPair({ name: "ECDSA", namedCurve });

const dates = { notBefore: nowMs - dayMs, notAfter: nowMs + dayMs };
/** A table with an authority of our making below the real (simulated) root, and a key below that. */
async function tableBelow(
  ask: { spki: Bytes; pkcs8: Bytes },
  changes: { extensions?: readonly CertificateExtension[]; rootKey?: Bytes; issuer?: string } = {},
): Promise<Bytes> {
  const middle = await signCertificate(
    {
      ...dates,
      serial: 2n,
      issuer: changes.issuer ?? names.ark,
      subject: names.ask,
      spki: ask.spki,
      extensions: changes.extensions ?? authorityExtensions(0n),
    },
    changes.rootKey ?? authority.arkKey,
  );
  const { spki } = await ec("P-384");
  const extensions = vcekExtensions(simulatedTcb, systemRandom(8));
  const fields = { ...dates, serial: 0n, issuer: names.ask, subject: names.vcek, spki, extensions };
  // An authority that has no RSA key cannot sign at all; its chain is broken before that matters.
  const vek = await signCertificate(fields, ask.pkcs8).catch(() => table.vek);
  return serializeCertificateTable({ kind: "vcek", vek, ask: middle, ark: authority.ark });
}

test("an authority below the root is one by its extensions, its key and its signature", async () => {
  const good = await rsa(4096);
  await judge(await tableBelow(good));
  const none: readonly CertificateExtension[] = [];
  const usage = { id: "2.5.29.15", critical: true, content: der.bitString(Uint8Array.of(0x80), 7) };
  const notCa = { id: "2.5.29.19", critical: true, content: der.sequence() };
  const [constraints, signs] = authorityExtensions(0n);
  assert.ok(constraints && signs);
  for (const extensions of [none, [constraints], [signs], [constraints, usage], [notCa, signs]])
    await refuses(async () => judge(await tableBelow(good, { extensions })), "bad-certificate");
  await refuses(async () => judge(await tableBelow(await ec("P-384"))), "bad-certificate");
  await refuses(async () => judge(await tableBelow(await rsa(2048))), "bad-chain");
  await refuses(async () => judge(await tableBelow(good, { rootKey: authority.askKey })), "bad-chain");
  await refuses(async () => judge(await tableBelow(good, { issuer: names.ask })), "bad-chain");
});

test("an endorsement key is named by its issuer, on P-384, and no authority itself", async () => {
  const make = async (changes: { issuer?: string; spki?: Bytes; extensions?: CertificateExtension[] }) => {
    const { spki } = await ec("P-384");
    const standard = vcekExtensions(simulatedTcb, systemRandom(8));
    const fields = { ...dates, serial: 0n, issuer: names.ask, subject: names.vcek, spki };
    const vek = await signCertificate({ ...fields, extensions: standard, ...changes }, authority.askKey);
    return serializeCertificateTable({ ...table, vek });
  };
  await judge(await make({}));
  await refuses(async () => judge(await make({ issuer: names.ark })), "bad-chain");
  for (const curve of ["P-256", "P-521"])
    await refuses(async () => judge(await make({ spki: (await ec(curve)).spki })), "bad-certificate");
  await refuses(async () => judge(await make({ spki: (await rsa(2048)).spki })), "bad-certificate");
  const both = [...vcekExtensions(simulatedTcb, systemRandom(8)), ...authorityExtensions(0n)];
  await refuses(async () => judge(await make({ extensions: both })), "bad-certificate");
});

test("a root that only calls itself AMD's is nobody's", async () => {
  const { spki, pkcs8 } = await rsa(4096);
  const extensions = authorityExtensions(1n);
  const name = "ARK-Turin";
  const ark = await signCertificate(
    { ...dates, serial: 0x30000n, issuer: name, subject: name, spki, extensions },
    pkcs8,
  );
  const certificates = serializeCertificateTable({ ...table, ark });
  await refuses(() => verifyEndorsement(certificates, amdRoots, nowMs), "untrusted-root");
  await refuses(() => judge(certificates), "untrusted-root");
  // Also as a root that is trusted, it has not issued what stands below.
  await refuses(() => judge(certificates, parseSimulatedRoot(ark)), "bad-chain");
});

test("a root that did not sign itself is refused even where it is trusted", async () => {
  const { spki } = parseCertificate(authority.ark);
  const fields = { ...dates, serial: 1n, issuer: names.ark, subject: names.ark, spki };
  const root = async (key: Bytes) => signCertificate({ ...fields, extensions: authorityExtensions(1n) }, key);
  const judgeBelow = async (ark: Bytes) =>
    judge(serializeCertificateTable({ ...table, ark }), parseSimulatedRoot(ark));
  await judgeBelow(await root(authority.arkKey));
  await refuses(async () => judgeBelow(await root(authority.askKey)), "bad-chain");
});

test("each extension of an endorsement key: missing, twice, of another form", async () => {
  const standard = vcekExtensions(simulatedTcb, systemRandom(8));
  await judgeChip({ extensions: () => standard });
  for (const { id } of standard) {
    await refuses(() => judgeChip({ extensions: without(id) }), "extension-missing");
    const twice: Change = (all) => [...all, ...all.filter((one) => one.id === id)];
    await refuses(() => judgeChip({ extensions: twice }), "extension-repeated");
    await refuses(
      () => judgeChip({ extensions: replace(id, der.null()) }),
      id === vekOid.hardwareId ? "hardware-id-malformed" : "malformed",
    );
  }
  const levels = [vekOid.fmc, vekOid.bootLoader, vekOid.tee, vekOid.snp, vekOid.microcode];
  for (const id of levels) {
    await judgeChip({ extensions: replace(id, decodeHex("020200ff")) });
    for (const hex of ["0201ff", "02020100", "0202007f", "0200", "0203000080"])
      await refuses(() => judgeChip({ extensions: replace(id, decodeHex(hex)) }), "bad-certificate");
    await refuses(() => judgeChip({ extensions: replace(id, decodeHex("02010100")) }), "malformed");
  }
  for (const id of [vekOid.spl5, vekOid.spl6, vekOid.spl7])
    await refuses(() => judgeChip({ extensions: replace(id, der.integer(1n)) }), "bad-certificate");
});

test("an endorsement key of another generation, kind or structure", async () => {
  const add =
    (...more: CertificateExtension[]): Change =>
    (all) => [...all, ...more];
  const csp = { id: vekOid.cspId, content: der.ia5String("CN=cloud.example") };
  for (const name of ["Genoa", "Milan-B0", "Turinx", ""])
    await refuses(
      () => judgeChip({ extensions: replace(vekOid.productName, der.ia5String(name)) }),
      "generation-mismatch",
    );
  await judgeChip({ extensions: replace(vekOid.productName, der.ia5String("Turin-C1")) });
  await refuses(
    () => judgeChip({ extensions: add({ id: vekOid.spl4, content: der.integer(0n) }) }),
    "generation-mismatch",
  );
  await refuses(
    () => judgeChip({ extensions: replace(vekOid.structVersion, der.integer(2n)) }),
    "unsupported-version",
  );
  await refuses(() => judgeChip({ extensions: add(csp) }), "certificate-kind-mismatch");
  await refuses(() => judgeChip({ kind: "vlek", extensions: add(csp) }), "certificate-kind-mismatch");
  const loaded: Change = (all) => add(csp)(without(vekOid.hardwareId)(all));
  await judgeChip({ kind: "vlek", extensions: loaded });
  await refuses(() => judgeChip({ extensions: loaded }), "certificate-kind-mismatch");
  await refuses(
    () => judgeChip({ kind: "vlek", extensions: without(vekOid.hardwareId) }),
    "extension-missing",
  );
  const named = (text: string) => replace(vekOid.cspId, der.utf8String(text));
  for (const text of ["", "line\nbreak", "ü", "x".repeat(256)])
    await refuses(
      () => judgeChip({ kind: "vlek", extensions: (all) => named(text)(loaded(all)) }),
      "bad-certificate",
    );
});

test("the chip's identifier is 8 raw bytes, not a tagged string of them", async () => {
  for (const id of [
    concatBytes(Uint8Array.of(0x04, 0x08), systemRandom(8)),
    systemRandom(7),
    systemRandom(64),
    new Uint8Array(0),
  ])
    await refuses(() => judgeChip({ extensions: replace(vekOid.hardwareId, id) }), "hardware-id-malformed");
});

test("unknown extensions pass unless they are critical", async () => {
  const unknown = { id: "1.3.6.1.4.1.99999.1", content: der.null() };
  await judgeChip({ extensions: (all) => [...all, unknown] });
  await refuses(
    () => judgeChip({ extensions: (all) => [...all, { ...unknown, critical: true }] }),
    "bad-certificate",
  );
});

const sha = (id: string, ...parameters: Bytes[]) => der.sequence(der.objectIdentifier(id), ...parameters);
const sha384 = sha("2.16.840.1.101.3.4.2.2", der.null());
const mgf = (hash: Bytes, id = "1.2.840.113549.1.1.8") => der.sequence(der.objectIdentifier(id), hash);
const pss = (...fields: Bytes[]) =>
  concatBytes(der.objectIdentifier("1.2.840.113549.1.1.10"), der.sequence(...fields));

test("one signature algorithm, with its trailer written out or not, and nothing beside it", async () => {
  const [hash, mask, salt] = [
    der.explicit(0, sha384),
    der.explicit(1, mgf(sha384)),
    der.explicit(2, der.integer(48n)),
  ];
  const trailer = (value: bigint) => der.explicit(3, der.integer(value));
  checkRsassaPss(pss(hash, mask, salt));
  checkRsassaPss(pss(hash, mask, salt, trailer(1n)));
  checkRsassaPss(pss(der.explicit(0, sha("2.16.840.1.101.3.4.2.2")), mask, salt));
  const sha256 = sha("2.16.840.1.101.3.4.2.1", der.null());
  const refused = [
    pss(),
    pss(hash, mask),
    pss(mask, salt),
    pss(hash, salt),
    pss(mask, hash, salt),
    pss(der.explicit(0, sha256), mask, salt),
    pss(hash, der.explicit(1, mgf(sha256)), salt),
    pss(hash, der.explicit(1, mgf(sha384, "1.2.840.113549.1.1.7")), salt),
    pss(der.explicit(0, sha("2.16.840.1.101.3.4.2.2", der.element(0x05, Uint8Array.of(0)))), mask, salt),
    pss(hash, mask, salt, trailer(0n)),
    pss(hash, mask, salt, trailer(2n)),
    ...[0n, 20n, 32n, 47n, 49n, 64n].map((length) => pss(hash, mask, der.explicit(2, der.integer(length)))),
    concatBytes(der.objectIdentifier("1.2.840.113549.1.1.12"), der.null()),
    concatBytes(der.objectIdentifier("1.2.840.10045.4.3.3")),
  ];
  for (const algorithm of refused.slice(0, -1))
    await refuses(() => checkRsassaPss(algorithm), "unsupported-algorithm");
  await refuses(() => checkRsassaPss(refused.at(-1) ?? new Uint8Array()), "unsupported-algorithm");
  for (const more of [der.null(), der.explicit(4, der.null())])
    assert.throws(() => checkRsassaPss(pss(hash, mask, salt, trailer(1n), more)), { code: "trailing-bytes" });
});

test("a certificate names one algorithm, in both places in the same bytes", async () => {
  const outer = new DerReader(table.vek).nested();
  const [tbs, algorithm, signature] = [outer.element().raw, outer.element().raw, outer.element().raw];
  assert.deepEqual(der.sequence(tbs, algorithm, signature), table.vek);
  const hash = der.explicit(0, sha384);
  const fields = [hash, der.explicit(1, mgf(sha384)), der.explicit(2, der.integer(48n))];
  const same = der.sequence(pss(...fields));
  assert.deepEqual(same, algorithm);
  const trailing = der.sequence(pss(...fields, der.explicit(3, der.integer(1n))));
  await refuses(() => parseCertificate(der.sequence(tbs, trailing, signature)), "malformed");
});

test("times are dates that exist", async () => {
  const good = table.vek;
  const start = encodeHex(good).indexOf("170d") / 2 + 2;
  const withTime = (text: string) => patched(good, start, ...encodeUtf8(text));
  const dated = (text: string) => parseCertificate(withTime(text)).notBefore;
  assert.equal(dated("240229235959Z"), Date.UTC(2024, 1, 29, 23, 59, 59));
  assert.equal(dated("500101000000Z"), Date.UTC(1950, 0, 1));
  for (const text of [
    "230229000000Z",
    "241301000000Z",
    "240100000000Z",
    "240101240000Z",
    "240101006000Z",
    "240101000060Z",
    "240101000000z",
    "24010100000 Z",
    "2401010000+01",
  ])
    await refuses(() => parseCertificate(withTime(text)), "malformed");
});

test("a certificate is read whole or not at all", async () => {
  const certificate = table.vek;
  parseCertificate(certificate);
  for (let length = 0; length < certificate.length; length += 1)
    await refuses(() => parseCertificate(certificate.slice(0, length)), "malformed");
  await refuses(() => parseCertificate(concatBytes(certificate, new Uint8Array(1))), "malformed");
  await refuses(() => parseCertificate(new Uint8Array(8 * 1024 + 1)), "too-large");
  const attempt = (bytes: Uint8Array): void => {
    try {
      parseCertificate(bytes);
    } catch (error) {
      assert.ok(error instanceof AttestationError, String(error));
    }
  };
  for (let index = 0; index < certificate.length; index += 1)
    for (const bits of [0xff, 0x80, 0x01])
      attempt(patched(certificate, index, (certificate[index] ?? 0) ^ bits));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), attempt));
});

test("a key that may not sign certificates is not imported for that", async () => {
  await refuses(() => importIssuerKey(parseCertificate(table.vek)), "bad-certificate");
});

test("the certificate table: two keys, none, overlaps, hidden bytes, bytes outside", async () => {
  const good = chip.certificates;
  const entry = (guid: string, offset: number, length: number): Bytes => {
    const [a = "", b = "", c = "", d = "", e = ""] = guid.split("-");
    const swapped = [a, b, c].map((part) => decodeHex(part).reverse());
    return concatBytes(...swapped, decodeHex(d + e), le(4, offset), le(4, length));
  };
  const body = good.slice(96);
  const [vek, ask, ark] = [table.vek.length, table.ask.length, table.ark.length];
  type Row = readonly [string, number, number];
  const rows: readonly Row[] = [
    [certificateGuid.vcek, 96, vek],
    [certificateGuid.ask, 96 + vek, ask],
    [certificateGuid.ark, 96 + vek + ask, ark],
  ];
  const build = (entries: readonly Row[], after: Bytes = body) =>
    concatBytes(...entries.map((row) => entry(...row)), new Uint8Array(24), after);
  const shift = (entries: readonly Row[], by: number): Row[] =>
    entries.map(([guid, offset, length]) => [guid, offset + by, length]);
  assert.deepEqual(build(rows), good);
  assert.deepEqual(serializeCertificateTable(parseCertificateTable(good)), good);

  const padded = concatBytes(good, new Uint8Array(4096 - (good.length % 4096)));
  assert.deepEqual(parseCertificateTable(padded), table);
  const backwards = build([...rows].reverse());
  assert.deepEqual(parseCertificateTable(backwards), table);
  const unknown = "11111111-2222-3333-4444-555555555555";
  const extra = build(
    [...shift(rows, 24), [unknown, 120 + body.length, 5]],
    concatBytes(body, encodeUtf8("hello")),
  );
  assert.deepEqual(parseCertificateTable(extra), table);

  const refused: readonly Bytes[] = [
    build([]),
    ...rows.map((row) =>
      build(
        shift(
          rows.filter((one) => one !== row),
          -24,
        ),
      ),
    ),
    build([...shift(rows, 24), [certificateGuid.vlek, 120, vek]]),
    build([...shift(rows, 24), [certificateGuid.ask, 120 + vek, ask]]),
    build([...shift(rows, 24), [unknown, 120, vek]]),
    build([...shift(rows, 24), [unknown, 0, 16]]),
    build([[certificateGuid.vcek, 96, 0], ...rows.slice(1)]),
    build([[certificateGuid.vcek, 96, vek + 1], ...rows.slice(1)]),
    build([[certificateGuid.vcek, 96, vek - 32], ...rows.slice(1)]), // one byte may be zero, and padding
    build([...rows.slice(0, 2), [certificateGuid.ark, 96 + vek + ask, ark + 1]]),
    build([...rows.slice(0, 2), [certificateGuid.ark, 0xffffffff, ark]]),
    concatBytes(good, Uint8Array.of(1)),
    build(shift(rows, 8), concatBytes(encodeUtf8("not zero"), body)),
    patched(good, 95, 1),
    patched(good, 88, 1),
  ];
  for (const bytes of refused) await refuses(() => parseCertificateTable(bytes), "malformed");
  for (let length = 0; length < good.length; length += 1)
    await refuses(() => parseCertificateTable(good.slice(0, length)), "malformed");
  await refuses(() => parseCertificateTable(new Uint8Array(32 * 1024 + 1)), "too-large");
  const many: Row[] = Array.from({ length: 9 }, (_, index) => [
    unknown.replace("5", String(index)),
    240 + index,
    1,
  ]);
  await refuses(() => parseCertificateTable(build(many)), "too-large");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.throws(() => parseCertificateTable(bytes), AttestationError);
    }),
  );
});

test("roots of one kind are not roots of the other, whatever a caller says", async () => {
  const signer = await createReportSigner(chip, measurement);
  const evidence = { report: await signer.sign(systemRandom(64)), certificates: chip.certificates };
  assert.equal((await verifySimulatedEvidence(evidence, roots, nowMs)).origin, "simulated");
  await refuses(() => verifySnpEvidence(evidence, amdRoots, nowMs), "untrusted-root");
  // @ts-expect-error: simulated roots are of another type
  await refuses(() => verifySnpEvidence(evidence, roots, nowMs), "untrusted-root");
  // @ts-expect-error: and the other way round
  await refuses(() => verifySimulatedEvidence(evidence, amdRoots, nowMs), "untrusted-root");
  const made = Reflect.get(amdRoots, "constructor");
  assert.throws(() => Reflect.construct(made, [Symbol("roots"), new Map()]), TypeError);
  assert.throws(() => rootOrigin(Object.create(Object.getPrototypeOf(amdRoots))), TypeError);
  assert.deepEqual(Object.keys(amdRoots), []);
});

test("more chips than are remembered are all judged the same", async () => {
  const chips = await Promise.all(
    Array.from({ length: 70 }, () => issueSimulatedChip(authority, nowMs, systemRandom)),
  );
  for (const { certificates, hardwareId } of [...chips, ...chips.slice(0, 8)]) {
    const endorsement = await verifyEndorsement(certificates, roots, nowMs);
    assert.equal(endorsement.hardwareId, encodeHex(hardwareId).padEnd(128, "0"));
    await refuses(
      () => verifyEndorsement(certificates, roots, nowMs + 8 * 365 * dayMs),
      "certificate-expired",
    );
    await refuses(() => verifyEndorsement(certificates, amdRoots, nowMs), "untrusted-root");
  }
});
