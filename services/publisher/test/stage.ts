// A log in a folder of its own, and a witness that remembers every tree that it was shown.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { type Bytes, encodeBase64, encodeUtf8 } from "@sotto/base";
import {
  cosign,
  generateSigner,
  type LogPolicy,
  noteKeyType,
  parseCheckpoint,
  parsePolicy,
  serializeStatement,
  serializeVerifier,
} from "@sotto/log";
import { type LogStore, openFileStore } from "../src/file-store.ts";
import { openSequencer, type Sequencer, type SequencerDependencies } from "../src/sequencer.ts";

const base = mkdtempSync(join(tmpdir(), "sotto-publisher-"));
after(() => rmSync(base, { recursive: true, force: true }));
let folders = 0;

export const createFolder = (): string => join(base, String(folders++));
export const log = await generateSigner("log.example", noteKeyType.ed25519);
const witness = await generateSigner("witness.example", noteKeyType.cosignature);
export const policy: LogPolicy = parsePolicy(
  [`log ${serializeVerifier(log)}`, `witness w ${serializeVerifier(witness)}`, "quorum w", ""].join("\n"),
);
export const clock = Date.now;

export type Witnessed = {
  readonly cosign: SequencerDependencies["cosign"];
  readonly roots: Map<number, Set<string>>;
};

/** Cosigns everything, and keeps what it was shown: two roots for one size would be a fork. */
export function createFakeWitness(): Witnessed {
  const roots = new Map<number, Set<string>>();
  return {
    roots,
    cosign: async (note, size) => {
      const root = encodeBase64(parseCheckpoint(note.text).root);
      roots.set(size, (roots.get(size) ?? new Set()).add(root));
      return [await cosign(note.text, witness, Math.floor(clock() / 1000))];
    },
  };
}

export type OpenLog = { readonly sequencer: Sequencer; readonly store: LogStore };

export function openLog(
  folder: string,
  askWitness: SequencerDependencies["cosign"],
  wrap: (store: LogStore) => LogStore = (store) => store,
): OpenLog {
  const files = openFileStore(folder);
  try {
    const store = wrap(files);
    return {
      sequencer: openSequencer({ signer: log, store, policy, cosign: askWitness, clock }),
      store: files,
    };
  } catch (error) {
    files.close();
    throw error;
  }
}

/** A statement that is like no other. */
export function statementOf(index: number): Bytes {
  return serializeStatement({
    kind: "weights",
    name: `model-${index}`,
    files: [{ path: "model.gguf", size: 1, digest: `sha256:${"00".repeat(32)}` }],
    issuedAt: 1,
    expiresAt: 2,
  });
}

export const entryOf = (index: number): Bytes => encodeUtf8(`entry ${index}`);
