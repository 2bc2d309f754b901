// The one writer of the log. Order: entries and tiles durable, then the tree's size and root durable, then signed,
// witnessed, published; so that whenever it stops, no two trees of one size have been signed.
import { type Bytes, type Clock, decodeUtf8, encodeBase64, encodeHex, encodeUtf8 } from "@sotto/base";
import {
  changedTiles,
  HashTree,
  inclusionProof,
  type LogPolicy,
  leafHash,
  type Note,
  type NoteSignature,
  parseCheckpoint,
  parseEntryBundle,
  parseNote,
  type Signer,
  serializeCheckpoint,
  serializeEntryBundle,
  serializeNote,
  serializeProof,
  signNote,
  tilePath,
  tileWidth,
  verifyCheckpoint,
} from "@sotto/log";
import type { LogStore } from "./file-store.ts";

export type SequencerDependencies = {
  readonly signer: Signer;
  readonly store: LogStore;
  readonly policy: LogPolicy;
  readonly cosign: (note: Note, size: number, read: HashTree["read"]) => Promise<NoteSignature[]>;
  readonly clock: Clock;
};

export type Sequencer = {
  /** Adds an entry, or finds it, and resolves with its index once a witnessed tree with it is public. */
  readonly add: (entry: Bytes) => Promise<number>;
  /** Has the same tree witnessed again, so that its cosignatures are fresh. */
  readonly refresh: () => Promise<void>;
  /** The published checkpoint, or undefined before the first. */
  readonly checkpoint: () => string | undefined;
  /** Proof of an entry by its leaf hash, against the published checkpoint. */
  readonly prove: (leaf: string) => Bytes | undefined;
};

const maxCosignatureAgeMs = 5 * 60_000; // of those just made: what a witness's clock may be wrong by
const stateFile = "state";
const checkpointFile = "checkpoint";

/** Opens the log in a store; throws when what is stored does not add up. */
export function openSequencer(dependencies: SequencerDependencies): Sequencer {
  const { store, signer } = dependencies;
  const { tree, entries } = load(store);
  const indexes = new Map(entries.map((entry, index) => [encodeHex(leafHash(entry)), index]));
  let published = loadPublished(store, tree);
  let waiting: { entry: Bytes; resolve: (index: number) => void; reject: (error: unknown) => void }[] = [];
  let running: Promise<void> | undefined;

  const integrate = (batch: readonly Bytes[]): void => {
    const oldSize = tree.size;
    for (const entry of batch) {
      const leaf = leafHash(entry);
      const id = encodeHex(leaf);
      if (indexes.has(id)) continue;
      indexes.set(id, entries.length);
      entries.push(entry);
      tree.append(leaf);
    }
    for (const tile of changedTiles(oldSize, tree.size)) {
      const { level, index, width } = tile;
      const start = index * tileWidth;
      const bytes =
        level === "entries"
          ? serializeEntryBundle(entries.slice(start, start + width))
          : tree.tile(level, index, width);
      store.write(tilePath(tile), bytes);
    }
    store.write(stateFile, encodeUtf8(`${tree.size}\n${encodeBase64(tree.root())}\n`));
  };

  const publish = async (): Promise<void> => {
    const size = tree.size;
    const text = serializeCheckpoint({ origin: signer.name, size, root: tree.root() });
    const note = await signNote(text, [signer]);
    const cosignatures = await dependencies.cosign(note, size, tree.read);
    const signed = serializeNote({ text, signatures: [...note.signatures, ...cosignatures] });
    // What clients would refuse is not published.
    const { policy, clock } = dependencies;
    await verifyCheckpoint({ checkpoint: signed, policy, nowMs: clock(), maxAgeMs: maxCosignatureAgeMs });
    store.write(checkpointFile, encodeUtf8(signed));
    published = { text: signed, size };
  };

  const run = async (): Promise<void> => {
    while (waiting.length > 0) {
      // What arrives together is published together.
      await new Promise((resolve) => setTimeout(resolve, 5));
      const batch = waiting;
      waiting = [];
      try {
        integrate(batch.map(({ entry }) => entry));
        await publish();
        for (const { entry, resolve } of batch) resolve(indexes.get(encodeHex(leafHash(entry))) ?? -1);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
  };
  const exclusively = (work: () => Promise<void>): Promise<void> => {
    const turn = (running ?? Promise.resolve()).catch(() => {}).then(work);
    running = turn;
    return turn;
  };

  return {
    add: (entry) =>
      new Promise((resolve, reject) => {
        waiting.push({ entry, resolve, reject });
        exclusively(run).catch(reject);
      }),
    refresh: () => exclusively(async () => (tree.size > 0 ? publish() : undefined)),
    checkpoint: () => published?.text,
    prove: (leaf) => {
      const index = indexes.get(leaf);
      if (index === undefined || published === undefined || index >= published.size) return undefined;
      const path = inclusionProof(index, published.size, tree.read);
      return serializeProof({ index, path, checkpoint: published.text });
    },
  };
}

function load(store: LogStore): { tree: HashTree; entries: Bytes[] } {
  const tree = new HashTree();
  const entries: Bytes[] = [];
  const state = store.read(stateFile);
  if (state === undefined) return { tree, entries };
  const [size = "", root = ""] = decodeUtf8(state).split("\n");
  for (let start = 0; start < Number(size); start += tileWidth) {
    const width = Math.min(tileWidth, Number(size) - start);
    const bundle = store.read(tilePath({ level: "entries", index: start / tileWidth, width }));
    if (bundle === undefined) throw new Error("log: an entry bundle is missing");
    for (const entry of parseEntryBundle(bundle)) {
      entries.push(entry);
      tree.append(leafHash(entry));
    }
  }
  if (String(tree.size) !== size || encodeBase64(tree.root()) !== root) {
    throw new Error("log: entries do not make the tree that was signed");
  }
  return { tree, entries };
}

function loadPublished(store: LogStore, tree: HashTree): { text: string; size: number } | undefined {
  const bytes = store.read(checkpointFile);
  if (bytes === undefined) return undefined;
  const text = decodeUtf8(bytes);
  const { size, root } = parseCheckpoint(parseNote(text).text);
  if (size > tree.size || encodeBase64(tree.root(size)) !== encodeBase64(root)) {
    throw new Error("log: the published checkpoint is of another tree");
  }
  return { text, size };
}
