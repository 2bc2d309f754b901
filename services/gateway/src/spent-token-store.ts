// Tokens that have been spent, by issuer key, so that a key's whole set goes when the key expires.
import { DatabaseSync } from "node:sqlite";
import { type Bytes, sha256 } from "@sotto/base";

export type SpentTokenStore = {
  /** Marks a token as spent; false when it already was. Must not return true twice for one token, crash or not. */
  readonly spend: (keyId: Bytes, nonce: Bytes) => boolean;
  /** Forgets the tokens of keys other than these. */
  readonly keepOnly: (keyIds: readonly Bytes[]) => void;
  readonly close: () => void;
};

/**
 * Opens the store. With a write-ahead log and `synchronous = NORMAL` a commit survives the end of the process at
 * any point; only a loss of power may take back the last ones, within which a thief would have to have been waiting.
 */
export function openSpentTokenStore(path: string): SpentTokenStore {
  const database = new DatabaseSync(path);
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS spent (key_id BLOB NOT NULL, token BLOB NOT NULL, PRIMARY KEY (key_id, token))
      WITHOUT ROWID, STRICT;
  `);
  const insert = database.prepare("INSERT INTO spent (key_id, token) VALUES (?, ?) ON CONFLICT DO NOTHING");
  return {
    spend: (keyId, nonce) => Number(insert.run(keyId, sha256(keyId, nonce)).changes) === 1,
    keepOnly: (keyIds) => {
      const marks = keyIds.map(() => "?").join(", ");
      database.prepare(`DELETE FROM spent WHERE key_id NOT IN (${marks})`).run(...keyIds);
    },
    close: () => database.close(),
  };
}
