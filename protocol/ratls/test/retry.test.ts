// A server that answers the first ClientHello with another wish: the system's OpenSSL, which asks for a cookie, and which
// Node's TLS would humour. With OpenSSL's own client beside it, to show that the server is otherwise in order.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Duplex } from "node:stream";
import { type TestContext, test } from "node:test";
import { failsWith, open, stage } from "./ends.ts";
import { goodCertificate, rawClient } from "./peer.ts";

const skip = spawnSync("openssl", ["version"]).status === 0 ? false : "the system has no openssl";
const classical = { policy: { ...stage.policy, allowClassical: true } };

/** Starts `openssl s_server` for two connections and returns its port. */
async function startServer(context: TestContext, ...options: readonly string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "sotto-retry-"));
  const { key, certificate } = goodCertificate();
  writeFileSync(join(folder, "server.pem"), key + certificate);
  const server = spawn(
    "openssl",
    [
      ...["s_server", "-accept", "127.0.0.1:0", "-naccept", "2", "-cert", join(folder, "server.pem")],
      ...["-tls1_3", "-alpn", "sotto/1", "-num_tickets", "0", ...options],
    ],
    { env: { ...process.env, OPENSSL_CONF: "/dev/null" }, stdio: ["pipe", "pipe", "ignore"] },
  );
  context.after(() => {
    server.kill();
    rmSync(folder, { recursive: true });
  });
  for await (const line of createInterface({ input: server.stdout })) {
    const port = /^ACCEPT 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port !== undefined) {
      server.stdout.resume();
      return Number(port);
    }
  }
  return assert.fail("openssl did not start");
}

/** A connection on which no change of cipher spec travels: a stateless server of OpenSSL stumbles over it. */
function reach(port: number): Duplex {
  const socket = connect(port, "127.0.0.1");
  const idle = Buffer.from("140303000101", "hex");
  const stream = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      const at = chunk.indexOf(idle);
      const rest = at < 0 ? chunk : Buffer.concat([chunk.subarray(0, at), chunk.subarray(at + idle.length)]);
      socket.write(rest, done);
    },
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on("data", (chunk: Buffer) => stream.push(chunk));
  socket.on("end", () => stream.push(null)).on("error", () => stream.destroy());
  return stream;
}

test("12: a server that wants another ClientHello is refused, if only for a cookie", {
  skip,
}, async (context) => {
  const port = await startServer(context, "-groups", "X25519", "-stateless");
  await assert.rejects(open(reach(port), classical), failsWith("classical-downgrade"));
  const others = rawClient(reach(port), { ecdhCurve: "X25519" });
  await new Promise((resolve) => others.once("secureConnect", resolve));
  others.destroy();
});

test("12: a server that knows X25519 only has its share in the first ClientHello, where the policy allows it", {
  skip,
}, async (context) => {
  const port = await startServer(context, "-groups", "X25519");
  const stream = connect(port, "127.0.0.1");
  // It is no node and has nothing to say to an attest request, but the handshake is over: that is what times out.
  await assert.rejects(
    open(stream, { ...classical, signal: AbortSignal.timeout(500) }),
    failsWith("aborted"),
  );
  await assert.rejects(open(connect(port, "127.0.0.1")), failsWith("no-common-parameters"));
});
