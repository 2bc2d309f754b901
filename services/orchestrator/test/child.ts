// A sealed process of the orchestrator that is played by the test.
import { ByteWriter } from "@sotto/base";
import { messageType, type ProcessPool } from "@sotto/sealed";
import * as sealed from "../../sealed/test/played-child.ts";
import type { SessionProcess } from "../src/session-process.ts";

export type Child = sealed.Child<SessionProcess> & {
  /** Says that a flight is over: the one of all that came, or an earlier one. */
  readonly endFlight: (received?: number) => void;
};

/** Starts one; with `diesSlowly` it takes a while to be gone after it was killed. */
export function createChild(options?: { readonly diesSlowly: boolean }): Child {
  const child = sealed.createChild(options);
  const { process, channel, client } = child;
  return {
    ...child,
    process: { ...process, assign: (handlers) => process.handle(handlers) },
    endFlight: (received = client.received) =>
      channel.send(messageType.flight, new ByteWriter().u32(received).finish()),
  };
}

/** Answers each flight with its own bytes, upper case. */
export function echo(child: Child): void {
  child.client.on("data", (bytes) => {
    child.client.write(String(bytes).toUpperCase());
    child.endFlight();
  });
}

/** A pool of children, which `serve` sees as they are made. */
export function createChildPool(
  serve: (child: Child) => void,
  maximum?: number,
): ProcessPool<SessionProcess> {
  return sealed.createChildPool(() => {
    const child = createChild();
    serve(child);
    return child;
  }, maximum);
}
