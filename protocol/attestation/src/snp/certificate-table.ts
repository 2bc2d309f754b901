// The certificate table beside an extended report: GUID, offset, length, then the certificates
// (GHCB 2.03 Section 4.1.8.1). Strict: one entry a kind, no overlap, nothing left over.
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
  return strictly("certificate table", () => {
    if (bytes.length > maxTableBytes)
      throw new AttestationError("too-large", "certificate table: over its limit");
    const reader = new ByteReader(bytes);
    const found = new Map<string, Bytes>();
    for (let count = 0; ; count += 1) {
      const guid = reader.bytes(16);
      const offset = reader.u32le();
      const length = reader.u32le();
      if (isAllZero(guid)) break;
      if (count === maxEntries)
        throw new AttestationError("too-large", "certificate table: too many entries");
      if (offset + length > bytes.length || length === 0) {
        throw new AttestationError("malformed", "certificate table: entry points outside");
      }
      const name = decodeGuid(guid);
      if (found.has(name)) throw new AttestationError("malformed", "certificate table: entry is repeated");
      found.set(name, new Uint8Array(bytes.subarray(offset, offset + length)));
    }
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
  });
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
