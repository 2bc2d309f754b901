// The parent's end of a sealed process's streams: what may be said to it, and who hears what it says.
import type { Readable, Writable } from "node:stream";
import { parseSandboxLayers, type SandboxLayer } from "@sotto/attestation";
import type { Bytes } from "@sotto/base";
import {
  endType,
  type Message,
  MessageError,
  MessageParser,
  type MessageType,
  messageType,
  type Obstacle,
  type Outcome,
  obstacles,
  outcomes,
  parseWord,
  type StreamName,
  serializeMessage,
  serializePieces,
  streamOf,
  streamTypes,
} from "./message.ts";

/** What is done with what a sealed process says; nothing is called after its end. */
export type SealedHandlers = {
  /** Ciphertext of one of its sessions; false asks it to wait until `resume`. */
  readonly bytes: (name: StreamName, bytes: Bytes) => boolean;
  readonly end: (name: StreamName) => void;
  /** It has taken in `received` pieces of the client's stream, and has nothing to say to them any more. */
  readonly flight: (received: number) => void;
  /** It asks for evidence, or for its turn; the answer is the caller's to send. */
  readonly asked: (type: "attest" | "turn", content: Bytes) => void;
  readonly done: (outcome: Outcome) => void;
};

/** What can be done with a process from its start on. */
export type SealedControls = {
  /** False when the process is behind; `onDrain` tells when it has caught up. */
  readonly write: (name: StreamName, bytes: Bytes) => boolean;
  readonly end: (name: StreamName) => void;
  readonly onDrain: (drained: () => void) => void;
  /** Lets the process go on after `bytes` had it wait for this stream; it may still have to wait for another. */
  readonly resume: (name?: StreamName) => void;
  readonly send: (type: MessageType, content?: Bytes) => void;
  /** Ends it; what it has said and nobody has heard yet is not heard any more. */
  readonly kill: () => void;
};

/** A process that can be spoken to. */
export type SealedPeer = SealedControls & {
  /** Whether it can still be spoken to: it has neither gone nor been killed. */
  readonly isAlive: () => boolean;
  /** Resolves when the process is gone and has been heard to its end, with its exit code, or undefined when a signal ended it. */
  readonly ended: Promise<number | undefined>;
  /** From now on these hear what it says. */
  readonly handle: (handlers: Partial<SealedHandlers>) => void;
};

export type PeerOptions = {
  readonly input: Writable;
  readonly output: Readable;
  readonly kill: () => void;
  readonly ended: Promise<number | undefined>;
  /** It has locked itself down, and says which layers it finds that can be seen from inside only. */
  readonly onLocked: (layers: readonly SandboxLayer[]) => void;
  readonly onReady: (obstacle: Obstacle) => void;
};

const graceMs = 250;
// What a process has not taken in is held here: that of several of the largest requests, and then it is not kept.
const maxUntakenBytes = 8 * 1024 * 1024;
const accepted = [
  ...streamTypes,
  messageType.locked,
  messageType.ready,
  messageType.flight,
  messageType.attest,
  messageType.turn,
  messageType.done,
] as const;

/** Wires a peer over the streams of a process. */
export function createSealedPeer({
  input,
  output,
  ended,
  onLocked,
  onReady,
  ...options
}: PeerOptions): SealedPeer {
  let handlers: Partial<SealedHandlers> = {};
  let alive = true;
  let locked = false;
  let ready = false;
  let done = false;
  const waiting = new Set<StreamName>();
  const parser = new MessageParser(accepted);
  const kill = (): void => {
    alive = false;
    output.destroy();
    options.kill();
  };
  ended.finally(() => {
    alive = false;
    handlers = {};
  });
  // It ends by itself now; when it does not, it is ended.
  const killSoon = (): void => void setTimeout(kill, graceMs).unref();
  // A process that has ended takes in nothing more; what it said before that is still to be heard.
  input.on("error", killSoon);
  output.on("error", kill).on("end", killSoon);

  const dispatch = ({ type, content }: Message): void => {
    const carried = streamOf(type);
    if (carried?.isEnd === true) heard(handlers.end)(carried.name);
    else if (carried !== undefined) {
      if (heard(handlers.bytes)(carried.name, content)) return;
      waiting.add(carried.name);
      output.pause();
    } else if (type === messageType.locked) {
      locked = once(locked);
      onLocked(parseSandboxLayers(content));
    } else if (type === messageType.ready) {
      ready = once(ready || !locked);
      onReady(parseWord(obstacles, content[0]));
    } else if (type === messageType.flight) heard(handlers.flight)(new DataView(content.buffer).getUint32(0));
    else if (type === messageType.attest) heard(handlers.asked)("attest", content);
    else if (type === messageType.turn) heard(handlers.asked)("turn", content);
    else {
      done = once(done);
      killSoon();
      handlers.done?.(parseWord(outcomes, content[0]));
    }
  };

  output.on("data", (bytes: Uint8Array) => {
    try {
      for (const message of parser.push(bytes)) {
        if (output.destroyed) return;
        dispatch(message);
      }
    } catch {
      kill(); // a process that does not keep to its few words has been taken over, or is broken
    }
  });

  const say = (message: Bytes): boolean => {
    if (!alive) return true;
    if (input.writableLength > maxUntakenBytes) kill();
    return input.write(message);
  };

  return {
    isAlive: () => alive,
    ended,
    handle: (given) => {
      if (alive) handlers = given;
    },
    send: (type, content) => void say(serializeMessage(type, content)),
    write: (name, bytes) => {
      let free = true;
      for (const message of serializePieces(name, bytes)) free = say(message);
      return free;
    },
    end: (name) => void say(serializeMessage(endType[name])),
    onDrain: (drained) => void input.on("drain", drained),
    resume: (name = "client") => {
      if (waiting.delete(name) && waiting.size === 0) output.resume();
    },
    kill,
  };
}

function heard<Handler>(handler: Handler | undefined): Handler {
  if (handler === undefined) throw new MessageError("out-of-order", "message: said to nobody");
  return handler;
}

function once(happened: boolean): true {
  if (happened) throw new MessageError("out-of-order", "message: said before, or before its turn");
  return true;
}
