// Canaries, and every form in which one could lie in memory, in a file or on a link.
import type { Random } from "@sotto/base";

/** One form of a canary: what it is called, and its bytes. */
export type Form = { readonly encoding: string; readonly bytes: Buffer };

const consonants = "bdfgklmnprstvz";
const vowels = "aeiou";
const syllablesOfHalf = 7;

/** A word that nobody has said before, of two halves of 14 letters. */
export function makeCanary(random: Random): string {
  let word = "";
  for (let syllable = 0; syllable < 2 * syllablesOfHalf; syllable += 1) {
    const [first = 0, second = 0] = random(2);
    word += `${consonants[first % consonants.length]}${vowels[second % vowels.length]}`;
  }
  return word;
}

/** All forms of a canary, in lower and in upper case; each is one of half a canary, so that a torn one is found too. */
export function formsOf(canary: string): Form[] {
  const middle = canary.length / 2;
  const halves = [canary.slice(0, middle), canary.slice(middle)];
  const forms = halves.flatMap((half) => [half.toLowerCase(), half.toUpperCase()]).flatMap(encode);
  const distinct = new Map(forms.map((form) => [form.bytes.toString("latin1"), form]));
  return [...distinct.values()];
}

function encode(text: string): Form[] {
  const bytes = Buffer.from(text, "utf8");
  const case_ = text === text.toUpperCase() ? "upper case " : "";
  const form = (encoding: string, content: Buffer | string): Form => ({
    encoding: `${case_}${encoding}`,
    bytes: typeof content === "string" ? Buffer.from(content, "latin1") : content,
  });
  const hex = bytes.toString("hex");
  const escaped = (prefix: string, digits: string): string => digits.replace(/../g, (pair) => prefix + pair);
  const wide = Buffer.from(text, "utf16le");
  const reversed = Buffer.from(bytes).reverse();
  return [
    form("utf-8", bytes),
    form("utf-16le", wide),
    form("utf-16be", Buffer.from(wide).swap16()),
    form("reversed utf-8", reversed),
    form("reversed utf-16le", Buffer.from(reversed.toString("latin1"), "utf16le")),
    form("hex", hex),
    form("hex", hex.toUpperCase()),
    form("json-escaped", escaped("\\u00", hex)),
    form("json-escaped", escaped("\\u00", hex.toUpperCase())),
    form("percent-encoded", escaped("%", hex)),
    form("percent-encoded", escaped("%", hex.toUpperCase())),
    ...[0, 1, 2].map((shift) => form("base64", inBase64(bytes, shift))),
  ];
}

// What is written depends on where in a group of three the text begins; digits that also hold bits of its neighbours
// are left out. Letters never make a digit in which base64url differs.
function inBase64(bytes: Buffer, shift: number): string {
  const digits = Buffer.concat([Buffer.alloc(shift), bytes, Buffer.alloc(3)]).toString("base64");
  return digits.slice(Math.ceil((8 * shift) / 6), Math.floor((8 * (shift + bytes.length)) / 6));
}
