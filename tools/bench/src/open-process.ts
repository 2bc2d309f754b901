// The work of a sealed process done in the process that would start it: nothing is sealed. Only to measure what the
// sealing costs.
import { PassThrough } from "node:stream";
import { createSealedPeer, type SealedOptions, type SealedProcess } from "@sotto/sealed";
import { Channel, type SealedWork, serveOnce } from "@sotto/sealed/child";

/** Starts the work beside its caller, with the interface of a sealed process. */
export function startOpen<Prepared>(
  work: SealedWork<Prepared>,
): (options: Pick<SealedOptions, "onStart">) => Promise<SealedProcess> {
  return ({ onStart }) =>
    new Promise((resolve, reject) => {
      const input = new PassThrough();
      const output = new PassThrough();
      let end = (): void => {};
      const ended = new Promise<number | undefined>((gone) => {
        end = () => gone(0);
      });
      const kill = (): void => {
        end();
        input.destroy();
        output.destroy();
      };
      const peer = createSealedPeer({
        input,
        output,
        kill,
        ended,
        onLocked: () => {},
        onReady: (obstacle) => resolve({ ...peer, pid: process.pid, layers: [], obstacle }),
      });
      peer.handle(onStart?.({ ...peer, layers: Promise.resolve([]) }) ?? {});
      const channel = new Channel(input, output, end);
      work
        .load()
        .then((prepared) => serveOnce(work, prepared, channel, []))
        .then(kill, (error: unknown) => {
          kill();
          reject(error);
        });
    });
}
