// A change to how a server behaves, in words and as a part of a script; several of them make one script.
import type { Script } from "../../../protocol/tls/test/hostile-script.ts";

/** One change; its numbers are in its words, so that a case can be understood without running it. */
export type Mutation = {
  readonly words: string;
  readonly flight?: NonNullable<Script["flight"]>;
  readonly records?: (
    items: Parameters<NonNullable<Script["records"]>>[0],
  ) => Parameters<NonNullable<Script["records"]>>[0];
  /** Of the sealed records, and behind them of the pieces in which they arrive. */
  readonly stream?: (pieces: readonly Uint8Array<ArrayBuffer>[]) => readonly Uint8Array<ArrayBuffer>[];
};

/** What surrounds the mutations of a case. */
export type Setting = Pick<Script, "suite" | "transcript" | "changeCipherSpec">;

/** The script of a server that does all of this, in this order. */
export function scriptOf(setting: Setting, mutations: readonly Mutation[]): Script {
  return {
    ...setting,
    flight: (steps) => mutations.reduce((list, { flight }) => flight?.(list) ?? list, steps),
    records: (items) => mutations.reduce((list, { records }) => records?.(list) ?? list, items),
    pieces: (records) =>
      mutations.reduce((list, { stream }) => stream?.(list) ?? list, [
        ...records,
      ] as readonly Uint8Array<ArrayBuffer>[]),
  };
}
