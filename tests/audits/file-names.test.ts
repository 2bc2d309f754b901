// Names and links that a host may put before a part: whatever they are, nothing outside the part's own folder is
// written. Each test has a folder for the part and, beside it, one that must stay as it is.
import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { createReportSigner, createSimulatedChip, serializeSimulatedChip } from "@sotto/attestation/software";
import { systemRandom } from "@sotto/base";
import { requestReport, serve } from "@sotto/kit";
import { launchMachine, measureService, openReportDevice, type ServiceImage, TeeError } from "@sotto/tee";
import fc from "fast-check";
import { openFileStore } from "../../services/publisher/src/file-store.ts";
import { createPublisher } from "../../services/publisher/src/publisher.ts";
import { createFakeWitness, openLog, statementOf } from "../../services/publisher/test/stage.ts";
import { readLaunchFile } from "../../tools/tee/src/launch-file.ts";
import { createClone, write } from "../../tools/tee/test/clone.ts";
import { StateFolder } from "../../tools/up/src/state-folder.ts";

const base = mkdtempSync(join(tmpdir(), "sotto-names-"));
after(() => rmSync(base, { recursive: true, force: true }));
const chip = await createSimulatedChip(Date.now(), systemRandom);

/** Names as a host could choose them. */
const hostileNames = [
  ...[
    "new\nline",
    "..",
    "../outside",
    "../../outside/victim",
    "a/../../outside/victim",
    "/etc/passwd",
    "./..",
  ],
  ...["*", "?", "[a-z]*", "{a,b}", "~", "~root", "$HOME", "`id`", "$(id)", "a;b", "a|b", "-rf", "--help"],
  ...["..\\outside", "%2e%2e%2foutside", "..%00", "con", " ", ".", "\u202e", "a\rb", "a\tb", "é", "e\u0301"],
];
const asFileName = hostileNames.filter((name) => name !== "." && name !== ".." && !name.includes("/"));

/** A part's folder and what lies beside it; `unchanged` fails when anything but the part's folder is another. */
function stage(): { readonly own: string; readonly outside: string; readonly unchanged: () => void } {
  const root = mkdtempSync(join(base, "x-"));
  const [own, outside] = [join(root, "own"), join(root, "outside")];
  mkdirSync(outside);
  writeFileSync(join(outside, "victim"), "untouched");
  const before = picture(root, own);
  return { own, outside, unchanged: () => assert.deepEqual(picture(root, own), before) };
}

/** Every path below a folder with what is there, but for those below `except`. */
function picture(folder: string, except: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (path === except) return [];
    const status = lstatSync(path);
    if (status.isSymbolicLink()) return [`${path} -> ${readlinkSync(path)}`];
    return status.isDirectory()
      ? [path, ...picture(path, except)]
      : [`${path}: ${readFileSync(path, "hex")}`];
  });
}

/** Sends a request line as it is; returns the status. */
function ask(address: string, line: string, body = ""): Promise<number> {
  return new Promise((resolve) => {
    const { port } = new URL(address);
    const head = `${line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n`;
    const socket = connect(Number(port), "127.0.0.1", () => socket.write(head + body));
    let answer = "";
    socket.on("data", (data) => {
      answer += data.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 400)));
  });
}

test("14: no path of a request leads the publisher out of its folder, to read or to write", async (context) => {
  const { own, unchanged } = stage();
  const { sequencer, store } = openLog(own, createFakeWitness().cosign);
  await sequencer.add(statementOf(0));
  const handler = createPublisher({ sequencer, store, authorities: {} });
  const server = await serve({ port: 0, handler });
  context.after(() => server.close());
  const inside = picture(own, "");
  assert.equal(await ask(server.address, "GET /tile/entries/000.p/1"), 200);
  const encoded = hostileNames.map((name) => encodeURIComponent(name));
  const paths = [...hostileNames.filter((name) => /^[!-~]+$/.test(name)), ...encoded].flatMap((name) => [
    `/${name}`,
    `/tile/${name}`,
    `/tile/0/${name}`,
    `/tile/entries/000.p/${name}`,
    `/proof/${name}`,
  ]);
  for (const path of paths) {
    for (const method of ["GET", "POST", "PUT"]) {
      const status = await ask(server.address, `${method} ${path}`, method === "GET" ? "" : "x");
      assert.ok(status >= 400 && status < 500, `${method} ${path}: ${status}`);
    }
  }
  unchanged();
  assert.deepEqual(picture(own, ""), inside);
  store.close();
});

test("14: links that lie in the publisher's folder are replaced or refused, never followed by a write", async () => {
  const { own, outside, unchanged } = stage();
  mkdirSync(own);
  const victim = join(outside, "victim");
  for (const name of ["lock", "checkpoint.new", "directory.new", "directory"])
    symlinkSync(victim, join(own, name));
  const store = openFileStore(own);
  store.write("checkpoint", Buffer.from("new"));
  store.write("directory", Buffer.from("new"));
  assert.equal(readFileSync(join(own, "directory"), "utf8"), "new");
  assert.ok(lstatSync(join(own, "directory")).isFile());
  symlinkSync(outside, join(own, "tile"));
  assert.throws(() => store.write("tile/0/000", Buffer.from("new")), /a link is in the way/);
  mkdirSync(join(own, "deep"));
  symlinkSync(join(outside, "absent"), join(own, "deep", "absent"));
  assert.throws(() => store.write("deep/absent/000", Buffer.from("new")));
  for (const path of ["../outside/victim", "../new", join(outside, "new"), "a/../../outside/new", "..", ""])
    assert.throws(() => store.write(path, Buffer.from("new")), Error, path);
  store.close();
  unchanged();
});

test("14: whatever the guest calls its requests, the report device writes into its own folder alone", async () => {
  const { own, outside, unchanged } = stage();
  const signer = await createReportSigner(chip, "cd".repeat(48));
  const device = openReportDevice({ folder: own, certificates: chip.certificates, signer });
  for (const name of asFileName) mkdirSync(join(own, name));
  fc.assert(
    fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 60 }), (text) => {
      const name = text.isWellFormed() ? text.replaceAll(/[/\0]/g, "_") : "x";
      if (name !== "." && name !== "..") mkdirSync(join(own, name), { recursive: true });
    }),
    { numRuns: 50 },
  );
  for (const name of ["provider", "inblob", "outblob", "generation"]) {
    mkdirSync(join(own, `linked-${name}`));
    symlinkSync(join(outside, "victim"), join(own, `linked-${name}`, name));
  }
  symlinkSync(outside, join(own, "link"));
  await requestReport(own, systemRandom(64)); // by then all of the above has been looked at
  device.close();
  unchanged();
});

test("14: a launch file with hostile names, links or fields starts nothing and writes nothing", async () => {
  const { own, unchanged } = stage();
  mkdirSync(own);
  const clone = createClone();
  const started = join(own, "started");
  write(
    clone.root,
    "services/toy/src/main.ts",
    `require("fs").writeFileSync(${JSON.stringify(started)}, "")`,
  );
  writeFileSync(join(own, "chip.json"), serializeSimulatedChip(chip));
  const good = { image: clone, chip: join(own, "chip.json"), release: join(own, "release.json"), hints: {} };
  const launch = async (change: object): Promise<unknown> => {
    const path = join(own, "launch.json");
    writeFileSync(path, JSON.stringify({ ...good, ...change }));
    return launchMachine(readLaunchFile(path));
  };
  const refuses = (change: object): Promise<void> =>
    assert.rejects(launch(change), (error) => error instanceof TeeError, JSON.stringify(change));
  for (const name of [...hostileNames, "toy/../toy", "./toy", "toy/", "toy\0", "Toy"]) {
    await refuses({ image: { ...clone, role: name } });
    await refuses({ hints: { [name]: "x" } });
    await refuses({ hints: { [`SOTTO_PORT${name}`]: "x" } });
    await refuses({ hints: { SOTTO_PORT: "0", [`SOTTO_PORT\n${name}`]: "x" } });
  }
  // These are found out only once the rest has been read, which takes a while.
  for (const name of ["new\nline", "../../../outside/victim", "/etc/passwd", "*"]) {
    await refuses({ image: { ...clone, entry: name } });
    await refuses({ image: { ...clone, config: join(own, name, "absent") } });
  }
  await refuses({ image: { ...clone, weights: [join(own, "*.json")] } });
  for (const field of ["__proto__x", "env", "LD_PRELOAD", "cwd"]) await refuses({ [field]: "x" });
  assert.ok(!existsSync(started));
  assert.deepEqual(readdirSync(own).sort(), ["chip.json", "launch.json"]);
  unchanged();
});

test("14: names in an image are read as they are, change its measurement, and lead nowhere", async () => {
  const clone = createClone();
  const measure = async (image: ServiceImage): Promise<string> => (await measureService(image)).measurement;
  const seen = new Set([await measure(clone)]);
  const before = picture(clone.root, "");
  const source = join(clone.root, "services/toy/src");
  // Two files are not one whose name holds both; and all of the names at once are none too many.
  const sets = [["a", "b"], ["a\nb"], ["a b"], ['a","b'], ["a", "b\n"], ["a,b"], ["*"], asFileName];
  for (const names of sets) {
    for (const name of names) writeFileSync(join(source, name), "");
    const { measurement, files } = await measureService(clone);
    seen.add(measurement);
    for (const name of names)
      assert.ok(
        files.some(({ path }) => path === `services/toy/src/${name}`),
        name,
      );
    for (const name of names) rmSync(join(source, name));
  }
  assert.equal(seen.size, 1 + sets.length);
  for (const target of ["/etc/passwd", "../../../config.json", "main.ts", "nowhere", "/"]) {
    symlinkSync(target, join(source, "link"));
    await assert.rejects(
      measure(clone),
      (error) => error instanceof TeeError && error.code === "foreign-link",
    );
    rmSync(join(source, "link"));
  }
  assert.deepEqual(picture(clone.root, ""), before);
});

test("14: a state folder of any name holds all that is written into it", () => {
  for (const name of asFileName) {
    const { own, unchanged } = stage();
    mkdirSync(own);
    const state = StateFolder.open(join(own, name));
    const path = state.writeJson({ a: 1 }, "keys", "a.json");
    assert.equal(path, join(own, name, "keys", "a.json"));
    assert.deepEqual(state.readJson("keys", "a.json"), { a: 1 });
    state.close();
    assert.deepEqual(readdirSync(own), [name]);
    unchanged();
  }
});
