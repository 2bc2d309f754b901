// Tokens that have been spent, by issuer key, so that a key's whole set goes when the key does.
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Bytes, sha256 } from "@sotto/base";

export type SpentTokenStore = {
  /**
   * Marks a token as spent; false when it already was. Must not give true twice for one token, whatever runs beside it
   * and whatever crashes, so true comes only once the disk has the mark. Rejects when it cannot tell.
   */
  readonly spend: (keyId: Bytes, nonce: Bytes) => Promise<boolean>;
  /** Forgets the tokens of keys other than these. */
  readonly keepOnly: (keyIds: readonly Bytes[]) => void;
  readonly close: () => Promise<void>;
};

const busyMs = 100; // another process on the same file

/**
 * Opens the store in a file. Measured on ext4, per token: with `synchronous = FULL` 0.13 ms, all of it with this
 * process standing still for the disk, streams of other clients included; with NORMAL 0.01 ms, but a loss of power may
 * take back hours of a quiet gateway. So marks are written with NORMAL, and the log file is flushed by a thread, once
 * for all who wait: 0.2 ms, during which everything else goes on.
 */
export async function openSpentTokenStore(path: string): Promise<SpentTokenStore> {
  const database = new DatabaseSync(path, { timeout: busyMs });
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS spent (key_id BLOB NOT NULL, token BLOB NOT NULL, PRIMARY KEY (key_id, token))
      WITHOUT ROWID, STRICT;
  `);
  const insert = database.prepare("INSERT INTO spent (key_id, token) VALUES (?, ?) ON CONFLICT DO NOTHING");
  // The log stays this file for as long as the database is open.
  const log = await open(`${path}-wal`, "r+");
  const flush = createFlush(log);
  await flush();
  await flushFolder(dirname(path));
  return {
    spend: async (keyId, nonce) => {
      if (Number(insert.run(keyId, sha256(nonce, keyId)).changes) !== 1) return false;
      await flush();
      return true;
    },
    keepOnly: (keyIds) => {
      const marks = keyIds.map(() => "?").join(", ");
      database.prepare(`DELETE FROM spent WHERE key_id NOT IN (${marks})`).run(...keyIds);
    },
    close: async () => {
      await log.close();
      database.close();
    },
  };
}

/** Flushes a file; callers who come while one flush runs share the next one, which begins after their writes. */
function createFlush(file: FileHandle): () => Promise<void> {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  const begin = (): Promise<void> => {
    next = undefined;
    running = file.datasync().finally(() => {
      running = undefined;
    });
    return running;
  };
  return () => {
    if (running === undefined) return begin();
    next ??= running.then(begin, begin);
    return next;
  };
}

// A new file is on disk only when its name in the folder is.
async function flushFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
