// A sealed process that is played by the test: both ends of its channel are the real ones, over streams in memory.
import { PassThrough } from "node:stream";
import {
  createProcessPool,
  createSealedPeer,
  messageType,
  type Outcome,
  outcomes,
  type Pooled,
  type ProcessPool,
  type SealedProcess,
  serializeWord,
} from "@sotto/sealed";
import { Channel, type ChannelStream } from "@sotto/sealed/child";

export type Child<Process = Pooled & SealedProcess> = {
  readonly process: Process;
  readonly channel: Channel;
  readonly client: ChannelStream;
  readonly assigned: Promise<unknown>;
  /** Ends in good order, once it has been assigned. */
  readonly finish: (outcome: Outcome) => Promise<void>;
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
  const peer = createSealedPeer({ input, output, kill, ended, onLocked: () => {}, onReady: () => {} });
  const channel = new Channel(input, output, () => {});
  const client = channel.open("client");
  client.on("error", () => {});
  const assigned = channel.next(messageType.assign);
  return {
    process: { ...peer, pid: 1, layers: [], obstacle: "none", isFit: true },
    channel,
    client,
    assigned,
    finish: async (outcome) => {
      await assigned;
      if (killed) return;
      channel.send(messageType.done, serializeWord(outcomes, outcome));
      await channel.flush();
      setImmediate(() => exit(0));
    },
    exit,
    closeInput: () => void input.destroy(new Error("write EPIPE")),
    wasKilled: () => killed,
  };
}

/** A pool of children that are made by `create`. */
export function createChildPool<Process extends Pooled>(
  create: () => Pick<Child<Process>, "process">,
  maximum = 64,
): ProcessPool<Process> {
  return createProcessPool<Process>({
    start: async () => create().process,
    clock: Date.now,
    minimumReady: 1,
    maximum,
    maxAgeMs: 60_000,
    maxWaitMs: 60_000,
    onStartFailure: () => {},
  });
}
