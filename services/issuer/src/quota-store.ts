// How many tokens an account took today: counted before they are made, in one statement, so never too many.
import { DatabaseSync } from "node:sqlite";

export type QuotaStore = {
  /** Charges `count` tokens to an account's day (a number of days since 1970); false when that is over the quota. */
  readonly charge: (account: string, day: number, count: number, quota: number) => boolean;
  readonly close: () => void;
};

/** Opens the store; days before yesterday are forgotten. */
export function openQuotaStore(path: string): QuotaStore {
  const database = new DatabaseSync(path);
  database.exec(`
    PRAGMA journal_mode = WAL;
    CREATE TABLE IF NOT EXISTS quota (
      account TEXT NOT NULL, day INTEGER NOT NULL, taken INTEGER NOT NULL, PRIMARY KEY (account, day)
    ) WITHOUT ROWID, STRICT;
  `);
  const charge = database.prepare(`
    INSERT INTO quota (account, day, taken) SELECT ?1, ?2, ?3 WHERE ?3 <= ?4
    ON CONFLICT (account, day) DO UPDATE SET taken = taken + ?3 WHERE taken + ?3 <= ?4
  `);
  const forget = database.prepare("DELETE FROM quota WHERE day < ?");
  return {
    charge: (account, day, count, quota) => {
      forget.run(day - 1);
      return Number(charge.run(account, day, count, quota).changes) === 1;
    },
    close: () => database.close(),
  };
}
