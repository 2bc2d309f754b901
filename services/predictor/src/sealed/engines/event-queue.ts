// Joins who makes events to who reads them, so that a slow reader does not hold up the engine.

export type EventQueue<Event> = {
  readonly push: (event: Event) => void;
  readonly end: () => void;
  /** Ends the queue with an error, which its reader gets after the events that came before. */
  readonly fail: (error: unknown) => void;
  readonly read: () => AsyncGenerator<Event>;
};

/** Wires a queue for one reader; who fills it bounds its length. */
export function createEventQueue<Event>(): EventQueue<Event> {
  const events: Event[] = [];
  let ending: { readonly error?: unknown } | undefined;
  let wake = (): void => {};

  const finish = (how: { readonly error?: unknown }): void => {
    ending ??= how;
    wake();
  };

  async function* read(): AsyncGenerator<Event> {
    for (;;) {
      const event = events.shift();
      if (event !== undefined) yield event;
      else if (ending === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if ("error" in ending) throw ending.error;
      else return;
    }
  }

  return {
    push: (event) => {
      if (ending !== undefined) return;
      events.push(event);
      wake();
    },
    end: () => finish({}),
    fail: (error) => finish({ error }),
    read,
  };
}
