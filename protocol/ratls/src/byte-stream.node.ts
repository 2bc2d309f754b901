// A stream of Node's as sessions take it on every platform.
import type { Duplex } from "node:stream";
import { copyBytes } from "@sotto/base";
import type { ByteStream } from "./channel.ts";

/** The same stream, read by pieces; reading begins with the first that is asked for. */
export function byteStreamOf(stream: Duplex): ByteStream {
  let pieces: AsyncIterator<Buffer> | undefined;
  // Whoever reads or writes hears of it there.
  stream.on("error", () => {});
  return {
    read: async () => {
      pieces ??= stream.iterator({ destroyOnReturn: false });
      const { value, done } = await pieces.next();
      return done === true ? undefined : copyBytes(value);
    },
    write: (bytes) =>
      new Promise((resolve, reject) => {
        stream.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
    end: () => void stream.end(),
    destroy: () => void stream.destroy(),
  };
}
