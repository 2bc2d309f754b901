// Holds back text that might be the beginning of a stop sequence, and ends the answer at a whole one.

export type StopFilter = {
  readonly push: (text: string) => { readonly output: string; readonly stopped: boolean };
  /** What was held back when the answer ended otherwise. */
  readonly finish: () => string;
};

/** Wires a filter for up to a few stop sequences. */
export function createStopFilter(stops: readonly string[]): StopFilter {
  let held = "";
  let stopped = false;
  return {
    push: (text) => {
      if (stopped) return { output: "", stopped };
      held += text;
      const positions = stops.map((stop) => held.indexOf(stop)).filter((position) => position >= 0);
      if (positions.length > 0) {
        stopped = true;
        const output = held.slice(0, Math.min(...positions));
        held = "";
        return { output, stopped };
      }
      const keep = Math.max(0, ...stops.map((stop) => overlap(held, stop)));
      const output = held.slice(0, held.length - keep);
      held = held.slice(held.length - keep);
      return { output, stopped };
    },
    finish: () => (stopped ? "" : held),
  };
}

/** Length of the longest end of `text` that begins `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length -= 1) {
    if (stop.startsWith(text.slice(-length))) return length;
  }
  return 0;
}
