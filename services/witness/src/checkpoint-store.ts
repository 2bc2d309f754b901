// The newest checkpoint of each log that this witness has signed. What is answered has been written before.
import { DatabaseSync } from "node:sqlite";

export type StoredCheckpoint = { readonly size: number; readonly root: string; readonly note: string };

export type CheckpointStore = {
  readonly get: (origin: string) => StoredCheckpoint | undefined;
  /** Replaces the checkpoint if its size is still `expectedSize` (0: none yet); durable when it returns true. */
  readonly replace: (origin: string, expectedSize: number, next: StoredCheckpoint) => boolean;
  readonly close: () => void;
};

/** Opens the store; every write reaches the disk. */
export function openCheckpointStore(path: string): CheckpointStore {
  const database = new DatabaseSync(path);
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS checkpoint (
      origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root TEXT NOT NULL, note TEXT NOT NULL
    ) STRICT;
  `);
  const select = database.prepare("SELECT size, root, note FROM checkpoint WHERE origin = ?");
  const insert = database.prepare(
    "INSERT INTO checkpoint (origin, size, root, note) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
  );
  const update = database.prepare(
    "UPDATE checkpoint SET size = ?2, root = ?3, note = ?4 WHERE origin = ?1 AND size = ?5",
  );
  return {
    get: (origin) => {
      const row = select.get(origin);
      if (row === undefined) return undefined;
      return { size: Number(row.size), root: String(row.root), note: String(row.note) };
    },
    replace: (origin, expectedSize, next) => {
      const fresh = Number(insert.run(origin, next.size, next.root, next.note).changes) === 1;
      if (fresh) return true;
      return Number(update.run(origin, next.size, next.root, next.note, expectedSize).changes) === 1;
    },
    close: () => database.close(),
  };
}
