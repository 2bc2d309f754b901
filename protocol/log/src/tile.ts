// Tiles and entry bundles: their paths and their bytes (C2SP tlog-tiles).
import { ByteReader, type Bytes, ByteWriter } from "@sotto/base";
import { LogError, strictly } from "./log-error.ts";

export const tileWidth = 256;
const maxEntryBytes = 65_535;

/** A tile of hashes at a level, or a bundle of entries; `width` below 256 is a partial one. */
export type TileName = { readonly level: number | "entries"; readonly index: number; readonly width: number };

/** `tile/<L>/<N>[.p/<W>]`, N in groups of three digits, all but the last with an x. */
export function tilePath(name: TileName): string {
  const digits = String(name.index).padStart(Math.ceil(String(name.index).length / 3) * 3, "0");
  const groups = digits.match(/\d{3}/g) ?? [];
  const number = groups
    .map((group, position) => (position < groups.length - 1 ? `x${group}` : group))
    .join("/");
  const partial = name.width === tileWidth ? "" : `.p/${name.width}`;
  return `tile/${name.level}/${number}${partial}`;
}

/** Reads a path of a tile; throws `LogError` unless it is in its only form. */
export function parseTilePath(path: string): TileName {
  const match = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/){0,4}\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path);
  const [, level = "", groups = "", width] = match ?? [];
  const name: TileName = {
    level: level === "entries" ? level : Number(level),
    index: Number(groups.replace(/[x/]/g, "")),
    width: width === undefined ? tileWidth : Number(width),
  };
  const isLevel = name.level === "entries" || name.level < 64;
  if (match === null || tilePath(name) !== path || name.width < 1 || name.width > tileWidth || !isLevel) {
    throw new LogError("malformed", "tile path: not in its only form");
  }
  return name;
}

/** Tells whether a tree of `size` leaves has all of a tile. */
export function isTileOf(name: TileName, size: number): boolean {
  const count = name.level === "entries" ? size : Math.floor(size / tileWidth ** name.level);
  return name.index * tileWidth + name.width <= count;
}

/** Tiles that are new or wider in a tree of `newSize` leaves than in one of `oldSize`. */
export function changedTiles(oldSize: number, newSize: number): TileName[] {
  const names: TileName[] = [];
  const collect = (level: number | "entries", oldCount: number, newCount: number): void => {
    for (let index = Math.floor(oldCount / tileWidth); index * tileWidth < newCount; index += 1) {
      const width = Math.min(tileWidth, newCount - index * tileWidth);
      if (index * tileWidth + width > oldCount) names.push({ level, index, width });
    }
  };
  collect("entries", oldSize, newSize);
  let oldCount = oldSize;
  let newCount = newSize;
  for (let level = 0; newCount > 0; level += 1) {
    collect(level, oldCount, newCount);
    oldCount = Math.floor(oldCount / tileWidth);
    newCount = Math.floor(newCount / tileWidth);
  }
  return names;
}

/** Writes entries, each with a length of 16 bits before it. */
export function serializeEntryBundle(entries: readonly Uint8Array[]): Bytes {
  const writer = new ByteWriter();
  for (const entry of entries) {
    if (entry.length > maxEntryBytes) throw new LogError("too-large", "entry bundle: entry over its limit");
    writer.vector(2, entry);
  }
  return writer.finish();
}

/** Reads a bundle of 1 to 256 entries; throws `LogError`. */
export function parseEntryBundle(bytes: Uint8Array): Bytes[] {
  return strictly("entry bundle", () => {
    const reader = new ByteReader(bytes);
    const entries: Bytes[] = [];
    while (reader.remaining > 0) {
      if (entries.length === tileWidth) throw new LogError("too-large", "entry bundle: too many entries");
      entries.push(reader.vector(2, maxEntryBytes));
    }
    if (entries.length === 0) throw new LogError("malformed", "entry bundle: empty");
    return entries;
  });
}

/** Reads the hashes of a tile; throws `LogError`. */
export function parseTile(bytes: Uint8Array): Bytes[] {
  if (bytes.length === 0 || bytes.length % 32 !== 0 || bytes.length > tileWidth * 32) {
    throw new LogError("malformed", "tile: not a number of hashes");
  }
  const reader = new ByteReader(bytes);
  return Array.from({ length: bytes.length / 32 }, () => reader.bytes(32));
}
