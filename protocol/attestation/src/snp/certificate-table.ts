// The certificate table beside an extended report: GUID, offset, length, then the certificates
// (GHCB 2.03 Section 4.1.8.1). Strict: one entry a kind, no byte in two entries, only zeros between them.
import {
  ByteReader,
  type Bytes,
  ByteWriter,
  concatBytes,
  decodeHex,
  encodeHex,
  isAllZero,
} from "@sotto/base";
import { AttestationError, strictly } from "../attestation-error.ts";
import { certificateGuid } from "./layout.ts";

/** DER certificates; exactly one of VCEK and VLEK. */
export type CertificateTable = {
  readonly kind: "vcek" | "vlek";
  readonly vek: Bytes;
  readonly ask: Bytes;
  readonly ark: Bytes;
};

const entrySize = 16 + 4 + 4;
const maxEntries = 8;
const maxTableBytes = 32 * 1024;

export function serializeCertificateTable(table: CertificateTable): Bytes {
  const entries = [
    [certificateGuid[table.kind], table.vek],
    [certificateGuid.ask, table.ask],
    [certificateGuid.ark, table.ark],
  ] as const;
  const writer = new ByteWriter();
  let offset = (entries.length + 1) * entrySize;
  for (const [guid, certificate] of entries) {
    writer.bytes(encodeGuid(guid)).u32le(offset).u32le(certificate.length);
    offset += certificate.length;
  }
  return concatBytes(writer.zeros(entrySize).finish(), ...entries.map(([, certificate]) => certificate));
}

/** Reads a table; entries of unknown kinds are passed over. Throws `AttestationError`. */
export function parseCertificateTable(bytes: Uint8Array): CertificateTable {
  if (bytes.length > maxTableBytes)
    throw new AttestationError("too-large", "certificate table: over its limit");
  const found = strictly("certificate table", () => readEntries(bytes));
  const vcek = found.get(certificateGuid.vcek);
  const vlek = found.get(certificateGuid.vlek);
  const ask = found.get(certificateGuid.ask);
  const ark = found.get(certificateGuid.ark);
  const vek = vcek ?? vlek;
  if (
    vek === undefined ||
    (vcek !== undefined && vlek !== undefined) ||
    ask === undefined ||
    ark === undefined
  ) {
    throw new AttestationError("malformed", "certificate table: not one endorsement key with its chain");
  }
  return { kind: vcek === undefined ? "vlek" : "vcek", vek, ask, ark };
}

function readEntries(bytes: Uint8Array): ReadonlyMap<string, Bytes> {
  const reader = new ByteReader(bytes);
  const found = new Map<string, Bytes>();
  const spans: { start: number; end: number }[] = [];
  for (;;) {
    const guid = reader.bytes(16);
    const start = reader.u32le();
    const end = start + reader.u32le();
    if (isAllZero(guid)) {
      if (start !== 0 || end !== 0) throw malformed("last entry is not zero");
      break;
    }
    if (spans.length === maxEntries)
      throw new AttestationError("too-large", "certificate table: too many entries");
    if (end > bytes.length || end === start) throw malformed("entry points outside");
    const name = decodeGuid(guid);
    if (found.has(name)) throw malformed("entry is repeated");
    found.set(name, new Uint8Array(bytes.subarray(start, end)));
    spans.push({ start, end });
  }
  // Hosts pad to whole pages; nothing else may stand where no entry points.
  let position = reader.offset;
  for (const { start, end } of [
    ...spans.sort((a, b) => a.start - b.start),
    { start: bytes.length, end: 0 },
  ]) {
    if (start < position) throw malformed("entries overlap");
    if (!isAllZero(bytes.subarray(position, start))) throw malformed("bytes that belong to no entry");
    position = end;
  }
  return found;
}

function malformed(what: string): AttestationError {
  return new AttestationError("malformed", `certificate table: ${what}`);
}

// The first three groups of a GUID are little-endian, the others as written.
function encodeGuid(guid: string): Bytes {
  const [a = "", b = "", c = "", d = "", e = ""] = guid.split("-");
  return concatBytes(
    decodeHex(a).reverse(),
    decodeHex(b).reverse(),
    decodeHex(c).reverse(),
    decodeHex(d + e),
  );
}

function decodeGuid(bytes: Bytes): string {
  const part = (start: number, end: number, swap: boolean): string => {
    const slice = bytes.slice(start, end);
    return encodeHex(swap ? slice.reverse() : slice);
  };
  return [part(0, 4, true), part(4, 6, true), part(6, 8, true), part(8, 10, false), part(10, 16, false)].join(
    "-",
  );
}
