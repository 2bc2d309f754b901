// Joins a connection to one stream of a sealed process: bytes that are ciphertext for everybody here, both ways.
import type { Socket } from "node:net";
import { copyBytes } from "@sotto/base";
import type { StreamName } from "./message.ts";
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
  socket.on("data", (bytes: Buffer) => {
    if (!controls.write(name, copyBytes(bytes))) socket.pause();
  });
  socket.on("end", end);
  socket.on("close", end);
  socket.on("drain", controls.resume);
  // A connection that fails is one that has ended: the session inside says the rest.
  socket.on("error", () => socket.destroy());
  controls.onDrain(() => socket.resume());
  return { bytes: (_name, bytes) => socket.write(bytes), end: () => void socket.end() };
}
