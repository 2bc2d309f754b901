// Our client with the servers of others: OpenSSL inside Node, and the one that the system has.
import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { duplexPair } from "node:stream";
import { type TestContext, test } from "node:test";
import { createSecureContext, TLSSocket } from "node:tls";
import { encodeHex, encodeUtf8, serializePem, systemRandom } from "@sotto/base";
import type { GroupName } from "@sotto/tls";
import { createClient } from "./attacked-sotto.ts";
import { ClientStream } from "./client-stream.ts";
import { createIdentity, type Identity } from "./hostile-identity.ts";

const identity = createIdentity();
const label = "EXPORTER-sotto-attested-session-1-server";

function pemOf({ key, certificate }: Identity) {
  return {
    key: key.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: serializePem("CERTIFICATE", certificate),
  };
}

/** Our client and a server of Node's, with a stream in memory between them. */
async function meetNode(ciphers: string, group: GroupName, offered: readonly GroupName[] = [group]) {
  const [near, far] = duplexPair();
  const server = new TLSSocket(far, {
    isServer: true,
    secureContext: createSecureContext({ ...pemOf(identity), ciphers, ecdhCurve: group }),
    ALPNProtocols: ["h2", "sotto/1"],
  });
  const client = new ClientStream(await createClient({ groups: offered }), near);
  await Promise.all([client.secured(), once(server, "secure")]);
  return { client, server };
}

const suites = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"] as const;
const groups = ["X25519MLKEM768", "X25519"] as const;

for (const suite of suites) {
  for (const group of groups) {
    test(`node:tls: ${suite} with ${group}: facts, exporters, data both ways, an end`, async () => {
      const { client, server } = await meetNode(suite, group);
      assert.deepEqual(client.client.peer, {
        certificate: identity.certificate,
        spki: identity.spki,
        group,
        cipherSuite: suite,
        alpn: "sotto/1",
      });
      assert.equal(server.getCipher().standardName, suite);
      for (const [context, length] of [
        [new Uint8Array(), 32],
        [systemRandom(32), 32],
        [systemRandom(500), 255],
      ] as const) {
        const theirs = server.exportKeyingMaterial(length, label, Buffer.from(context));
        const ours = client.client.exportKeyingMaterial(label, context, length);
        assert.equal(encodeHex(ours), theirs.toString("hex"));
      }
      await client.write(encodeUtf8("question"));
      assert.equal(String((await once(server, "data"))[0]), "question");
      server.write("answer");
      assert.equal(Buffer.from(await client.read(6)).toString(), "answer");
      server.end();
      await client.closed();
      await client.close();
      server.destroy();
    });
  }
}

test("node:tls: the server picks among the groups that are offered", async () => {
  for (const group of groups) {
    const { client, server } = await meetNode(suites[0], group, groups);
    assert.equal(client.client.peer?.group, group);
    server.destroy();
  }
});

test("node:tls: megabytes in both directions at once, and in pieces of every small size", async () => {
  const { client, server } = await meetNode(suites[0], "X25519");
  const up = systemRandom(0xffff);
  const down = Buffer.concat(Array.from({ length: 40 }, () => systemRandom(0xffff)));
  const heard: Buffer[] = [];
  server.on("data", (bytes: Buffer) => heard.push(bytes));
  server.write(down);
  const expected: Uint8Array[] = [];
  for (let round = 0; round < 20; round += 1) {
    await client.write(up);
    expected.push(up);
  }
  for (let size = 1; size <= 300; size += 1) {
    await client.write(up.subarray(0, size));
    expected.push(up.subarray(0, size));
  }
  assert.ok(down.equals(await client.read(down.length)));
  await client.close();
  await once(server, "end");
  assert.ok(Buffer.concat(heard).equals(Buffer.concat(expected)));
  server.destroy();
});

test("node:tls: a server that takes nothing of the profile's ends the handshake with its alert", async () => {
  const [near, far] = duplexPair();
  const server = new TLSSocket(far, {
    isServer: true,
    secureContext: createSecureContext({ ...pemOf(identity), ecdhCurve: "P-256" }),
    ALPNProtocols: ["sotto/1"],
  });
  server.on("error", () => {});
  const client = new ClientStream(await createClient(), near);
  await assert.rejects(client.secured(), { code: "alert", alert: 40 }); // handshake_failure
});

const missing = spawnSync("openssl", ["version"]).status === 0 ? false : "the system has no openssl";
const exported = 48;

type SystemServer = {
  readonly client: ClientStream;
  readonly server: ChildProcessWithoutNullStreams;
  /** Resolves with all output so far, once it has this in it. */
  readonly printed: (pattern: RegExp) => Promise<RegExpExecArray>;
};

/** Our client and a server of the system's `openssl`, over a port of this machine. */
async function meetSystem(context: TestContext, ...options: readonly string[]): Promise<SystemServer> {
  const folder = mkdtempSync(join(tmpdir(), "sotto-tls-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const { key, cert } = pemOf(identity);
  writeFileSync(join(folder, "server.pem"), key + cert);
  const server = spawn(
    "openssl",
    [
      ...["s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-cert", join(folder, "server.pem")],
      ...["-tls1_3", "-alpn", "sotto/1", "-num_tickets", "0", "-groups", "X25519"],
      ...["-keymatexport", label, "-keymatexportlen", String(exported), ...options],
    ],
    { env: { ...process.env, OPENSSL_CONF: "/dev/null" } },
  );
  context.after(() => server.kill());
  let output = "";
  let wake = Promise.withResolvers<void>();
  server.stdout.setEncoding("latin1").on("data", (text: string) => {
    output += text;
    wake.resolve();
    wake = Promise.withResolvers();
  });
  const printed: SystemServer["printed"] = async (pattern) => {
    for (;;) {
      const found = pattern.exec(output);
      if (found !== null) return found;
      await wake.promise;
    }
  };
  const [, port] = await printed(/ACCEPT 127\.0\.0\.1:(\d+)/);
  const socket = connect(Number(port), "127.0.0.1");
  context.after(() => socket.destroy());
  const client = new ClientStream(await createClient(), socket);
  await client.secured();
  return { client, server, printed };
}

for (const suite of suites) {
  test(`openssl s_server: ${suite}, exporters agree, data is echoed`, { skip: missing }, async (context) => {
    const talking = await meetSystem(context, "-ciphersuites", suite);
    assert.equal(talking.client.client.peer?.cipherSuite, suite);
    const [, theirs = ""] = await talking.printed(/Keying material: ([0-9A-F]+)\n/);
    const ours = talking.client.client.exportKeyingMaterial(label, new Uint8Array(), exported);
    assert.equal(encodeHex(ours), theirs.toLowerCase());
    await talking.client.close();

    const { client } = await meetSystem(context, "-ciphersuites", suite, "-rev");
    await client.write(encodeUtf8("sotto\n"));
    assert.equal(Buffer.from(await client.read(6)).toString(), "ottos\n");
    const long = "0123456789".repeat(1500);
    await client.write(encodeUtf8(`${long}\n`));
    const reversed = Buffer.from(await client.read(long.length + 1)).toString();
    assert.equal(reversed, `${[...long].reverse().join("")}\n`);
    await client.close();
  });
}

test("openssl s_server: key updates, asked for and not, with data around them", {
  skip: missing,
}, async (context) => {
  const { client, server, printed } = await meetSystem(context);
  await printed(/Keying material: /); // and so listens to commands
  await client.stirred();
  // A line `K` makes a KeyUpdate that asks for one in return, `k` one that does not; other lines are data.
  for (const [index, command] of ["", "k", "K", "K", "k", "K"].entries()) {
    if (command !== "") {
      server.stdin.write(`${command}\n`);
      await client.stirred();
    }
    server.stdin.write(`down-${index}\n`);
    assert.equal(Buffer.from(await client.read(7)).toString(), `down-${index}\n`);
    await client.stirred();
    await client.write(encodeUtf8(`up-${index}\n`));
    await printed(new RegExp(`up-${index}\n`));
  }
  const exited = once(server, "exit");
  await client.close();
  assert.deepEqual(await exited, [0, null]);
});
