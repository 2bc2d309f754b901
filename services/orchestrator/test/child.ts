// A sealed process that is played by the test: the parent's end is the real one, over streams in memory.
import { PassThrough } from "node:stream";
import { ByteWriter } from "@sotto/base";
import {
  createProcessPool,
  createSealedPeer,
  messageType,
  type Outcome,
  outcomes,
  serializeWord,
} from "@sotto/sealed";
import { Channel, type ChannelStream } from "@sotto/sealed/child";
import type { SessionProcess } from "../src/session-process.ts";

export type Child = {
  readonly process: SessionProcess;
  readonly channel: Channel;
  readonly client: ChannelStream;
  /** Says that a flight is over: the one of all that came, or an earlier one. */
  readonly endFlight: (received?: number) => void;
  /** Ends in good order. */
  readonly finish: (outcome: Outcome) => void;
  readonly exit: (code?: number) => void;
  /** Takes in nothing more: whoever writes to it next is told so. */
  readonly closeInput: () => void;
  readonly wasKilled: () => boolean;
};

/** Starts one; with `diesSlowly` it takes a while to be gone after it was killed. */
export function createChild({ diesSlowly = false } = {}): Child {
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
    if (!diesSlowly) exit();
  };
  const peer = createSealedPeer({ input, output, kill, ended, onReady: () => {} });
  const channel = new Channel(input, output, () => {});
  const client = channel.open("client");
  client.on("error", () => {});
  const assigned = channel.next(messageType.assign);
  const assign: SessionProcess["assign"] = (handlers) => peer.handle(handlers);
  return {
    process: { ...peer, pid: 1, layers: [], obstacle: "none", isFit: true, assign },
    channel,
    client,
    endFlight: (received = client.received) =>
      channel.send(messageType.flight, new ByteWriter().u32(received).finish()),
    finish: (outcome) => {
      assigned.then(async () => {
        channel.send(messageType.done, serializeWord(outcomes, outcome));
        await channel.flush();
        setImmediate(() => exit(0));
      });
    },
    exit,
    closeInput: () => void input.destroy(new Error("write EPIPE")),
    wasKilled: () => killed,
  };
}

/** Answers each flight with its own bytes, upper case. */
export function echo(child: Child): void {
  child.client.on("data", (bytes) => {
    child.client.write(String(bytes).toUpperCase());
    child.endFlight();
  });
}

/** A pool of children, which `serve` sees as they are taken. */
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
