// Changes to records before they are sealed, to sealed ones, and to the stream that they make.
import { concatBytes } from "@sotto/base";
import { coalesce, cut, flip } from "../../../protocol/tls/test/attacks/steps.ts";
import { contentTypes, type Item, type Level } from "../../../protocol/tls/test/hostile-script.ts";
import type { Dice } from "./dice.ts";
import type { Mutation } from "./mutation.ts";

const contents = Object.values(contentTypes);
const maxItems = 12;

/**
 * Changes one item, counted from the end. There the stream is the same for all clients: only a ServerHello differs, by the
 * session id that is the client's.
 */
function one(index: number, change: (item: Item) => readonly Item[]): NonNullable<Mutation["records"]> {
  return (items) => items.flatMap((item, at) => (at === items.length - 1 - index ? change(item) : [item]));
}

/** Cuts an item into records of `size` bytes, and the odd one first. */
function split(item: Item, size: number): readonly Item[] {
  // Of a ServerHello the end alone, so that it makes as many records for every client.
  const length = Math.min(item.content.length, item.level === "plain" ? 80 : item.content.length);
  const first = item.content.length - Math.floor(length / size) * size;
  if (item.content.length === 0) return [item];
  const head = first > 0 ? [{ ...item, content: item.content.slice(0, first) }] : [];
  return [...head, ...cut({ ...item, content: item.content.slice(first) }, size)];
}

function divided(dice: Dice): Mutation {
  const size = dice.pick([1, 2, 3, 4, 5, 16, 37, 100]);
  const index = dice.below(maxItems);
  const isAll = dice.chance(40);
  return {
    words: isAll ? `all records in ${size} bytes` : `record ${index} in ${size} bytes`,
    records: isAll
      ? (items) => items.flatMap((item) => split(item, size))
      : one(index, (item) => split(item, size)),
  };
}

function joined(dice: Dice): Mutation {
  const size = dice.pick([0, 50, 200]);
  return {
    words: `messages joined${size > 0 ? `, in ${size} bytes` : ""}`,
    records: (items) => {
      const whole = coalesce(items);
      return size > 0 ? whole.flatMap((item) => split(item, size)) : whole;
    },
  };
}

function shaped(dice: Dice): Mutation {
  const index = dice.below(maxItems);
  const shape = dice.pick<NonNullable<Item["shape"]>>([
    { padding: 1 },
    { padding: 300 },
    { padding: 0x4000 },
    { padding: dice.below(0x4200) },
    { outerType: dice.pick([0, 20, 21, 22, 23, 24, 255]) },
    { version: dice.pick([0x0300, 0x0301, 0x0302, 0x0304, 0x0003, 0x0203, 0xffff]) },
    { statedLength: dice.pick([0, 1, 16, 17, 0x4000, 0x4001, 0x4100, 0x4101, 0xffff]) },
    { untyped: true },
    { untyped: true, padding: 20 },
  ]);
  return {
    words: `record ${index}: ${JSON.stringify(shape)}`,
    records: one(index, (item) => [{ ...item, shape: { ...item.shape, ...shape } }]),
  };
}

function retyped(dice: Dice): Mutation {
  const index = dice.below(maxItems);
  const type = dice.pick([...contents, 0, 24, 255]);
  return { words: `record ${index}: of type ${type}`, records: one(index, (item) => [{ ...item, type }]) };
}

function relevelled(dice: Dice): Mutation {
  const index = dice.below(maxItems);
  const level = dice.pick<Level>(["plain", "handshake", "application"]);
  return { words: `record ${index}: ${level}`, records: one(index, (item) => [{ ...item, level }]) };
}

function added(dice: Dice): Mutation {
  const index = dice.below(maxItems + 1);
  const type = dice.pick(contents);
  const content = Uint8Array.fromHex(
    dice.pick(["", "01", "0100", "0128", "015a", "0228", "0250", "02", "18000001", "1800000100", "04"]),
  );
  const level = dice.pick<Level>(["plain", "handshake", "handshake", "application", "application"]);
  const count = dice.chance(80) ? 1 : dice.pick([2, 5, 20, 40]);
  return {
    words: `at ${index} ${count} of type ${type}, ${level}: ${content.toHex()}`,
    records: (items) =>
      items.toSpliced(
        Math.max(items.length - index, 0),
        0,
        ...Array.from({ length: count }, (): Item => ({ level, type, content })),
      ),
  };
}

function rearranged(dice: Dice): Mutation {
  const index = dice.below(maxItems);
  const kind = dice.pick(["dropped", "twice", "before the next", "empty", "an empty one before it"] as const);
  if (kind === "before the next")
    return {
      words: `record ${index}: after the next`,
      records: (items) => {
        const at = items.length - 1 - index;
        const [item, next] = at < 0 ? [] : items.slice(at, at + 2);
        return item === undefined || next === undefined ? items : items.toSpliced(at, 2, next, item);
      },
    };
  const empty = (item: Item): Item => ({ ...item, content: new Uint8Array() });
  const change = {
    dropped: () => [],
    twice: (item: Item) => [item, item],
    empty: (item: Item) => [empty(item)],
    "an empty one before it": (item: Item) => [empty(item), item],
  }[kind];
  return { words: `record ${index}: ${kind}`, records: one(index, change) };
}

function bent(dice: Dice): Mutation {
  const index = dice.below(maxItems);
  // A place in the head, or one counted from the end.
  const place = dice.chance(40) ? dice.below(5) : -1 - dice.below(80);
  const mask = 1 << dice.below(8);
  const bend = (record: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> =>
    flip(record, place >= 0 ? place : record.length - 1 - ((-1 - place) % record.length), mask);
  return {
    words: `sealed record ${index}: flips ${mask} at ${place}`,
    records: one(index, (item) => [{ ...item, bend }]),
  };
}

function sealedMoved(dice: Dice): Mutation {
  const index = dice.below(maxItems);
  const kind = dice.pick(["dropped", "twice", "after the next", "cut"] as const);
  const size = dice.below(60);
  return {
    words: `sealed record ${index}: ${kind}${kind === "cut" ? ` to ${size}` : ""}`,
    stream: (pieces) => {
      const at = pieces.length - 1 - index;
      const [piece, next] = at < 0 ? [] : pieces.slice(at, at + 2);
      if (piece === undefined) return pieces;
      if (kind === "dropped") return pieces.toSpliced(at, 1);
      if (kind === "twice") return pieces.toSpliced(at, 0, piece);
      if (kind === "cut") return pieces.toSpliced(at, 1, piece.slice(0, size));
      return next === undefined ? pieces : pieces.toSpliced(at, 2, next, piece);
    },
  };
}

function streamed(dice: Dice): Mutation {
  const size = dice.pick([1, 2, 3, 7, 50, 333, 100_000]);
  // Counted from the end, where the stream is the same for every client.
  const missing = dice.chance(30) ? dice.below(500) : 0;
  const junk = dice.chance(20) ? dice.bytes(1 + dice.below(40)) : new Uint8Array();
  return {
    words: `stream in ${size} bytes, ${missing} of them missing, then ${junk.toHex() || "nothing"}`,
    stream: (pieces) => {
      const whole = concatBytes(...pieces);
      const stream = concatBytes(whole.slice(0, Math.max(whole.length - missing, 0)), junk);
      // As above: as many pieces for every client.
      const first = stream.length - Math.floor(Math.min(stream.length, 400) / size) * size;
      const parts = first > 0 ? [stream.slice(0, first)] : [];
      for (let offset = first; offset < stream.length; offset += size)
        parts.push(stream.slice(offset, offset + size));
      return parts;
    },
  };
}

export const recordMutations: readonly ((dice: Dice) => Mutation)[] = [
  divided,
  joined,
  shaped,
  shaped,
  retyped,
  relevelled,
  added,
  added,
  rearranged,
  bent,
  sealedMoved,
  streamed,
];
