// Audit 40: every message of the handshake left out, repeated, moved, bent and cut, by a server that is otherwise honest,
// against our TLS client and OpenSSL's. Where OpenSSL takes what ours refuses, the tables say so.
import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes } from "@sotto/base";
import type { Outcome } from "../../protocol/tls/test/attack.ts";
import { attackNode } from "../../protocol/tls/test/attacked-node.ts";
import { attackSotto } from "../../protocol/tls/test/attacked-sotto.ts";
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
  transcripts,
} from "../../protocol/tls/test/attacks/order.ts";
import { harmless, recordAttacks } from "../../protocol/tls/test/attacks/record.ts";
import { flip, replace } from "../../protocol/tls/test/attacks/steps.ts";
import { suites } from "../../protocol/tls/test/hostile-keys.ts";
import { honestNames, type Script } from "../../protocol/tls/test/hostile-script.ts";

type Name = (typeof honestNames)[number];
const clients = [
  ["sotto", attackSotto],
  ["openssl", attackNode],
] as const;

function assertServed(outcome: Outcome, what: string): void {
  assert.equal(outcome.code, undefined, what);
  assert.ok(outcome.isSecured && outcome.heard.isFinished && !outcome.heard.isOdd, what);
  assert.equal(Buffer.from(outcome.heard.data).toString(), "ping", what);
}

test("40: a server that does nothing wrong is taken by both clients, in either suite and group", async () => {
  for (const suite of Object.values(suites)) {
    for (const group of ["X25519MLKEM768", "X25519"] as const) {
      for (const [client, attack] of clients) {
        const outcome = await attack({ suite }, { groups: [group] });
        assertServed(outcome, `${client} ${suite.cipher} ${group}`);
        assert.equal(Buffer.from(outcome.data).toString(), "pong");
      }
    }
  }
});

test("40: nor is one refused for how it cuts and pads its records", async () => {
  for (const [what, script] of harmless) {
    for (const [client, attack] of clients) assertServed(await attack(script), `${client}: ${what}`);
  }
});

for (const [title, rows] of [
  ["server hello", helloAttacks],
  ["encrypted extensions", extensionAttacks],
  ["certificate", certificateAttacks],
  ["certificate verify", signatureAttacks],
  ["finished", finishedAttacks],
  ["records during the handshake", interruptions],
  ["records", recordAttacks],
  ["after the handshake", laterAttacks],
] as const) {
  test(`40: ${title}: ${rows.length} attacks, each refused with its own code`, async () => {
    for (const [what, script, sotto, openssl, attack] of rows) {
      const ours = await attackSotto(script, attack);
      assert.equal(ours.code, sotto, `sotto: ${what}`);
      if (rows === laterAttacks) assert.ok(!ours.heard.isOdd, `sotto: ${what}: leaves in good order`);
      assert.equal((await attackNode(script, attack)).code, openssl, `openssl: ${what}`);
      assert.ok(sotto !== undefined, `${what}: refused`);
    }
  });
}

test("40: each message left out, repeated, or exchanged with another", async () => {
  for (const [what, script] of orderAttacks()) {
    // A Finished too few or too many shows in the keys of what follows.
    const isAtTheEnd = /^finished (left out|repeated)/.test(what);
    const sotto = await attackSotto(script);
    assert.equal(sotto.code, isAtTheEnd ? "bad-record" : "unexpected-message", what);
    const node = await attackNode(script);
    const openssl = isAtTheEnd
      ? /^ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC$/
      : /^ERR_SSL_(UNEXPECTED_MESSAGE|BAD_RECORD_TYPE)$/;
    assert.match(node.code ?? "taken", openssl, what);
    assert.ok(what.startsWith("finished repeated") || (!sotto.isSecured && !node.isSecured), what);
  }
});

test("40: a message of any other type at any place", async () => {
  for (const [what, script] of strangerAttacks()) {
    const { code, isSecured } = await attackSotto(script);
    assert.equal(code, what.startsWith("session ticket") ? "session-ticket" : "unexpected-message", what);
    assert.equal(isSecured, false);
    // OpenSSL skips a HelloRequest, which then stands in the transcript, and answers a CertificateRequest with nothing.
    const openssl = await attackNode(script);
    if (what === "certificate request before certificate") assert.equal(openssl.code, undefined);
    else assert.match(openssl.code ?? "taken", /^ERR_SSL_/, what);
  }
});

/** Codes for a changed byte of each message, by the field that it is in: from this byte up to the next row's. */
const fields: Readonly<Record<Name, readonly (readonly [from: number, ...codes: string[]])[]>> = {
  serverHello: [
    [0, "unexpected-message"],
    [1, "too-large"],
    [2, "unexpected-message", "too-large"],
    [3, "unexpected-message"],
    [4, "tls-version"],
    [6, "bad-record"], // random
    [38, "malformed"], // session id
    [39, "illegal-parameter"], // suite, compression
    [42, "malformed"],
    [44, "tls-version"],
    [46, "malformed"],
    [48, "tls-version"],
    [50, "unexpected-extension"],
    [52, "malformed"],
    [54, "illegal-parameter"], // group
    [56, "malformed"],
    [58, "bad-record"], // share
  ],
  encryptedExtensions: [
    [0, "unexpected-message"],
    [1, "too-large"],
    [2, "malformed", "too-large"],
    [3, "malformed", "bad-record"],
    [6, "unexpected-extension"],
    [8, "malformed"],
    [13, "wrong-protocol", "malformed"],
  ],
  certificate: [
    [0, "unexpected-message"],
    [1, "too-large"],
    [2, "malformed", "too-large"],
    [3, "malformed", "bad-record"],
    [4, "malformed"],
    [11, "bad-certificate"],
    [-2, "malformed"],
  ],
  certificateVerify: [
    [0, "unexpected-message"],
    [1, "too-large"],
    [3, "malformed", "bad-record"],
    [4, "wrong-signature-algorithm"],
    [6, "malformed"],
    [8, "bad-signature"],
  ],
  finished: [
    [0, "unexpected-message"],
    [1, "too-large"],
    [3, "bad-record", "too-large"],
    [4, "bad-finished"],
  ],
};

function codesFor(name: Name, index: number, length: number): readonly string[] {
  const row = fields[name].findLast(([from]) => index >= (from < 0 ? length + from : from));
  return row?.slice(1).map(String) ?? [];
}

/** The script that changes one byte of a message, and how long that message is once it has run. */
function bending(name: Name, index: number, mask: number, transcript: Script["transcript"] & string) {
  const seen = { length: index + 1 };
  const script: Script = {
    transcript,
    flight: replace(name, (_moment, honest) => {
      seen.length = honest.length;
      return flip(honest, index, mask);
    }),
  };
  return { script, seen };
}

for (const name of honestNames) {
  for (const transcript of transcripts) {
    test(`40: ${name} changed at each byte, keys and signatures over what was ${transcript}`, async () => {
      for (const [client, attack] of clients) {
        let length = 1;
        for (let index = 0; index < length; index += 1) {
          for (const mask of [1, 0x80]) {
            const { script, seen } = bending(name, index, mask, transcript);
            const { code } = await attack(script);
            length = seen.length;
            if (index >= length) break; // a signature may be shorter than the one before it
            const what = `${client}: byte ${index} of ${length}, mask ${mask}`;
            // Another random is as good as the honest one for who signs it, and the top bit of X25519 counts nowhere.
            const isAnother =
              transcript === "sent" &&
              name === "serverHello" &&
              ((index >= 6 && index < 38) || (index === length - 1 && mask === 0x80));
            if (isAnother) assert.equal(code, undefined, what);
            else if (client === "sotto") {
              const codes = codesFor(name, index, length);
              assert.ok(code !== undefined && codes.includes(code), `${what}: ${code}, not ${codes}`);
            } else if (transcript === "sent" && name === "serverHello" && (index === 4 || index === 5))
              assert.equal(code, undefined, what); // OpenSSL reads no legacy version where there is a newer one
            else
              assert.match(
                code ?? "taken",
                /^(ERR_SSL_[A-Z0-9_]+|bad-certificate|wrong-protocol|truncated)$/,
                what,
              );
          }
        }
      }
    });
  }
}

const dataRecord = 5 + 4 + 1 + 16; // of `pong`

/** Lets a client meet the honest stream as `change` leaves it; `change` has its length, and what belongs to the handshake. */
async function bendStream(
  attack: (typeof clients)[number][1],
  change: (stream: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>,
) {
  const seen = { length: 0, handshake: 0 };
  const outcome = await attack({
    pieces: (records) => {
      const list = [...records];
      seen.length = concatBytes(...list).length;
      seen.handshake = concatBytes(...list.slice(0, -2)).length;
      return [change(concatBytes(...list))];
    },
  });
  return { ...outcome, ...seen };
}

test("40: the stream changed at each byte", async () => {
  for (const [client, attack] of clients) {
    let length = 1;
    for (let index = 0; index < length; index += 1) {
      const outcome = await bendStream(attack, (stream) => flip(stream, index));
      length = outcome.length;
      if (index >= length) break;
      const what = `${client}: byte ${index} of ${length}: ${outcome.code}`;
      // OpenSSL reads half the version of the first record.
      const isUnread = client === "openssl" && index === 2;
      // A record after the handshake that says it is longer ends with the stream, which Node does not mind.
      const isLength = [3, 4].includes((index - outcome.handshake) % dataRecord);
      if (isUnread) assert.equal(outcome.code, undefined, what);
      else assert.ok(outcome.code !== undefined || (client === "openssl" && isLength), what);
      if (index < outcome.handshake && !isUnread) assert.ok(!outcome.isSecured, what);
    }
  }
});

test("40: the stream cut at each byte", async () => {
  for (const [client, attack] of clients) {
    let length = 1;
    for (let index = 0; index < length; index += 1) {
      const outcome = await bendStream(attack, (stream) => stream.slice(0, index));
      length = outcome.length;
      if (index >= length) break;
      const what = `${client}: cut at byte ${index} of ${length}`;
      // Node does not tell an end that was said from one that was not; a session's frames do.
      const isSecured = index >= outcome.handshake;
      assert.equal(outcome.isSecured, isSecured, what);
      assert.equal(outcome.code, client === "sotto" || !isSecured ? "truncated" : undefined, what);
    }
  }
});

test("40: servers without end: bounded in what is taken from them", async () => {
  for (const [what, script, sotto, openssl] of endlessAttacks) {
    const ours = await attackSotto(script);
    assert.equal(ours.code, sotto, `sotto: ${what}`);
    assert.ok(ours.consumed <= 300_000, `sotto: ${what}: took ${ours.consumed} bytes`);
    // OpenSSL counts neither HelloRequests nor KeyUpdates; it holds none of them.
    assert.equal((await attackNode(script)).code, openssl, `openssl: ${what}`);
    assert.notEqual(sotto, "never");
  }
});
