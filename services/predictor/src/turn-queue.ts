// Who may use the engine: a few at once, the others in the order of asking.

export type TurnQueue = {
  /** Calls `go` when it is the caller's turn; returns how to give the turn, or the place in the queue, back. */
  readonly enter: (go: () => void) => () => void;
};

/** Wires a queue for `parallel` turns at once. */
export function createTurnQueue(parallel: number): TurnQueue {
  const waiting: (() => void)[] = [];
  const busy = new Set<() => void>();
  const admit = (): void => {
    while (busy.size < parallel) {
      const go = waiting.shift();
      if (go === undefined) return;
      busy.add(go);
      go();
    }
  };
  return {
    enter: (go) => {
      const turn = (): void => go();
      waiting.push(turn);
      admit();
      return () => {
        const index = waiting.indexOf(turn);
        if (index >= 0) waiting.splice(index, 1);
        busy.delete(turn);
        admit();
      };
    },
  };
}
