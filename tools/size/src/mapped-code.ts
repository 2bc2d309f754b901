// Which part of a minified file came from which source, by its source map (ECMA-426).

/** A piece of code and the index of its source; undefined for what the bundler put in. */
export type MappedCode = { readonly code: string; readonly source: number | undefined };

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Cuts a file into pieces, every character in exactly one of them. */
export function splitBySource(code: string, mappings: string): MappedCode[] {
  const pieces: MappedCode[] = [];
  const mapped = mappings.split(";");
  let last = 0; // sources are told by their distance from the one before
  for (const [row, line] of code.split(/(?<=\n)/).entries()) {
    let column = 0;
    let source: number | undefined;
    let start = 0;
    for (const segment of (mapped[row] ?? "").split(",")) {
      if (segment === "") continue;
      const [columns = 0, sources] = decodeVlq(segment);
      column += columns;
      if (column > start) pieces.push({ code: line.slice(start, column), source });
      start = column;
      if (sources !== undefined) last += sources;
      source = sources === undefined ? undefined : last;
    }
    if (start < line.length) pieces.push({ code: line.slice(start), source });
  }
  return pieces;
}

/** Numbers in groups of five bits, the lowest first, a sign in the lowest bit of each. */
function decodeVlq(segment: string): number[] {
  const numbers: number[] = [];
  let value = 0;
  let shift = 0;
  for (const character of segment) {
    const digit = digits.indexOf(character);
    if (digit < 0) throw new Error("source map: not base64");
    value |= (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value & 1 ? -(value >> 1) : value >> 1);
    value = 0;
    shift = 0;
  }
  return numbers;
}
