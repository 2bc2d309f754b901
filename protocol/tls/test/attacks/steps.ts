// How an attack changes the honest flight: each function makes the `flight` or `records` of a script.
import { type Bytes, concatBytes } from "@sotto/base";
import {
  contentTypes,
  type Item,
  type Level,
  type Moment,
  type Script,
  type Step,
} from "../hostile-script.ts";

type Flight = NonNullable<Script["flight"]>;
type Records = NonNullable<Script["records"]>;

export const omit =
  (name: string): Flight =>
  (steps) =>
    steps.filter((step) => step.name !== name);

export const repeat =
  (name: string): Flight =>
  (steps) =>
    steps.flatMap((step) => (step.name === name ? [step, step] : [step]));

/** Puts each of two messages where the other is; what goes first is in the clear, as the first message is. */
export const swap =
  (left: string, right: string): Flight =>
  (steps) => {
    const find = (name: string) => steps.find((step) => step.name === name);
    const [one, other] = [find(left), find(right)];
    if (one === undefined || other === undefined) throw new Error("no such message");
    return steps.map((step) => {
      if (step === one) return { ...other, level: one.level };
      return step === other ? { ...one, level: other.level } : step;
    });
  };

/** Sends something else in the place of a message. */
export const replace =
  (name: string, make: (moment: Moment, honest: Bytes) => Bytes): Flight =>
  (steps) =>
    steps.map((step) =>
      step.name === name ? { ...step, make: (moment) => make(moment, step.make(moment)) } : step,
    );

export const before =
  (name: string, ...added: readonly Step[]): Flight =>
  (steps) =>
    steps.flatMap((step) => (step.name === name ? [...added, step] : [step]));

export const after =
  (name: string, ...added: readonly Step[]): Flight =>
  (steps) =>
    steps.flatMap((step) => (step.name === name ? [step, ...added] : [step]));

/** Sends nothing from a message on. */
export const endBefore =
  (name: string): Flight =>
  (steps) =>
    steps.slice(
      0,
      steps.findIndex((step) => step.name === name),
    );

/** A handshake message of any bytes. */
export const saying = (level: Level, content: Uint8Array): Step => ({
  name: "added",
  level,
  make: () => new Uint8Array(content),
});

/** Changes each record that holds the content of one kind, before it is sealed. */
export const reshape =
  (isMeant: (item: Item, index: number) => boolean, change: (item: Item) => readonly Item[]): Records =>
  (items) =>
    items.flatMap((item, index) => (isMeant(item, index) ? change(item) : [item]));

export const isHandshake = ({ type }: Item): boolean => type === contentTypes.handshake;
export const isPlain = ({ level }: Item): boolean => level === "plain";
export const isProtected = (item: Item): boolean => item.level === "handshake" && isHandshake(item);
export const isData = ({ type }: Item): boolean => type === contentTypes.applicationData;

/** Cuts an item into records of `size` bytes. */
export function cut(item: Item, size: number): Item[] {
  const pieces: Item[] = [];
  for (let offset = 0; offset < item.content.length; offset += size)
    pieces.push({ ...item, content: item.content.slice(offset, offset + size) });
  return pieces;
}

/** Puts handshake messages of one level that follow each other into one record. */
export function coalesce(items: readonly Item[]): Item[] {
  const joined: Item[] = [];
  for (const item of items) {
    const last = joined.at(-1);
    if (last !== undefined && isHandshake(last) && isHandshake(item) && last.level === item.level)
      joined[joined.length - 1] = { ...last, content: concatBytes(last.content, item.content) };
    else joined.push(item);
  }
  return joined;
}

/** A copy with one byte changed. */
export function flip(bytes: Uint8Array, index: number, mask = 1): Bytes {
  const changed = new Uint8Array(bytes);
  changed[index] = (changed[index] ?? 0) ^ mask;
  return changed;
}
