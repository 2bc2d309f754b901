// An engine that waits for its turn: the machine makes a few answers at once, and the process that started this one
// keeps the order.
import { type Channel, messageType } from "@sotto/sealed/child";
import type { Engine } from "./engines/engine.ts";

/** Wires the engine; the turn ends with the process. */
export function takeTurns(engine: Engine, channel: Channel): Engine {
  return {
    model: engine.model,
    close: () => engine.close(),
    async *generate(request, signal) {
      const turn = channel.next(messageType.go);
      channel.send(messageType.turn);
      await turn;
      signal.throwIfAborted();
      yield* engine.generate(request, signal);
    },
  };
}
