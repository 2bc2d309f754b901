// A sealed process in this one: the parent's end and the child's are the real ones, over streams in memory.
import { PassThrough } from "node:stream";
import {
  createProcessPool,
  createSealedPeer,
  messageType,
  type Outcome,
  outcomes,
  serializeWord,
} from "@sotto/sealed";
import { Channel } from "@sotto/sealed/child";
import type { SessionProcess } from "../src/session-process.ts";

export type Child = {
  readonly process: SessionProcess;
  readonly channel: Channel;
  readonly assigned: Promise<unknown>;
  /** Ends in good order. */
  readonly finish: (outcome: Outcome) => void;
  readonly exit: (code?: number) => void;
  readonly wasKilled: () => boolean;
};

/** Starts one. */
export function createChild(): Child {
  const [input, output] = [new PassThrough(), new PassThrough()];
  const { promise: ended, resolve } = Promise.withResolvers<number | undefined>();
  let killed = false;
  const exit = (code?: number): void => {
    input.destroy();
    output.destroy();
    resolve(code);
  };
  const kill = (): void => {
    killed = true;
    exit();
  };
  const peer = createSealedPeer({ input, output, kill, ended, onReady: () => {} });
  const channel = new Channel(input, output, () => {});
  channel.open("client").on("error", () => {});
  return {
    process: { ...peer, pid: 1, layers: [], obstacle: "none", isFit: true },
    channel,
    assigned: channel.next(messageType.assign),
    finish: async (outcome) => {
      if (killed) return;
      channel.send(messageType.done, serializeWord(outcomes, outcome));
      await channel.flush();
      setImmediate(() => exit(0));
    },
    exit,
    wasKilled: () => killed,
  };
}

/** A pool of children, which `serve` sees as they are made. */
export function createChildPool(serve: (child: Child) => void, maximum = 64) {
  return createProcessPool<SessionProcess>({
    start: async () => {
      const child = createChild();
      serve(child);
      return child.process;
    },
    clock: Date.now,
    minimumReady: 1,
    maximum,
    maxAgeMs: 60_000,
    maxWaitMs: 60_000,
    onStartFailure: () => {},
  });
}
