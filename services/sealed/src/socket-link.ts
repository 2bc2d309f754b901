// Joins a connection to one stream of a sealed process: bytes that are ciphertext for everybody here, both ways.
import type { Socket } from "node:net";
import { copyBytes } from "@sotto/base";
import { MessageError, type StreamName } from "./message.ts";
import type { SealedControls, SealedHandlers } from "./sealed-peer.ts";

/** What the process sends goes through the handlers returned; who is behind makes the other wait. */
export function linkSocket(
  controls: SealedControls,
  name: StreamName,
  socket: Socket,
): Pick<SealedHandlers, "bytes" | "end"> {
  let ended = false;
  const end = (): void => {
    if (!ended) controls.end(name);
    ended = true;
  };
  const resume = (): void => controls.resume(name);
  socket.on("data", (bytes: Buffer) => {
    if (!controls.write(name, copyBytes(bytes))) socket.pause();
  });
  socket.on("end", end);
  socket.on("drain", resume);
  // A connection that has gone takes nothing more, and nobody waits for it.
  socket.on("close", () => {
    end();
    resume();
  });
  // A connection that fails is one that has ended: the session inside says the rest.
  socket.on("error", () => socket.destroy());
  controls.onDrain(() => socket.resume());
  const check = (given: StreamName): void => {
    if (given !== name) throw new MessageError("out-of-order", "message: of a stream that leads nowhere");
  };
  return {
    bytes: (given, bytes) => {
      check(given);
      return socket.destroyed || socket.write(bytes);
    },
    end: (given) => {
      check(given);
      socket.end();
    },
  };
}
