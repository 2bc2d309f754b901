// Audit 40 one floor up: the same hostile servers under an attested session, on whichever TLS this build has.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bytes, systemRandom } from "@sotto/base";
import { type ByteStream, openClientSession, RatlsError } from "@sotto/ratls";
import { unmetPolicy } from "../../protocol/ratls/test/peer.ts";
import { patience } from "../../protocol/tls/test/attack.ts";
import {
  certificateAttacks,
  finishedAttacks,
  signatureAttacks,
} from "../../protocol/tls/test/attacks/certificate.ts";
import { endlessAttacks } from "../../protocol/tls/test/attacks/endless.ts";
import { extensionAttacks } from "../../protocol/tls/test/attacks/extensions.ts";
import { helloAttacks } from "../../protocol/tls/test/attacks/hello.ts";
import {
  interruptions,
  laterAttacks,
  orderAttacks,
  strangerAttacks,
} from "../../protocol/tls/test/attacks/order.ts";
import { recordAttacks } from "../../protocol/tls/test/attacks/record.ts";
import type { Script } from "../../protocol/tls/test/hostile-script.ts";
import { HostileServer } from "../../protocol/tls/test/hostile-server.ts";

/** A hostile server as what carries a session; its stream ends where no client should still be listening. */
function hostileStream(server: HostileServer): ByteStream {
  const answer = Promise.withResolvers<Iterator<Bytes>>();
  let taken = 0;
  return {
    read: async () => {
      const { value } = (await answer.promise).next();
      // The rest of the loop has its turn between two pieces, as it has with a network.
      await new Promise((resolve) => setImmediate(resolve));
      taken += value?.length ?? 0;
      return taken > patience ? undefined : value;
    },
    write: async (bytes) => {
      const pieces = server.receive(bytes);
      if (server.hasHello) answer.resolve(pieces[Symbol.iterator]());
    },
    end: () => {},
    destroy: () => {},
  };
}

/** Opens a session with a hostile server, which must not come about; the code that says why not. */
async function refusal(what: string, script: Script, allowClassical = false) {
  const server = new HostileServer(script);
  const opened = openClientSession({
    stream: hostileStream(server),
    policy: { ...unmetPolicy, allowClassical },
    role: "orchestrator",
    clock: Date.now,
    random: systemRandom,
  });
  const error = await opened.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof RatlsError, `${what}: ${String(error)}`);
  return { code: error.code, heard: server.heard };
}

for (const [title, rows] of [
  ["server hello", helloAttacks],
  ["encrypted extensions", extensionAttacks],
  ["certificate", certificateAttacks],
  ["certificate verify", signatureAttacks],
  ["finished", finishedAttacks],
  ["records during the handshake", interruptions],
] as const) {
  test(`40: no session comes of any of these: ${title}`, async () => {
    for (const [what, script, , openssl] of rows) {
      const { heard } = await refusal(what, script);
      // What OpenSSL lets pass is judged while the first question, a nonce, may be on its way.
      if (openssl?.startsWith("ERR_SSL_") === true)
        assert.equal(heard.data.length, 0, `${what}: nothing was asked`);
    }
  });
}

test("40: nor of a flight in another order, or with strangers in it", async () => {
  for (const [what, script] of [...orderAttacks(), ...strangerAttacks()]) {
    const { code } = await refusal(what, script);
    const isKnown = ["unexpected-message", "session-ticket", "bad-record", "bad-signature", "bad-finished"];
    const isOpenSslOwn = ["handshake-failed", "unknown-frame", "out-of-order", "malformed"];
    assert.ok([...isKnown, ...isOpenSslOwn].includes(code), `${what}: ${code}`);
  }
});

test("40: nor of what comes with the handshake or after it instead of frames", async () => {
  for (const [what, script] of [...recordAttacks, ...laterAttacks]) await refusal(what, script, true);
});

test("40: a server without end is left, by the session itself", async () => {
  for (const [what, script] of endlessAttacks) {
    const { code } = await refusal(what, script);
    assert.notEqual(code, "truncated", `${what}: listened to for as long as there was anything`);
  }
});
