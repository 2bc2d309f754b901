// The attestation report of SEV-SNP as bytes (SNP ABI 1.58 Table 23): one table for the parser and the simulator.

/** Sizes in bytes. */
export const reportSize = 0x4a0;
export const signedSize = 0x2a0;

/** Offsets of the fields; every field's length stands beside it. */
export const reportField = {
  version: { offset: 0x000, length: 4 },
  guestSvn: { offset: 0x004, length: 4 },
  policy: { offset: 0x008, length: 8 },
  familyId: { offset: 0x010, length: 16 },
  imageId: { offset: 0x020, length: 16 },
  vmpl: { offset: 0x030, length: 4 },
  signatureAlgorithm: { offset: 0x034, length: 4 },
  currentTcb: { offset: 0x038, length: 8 },
  platformInfo: { offset: 0x040, length: 8 },
  keyInfo: { offset: 0x048, length: 4 },
  reserved1: { offset: 0x04c, length: 4 },
  reportData: { offset: 0x050, length: 64 },
  measurement: { offset: 0x090, length: 48 },
  hostData: { offset: 0x0c0, length: 32 },
  idKeyDigest: { offset: 0x0e0, length: 48 },
  authorKeyDigest: { offset: 0x110, length: 48 },
  reportId: { offset: 0x140, length: 32 },
  reportIdMa: { offset: 0x160, length: 32 },
  reportedTcb: { offset: 0x180, length: 8 },
  cpuFamily: { offset: 0x188, length: 1 },
  cpuModel: { offset: 0x189, length: 1 },
  cpuStepping: { offset: 0x18a, length: 1 },
  reserved2: { offset: 0x18b, length: 21 },
  chipId: { offset: 0x1a0, length: 64 },
  committedTcb: { offset: 0x1e0, length: 8 },
  currentVersion: { offset: 0x1e8, length: 3 },
  reserved3: { offset: 0x1eb, length: 1 },
  committedVersion: { offset: 0x1ec, length: 3 },
  reserved4: { offset: 0x1ef, length: 1 },
  launchTcb: { offset: 0x1f0, length: 8 },
  launchMitigations: { offset: 0x1f8, length: 8 },
  currentMitigations: { offset: 0x200, length: 8 },
  reserved5: { offset: 0x208, length: 152 },
  signatureR: { offset: 0x2a0, length: 72 },
  signatureS: { offset: 0x2e8, length: 72 },
  reserved6: { offset: 0x330, length: 368 },
} as const;

/** Bits of POLICY (SNP ABI 1.58 Table 9). */
export const policyBit = {
  smt: 16n,
  reservedOne: 17n,
  migrateMa: 18n,
  debug: 19n,
  singleSocket: 20n,
  cxl: 21n,
  aes256Xts: 22n,
  raplDisabled: 23n,
  ciphertextHiding: 24n,
  pageSwapDisabled: 25n,
} as const;

/** Bits of PLATFORM_INFO (SNP ABI 1.58 Table 24). */
export const platformBit = {
  smt: 0n,
  tsme: 1n,
  ecc: 2n,
  raplDisabled: 3n,
  ciphertextHiding: 4n,
  aliasCheckComplete: 5n,
  tio: 7n,
} as const;

/** ECDSA P-384 with SHA-384. */
export const ecdsaP384Sha384 = 1;

/** Who signed (KEY_INFO bits 4 to 2). */
export const signingKey = { vcek: 0, vlek: 1, none: 7 } as const;

export type Generation = "milan" | "genoa" | "turin";

/** Security patch levels of one TCB; `fmc` exists from Turin on. */
export type Tcb = {
  readonly fmc: number;
  readonly bootLoader: number;
  readonly tee: number;
  readonly snp: number;
  readonly microcode: number;
};

/** Names of the levels, in the order in which people read them. */
export const tcbLevels = ["fmc", "bootLoader", "tee", "snp", "microcode"] as const;

/** Which byte of a TCB holds which level, by generation (SNP ABI 1.58 Table 3). */
export const tcbLayout: Readonly<Record<Generation, Readonly<Partial<Record<keyof Tcb, number>>>>> = {
  milan: { bootLoader: 0, tee: 1, snp: 6, microcode: 7 },
  genoa: { bootLoader: 0, tee: 1, snp: 6, microcode: 7 },
  turin: { fmc: 0, bootLoader: 1, tee: 2, snp: 3, microcode: 7 },
};

/** Extensions of VCEK and VLEK certificates (AMD 57230). */
export const vekOid = {
  structVersion: "1.3.6.1.4.1.3704.1.1",
  productName: "1.3.6.1.4.1.3704.1.2",
  bootLoader: "1.3.6.1.4.1.3704.1.3.1",
  tee: "1.3.6.1.4.1.3704.1.3.2",
  snp: "1.3.6.1.4.1.3704.1.3.3",
  spl4: "1.3.6.1.4.1.3704.1.3.4",
  spl5: "1.3.6.1.4.1.3704.1.3.5",
  spl6: "1.3.6.1.4.1.3704.1.3.6",
  spl7: "1.3.6.1.4.1.3704.1.3.7",
  microcode: "1.3.6.1.4.1.3704.1.3.8",
  fmc: "1.3.6.1.4.1.3704.1.3.9",
  hardwareId: "1.3.6.1.4.1.3704.1.4",
  cspId: "1.3.6.1.4.1.3704.1.5",
} as const;

/** Entries of the certificate table that comes with an extended report (GHCB 2.03 Section 4.1.8.1). */
export const certificateGuid = {
  vcek: "63da758d-e664-4564-adc5-f4b93be8accd",
  vlek: "a8074bc2-a25a-483e-aae6-39c045a0b8a1",
  ask: "4ab7b379-bbac-4fe4-a02f-05aef327c782",
  ark: "c0b406a4-a803-4952-9743-3fb6014cd0ae",
} as const;

/** Generation by CPUID family and model, or undefined for one not known here. */
export function generationOf(family: number, model: number): Generation | undefined {
  if (family === 0x19 && model <= 0x0f) return "milan";
  if (family === 0x19 && ((model >= 0x10 && model <= 0x1f) || (model >= 0xa0 && model <= 0xaf)))
    return "genoa";
  if (family === 0x1a && model <= 0x11) return "turin";
  return undefined;
}
