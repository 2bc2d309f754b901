// What a sealed process that has been taken over could reach: servers, files and other processes, all of them there, and
// all of them watched.
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after } from "node:test";
import { folder } from "./children.ts";
import type { Targets } from "./fixtures/attempt.ts";

const everybody = new Set<ChildProcess>();
after(() => {
  for (const bystander of everybody) bystander.kill("SIGKILL");
});

function startBystander(): ChildProcess {
  const child = spawn(process.execPath, ["--eval", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
  everybody.add(child);
  return child;
}

/** Everything that there is to be reached, the file of its own code among it, and what has been reached of it. */
export async function setTargets(name: string, code: string) {
  const own = join(folder, name);
  mkdirSync(own);
  writeFileSync(join(own, "secret.txt"), "secret");
  symlinkSync(join(own, "secret.txt"), join(own, "link.txt"));
  writeFileSync(join(own, "module.mjs"), "export default 1");
  copyFileSync(code, join(own, "code.cjs"));
  let reached = 0;
  const servers = [0, join(own, "socket"), "\0sotto-test"].map((where) =>
    createServer((socket) => {
      reached += 1;
      // Whatever is asked gets an answer, so that whoever gets through knows.
      socket
        .on("error", () => {})
        .on("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    }).listen(typeof where === "number" ? { port: where, host: "127.0.0.1" } : { path: where }),
  );
  const udp = createSocket("udp4").on("message", () => {
    reached += 1;
  });
  await Promise.all([
    ...servers.map((server) => new Promise((resolve) => server.once("listening", resolve))),
    new Promise<void>((resolve) => udp.bind(0, "127.0.0.1", () => resolve())),
  ]);
  after(() => {
    for (const server of servers) server.close();
    udp.close();
  });
  const [parent, sibling] = [startBystander(), startBystander()];
  const address = servers[0]?.address();
  const targets: Targets = {
    port: typeof address === "object" && address !== null ? address.port : 0,
    udpPort: udp.address().port,
    socketPath: join(own, "socket"),
    folder: own,
    code: join(own, "code.cjs"),
    parent: parent.pid ?? 0,
    sibling: sibling.pid ?? 0,
  };
  return { targets, own, bystanders: [parent, sibling], reached: () => reached };
}

/** How each attempt ended, by its name. */
export function parseOutcomes(text: string): Map<string, string> {
  return new Map(
    text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  );
}

/** What lies in a folder, with content and mode. */
export function describe(path: string): string[] {
  return readdirSync(path, { withFileTypes: true }).map((entry) => {
    const { mode } = statSync(join(path, entry.name));
    const content = entry.isFile() ? readFileSync(join(path, entry.name), "hex") : "";
    return `${entry.name} ${mode} ${content}`;
  });
}
