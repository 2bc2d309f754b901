// Changes to handshake messages: their bytes, their lengths, their order, strangers among them.
import { type Bytes, concatBytes, equalBytes } from "@sotto/base";
import { strangers } from "../../../protocol/tls/test/attacks/order.ts";
import {
  before,
  flip,
  omit,
  repeat,
  replace,
  saying,
  swap,
} from "../../../protocol/tls/test/attacks/steps.ts";
import { handshake, message, newSessionTicket } from "../../../protocol/tls/test/hostile-messages.ts";
import {
  applicationData,
  honestNames,
  type Level,
  type Step,
} from "../../../protocol/tls/test/hostile-script.ts";
import type { Dice } from "./dice.ts";
import type { Mutation } from "./mutation.ts";

// A ServerHello up to its session id, which is the client's own and so not of one length for all clients.
const beforeSessionId = 4 + 2 + 32 + 1;
const telling = [0, 1, 2, 3, 4, 0x7f, 0x80, 0xfe, 0xff];

/** The same place in a message, whatever the length of the session id in it. */
function placeIn(name: string, message: Uint8Array, place: number): number {
  const skipped =
    name === "serverHello" && place >= beforeSessionId ? (message[beforeSessionId - 1] ?? 0) : 0;
  return place + skipped;
}

/** Length of a message without its session id, roughly; places beyond an end change nothing. */
const lengths: Readonly<Record<(typeof honestNames)[number], number>> = {
  serverHello: 90,
  encryptedExtensions: 20,
  certificate: 292,
  certificateVerify: 79,
  finished: 36,
};

/** Puts the length into the head that the body has. */
function measured(message: Bytes): Bytes {
  const length = Math.max(message.length - 4, 0);
  return concatBytes(message.slice(0, 1), Uint8Array.of(length >> 16, length >> 8, length), message.slice(4));
}

// What is random may be what is to be written already, for one client and not for the other.
function other(present: number | undefined, wanted: number): number {
  return present === wanted ? wanted ^ 0x80 : wanted;
}

function aimed(dice: Dice): { readonly name: (typeof honestNames)[number]; readonly place: number } {
  const name = dice.pick(honestNames);
  // Heads and lengths stand at the front; half of the throws go there.
  const place = dice.chance(50) ? dice.below(Math.min(lengths[name], 60)) : dice.below(lengths[name]);
  return { name, place };
}

function changed(dice: Dice): Mutation {
  const { name, place } = aimed(dice);
  const count = dice.chance(70) ? 1 : 1 + dice.below(4);
  const bytes = Uint8Array.from({ length: count }, () =>
    dice.chance(50) ? dice.pick(telling) : dice.below(256),
  );
  const isFlip = dice.chance(60);
  const masks = bytes.map((byte) => (isFlip ? 1 << (byte & 7) : byte));
  return {
    words: `${name}: ${isFlip ? "flips" : "writes"} ${masks.toHex()} at ${place}`,
    flight: replace(name, (_moment, honest) => {
      const message = honest.slice();
      for (const [index, mask] of masks.entries()) {
        const at = placeIn(name, message, place + index);
        if (at < message.length) message[at] = isFlip ? (message[at] ?? 0) ^ mask : other(message[at], mask);
      }
      return message;
    }),
  };
}

function resized(dice: Dice): Mutation {
  const { name, place } = aimed(dice);
  const removed = dice.chance(50) ? 1 + dice.below(dice.chance(80) ? 4 : 60) : 0;
  const added =
    removed === 0 || dice.chance(30)
      ? dice.bytes(1 + dice.below(dice.chance(80) ? 4 : 400))
      : new Uint8Array();
  const isMeasured = dice.chance(75);
  return {
    words: `${name}: at ${place} ${removed} bytes for ${added.toHex()}${isMeasured ? "" : ", length as it was"}`,
    flight: replace(name, (_moment, honest) => {
      const at = placeIn(name, honest, place);
      const inserted = equalBytes(added, honest.slice(at, at + removed)) ? flip(added, 0) : added;
      const message = concatBytes(honest.slice(0, at), inserted, honest.slice(at + removed));
      return isMeasured ? measured(message) : message;
    }),
  };
}

function ended(dice: Dice): Mutation {
  const { name, place } = aimed(dice);
  const isMeasured = dice.chance(75);
  return {
    words: `${name}: ends at ${place}${isMeasured ? "" : ", length as it was"}`,
    flight: replace(name, (_moment, honest) => {
      const message = honest.slice(0, Math.max(placeIn(name, honest, place), 4));
      return isMeasured ? measured(message) : message;
    }),
  };
}

function moved(dice: Dice): Mutation {
  const name = dice.pick(honestNames);
  const other = dice.pick(honestNames.filter((candidate) => candidate !== name));
  const kind = dice.pick(["left out", "repeated", "exchanged", "moved"] as const);
  if (kind === "left out") return { words: `${name}: ${kind}`, flight: omit(name) };
  if (kind === "repeated") return { words: `${name}: ${kind}`, flight: repeat(name) };
  if (kind === "exchanged")
    return { words: `${name} and ${other}: ${kind}`, flight: exchangeIfThere(name, other) };
  return {
    words: `${name}: moved before ${other}`,
    flight: (steps) => {
      const step = steps.find((candidate) => candidate.name === name);
      const rest = steps.filter((candidate) => candidate !== step);
      const at = rest.findIndex((candidate) => candidate.name === other);
      return step === undefined || at < 0 ? steps : rest.toSpliced(at, 0, step);
    },
  };
}

// An earlier mutation may have left one of them out.
function exchangeIfThere(name: string, other: string): NonNullable<Mutation["flight"]> {
  return (steps) =>
    [name, other].every((wanted) => steps.some((step) => step.name === wanted))
      ? swap(name, other)(steps)
      : steps;
}

function strange(dice: Dice): Mutation {
  const [stranger, bytes] = dice.pick(strangers);
  const place = dice.below(9);
  const level: Level = dice.chance(80)
    ? place === 0
      ? "plain"
      : place < 6
        ? "handshake"
        : "application"
    : dice.pick(["plain", "handshake", "application"]);
  const isChanged = dice.chance(30);
  const content = isChanged ? measured(concatBytes(bytes.slice(0, 4), dice.bytes(dice.below(40)))) : bytes;
  const updatesKey = stranger === "key update" && dice.chance(70);
  return {
    words: `${stranger}${isChanged ? ` ${content.toHex()}` : ""} at ${place}, ${level}${updatesKey ? ", with the next key" : ""}`,
    flight: (steps) => steps.toSpliced(place, 0, { ...saying(level, content), updatesKey }),
  };
}

/** A few things said after the handshake, most of them allowed. */
function later(dice: Dice): Mutation {
  const words: string[] = [];
  const said = Array.from({ length: 1 + dice.below(5) }, (): Step => {
    const kind = dice.pick(["update", "update", "update", "data", "data", "ticket", "odd update"] as const);
    const size = dice.pick([0, 1, 1, 100]);
    const body = kind === "update" ? Uint8Array.of(dice.below(2)) : dice.bytes(dice.below(3));
    const updatesKey = dice.chance(90);
    words.push(
      kind === "data" ? `${kind} ${size}` : `${kind} ${body.toHex()}${updatesKey ? "" : " without a key"}`,
    );
    if (kind === "data") return applicationData("x".repeat(size));
    if (kind === "ticket") return saying("application", newSessionTicket());
    return { ...saying("application", message(handshake.keyUpdate, body)), updatesKey };
  });
  return { words: `before the data: ${words.join(", ")}`, flight: before("data", ...said) };
}

export const messageMutations: readonly ((dice: Dice) => Mutation)[] = [
  changed,
  changed,
  changed,
  resized,
  resized,
  ended,
  moved,
  strange,
  later,
];
