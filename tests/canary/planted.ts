// A process that the scan must find: it is told a canary and holds it in every form, in memory, in files and on a link.
import { openSync, unlinkSync, writeFileSync, writeSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";

const [folder = "", port = ""] = process.argv.slice(2);
const held: { readonly text: string; readonly encoded: readonly Buffer[] }[] = [];

process.stdin.setEncoding("utf8").once("data", (line: string) => {
  const lower = line.trim();
  for (const text of [lower, lower.toUpperCase()])
    held.push({ text: `${text} \u2603`, encoded: encode(text) });
  const all = Buffer.concat(held.flatMap(({ encoded }) => encoded));
  writeFileSync(join(folder, "planted"), all);
  const deleted = openSync(join(folder, "deleted"), "w+");
  writeSync(deleted, all);
  unlinkSync(join(folder, "deleted"));
  const link = connect(Number(port), "127.0.0.1");
  link.write(all, () => process.stdout.write("planted\n"));
});

/** Each form made in a way of its own, not as the scan makes it. */
function encode(text: string): Buffer[] {
  const codes = [...Buffer.from(text)];
  const digits = codes.map((code) => code.toString(16).padStart(2, "0"));
  const hex = [digits, digits.map((pair) => pair.toUpperCase())];
  const backwards = [...text].reverse().join("");
  return [
    Buffer.from(text),
    Buffer.from(codes.flatMap((code) => [code, 0])),
    Buffer.from(codes.flatMap((code) => [0, code])),
    Buffer.from(backwards),
    Buffer.from([...backwards].flatMap((letter) => [letter.charCodeAt(0), 0])),
    ...hex.map((pairs) => Buffer.from(pairs.join(""))),
    ...hex.map((pairs) => Buffer.from(pairs.map((pair) => `\\u00${pair}`).join(""))),
    ...hex.map((pairs) => Buffer.from(pairs.map((pair) => `%${pair}`).join(""))),
    ...["", "?", "??"].map((before) => Buffer.from(btoa(`${before}${text}~~~`))),
    ...["", "?", "??"].map((before) => Buffer.from(Buffer.from(`${before}${text}~~~`).toString("base64url"))),
  ];
}

setInterval(() => held.length, 60_000);
