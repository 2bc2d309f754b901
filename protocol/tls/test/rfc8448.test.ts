// The trace of a whole connection that RFC 8448 prints in Section 3, against the inside of the client and against the
// hostile server's own keys. The trace's server has an RSA certificate, so the handshake as a whole is none of the profile's.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Bytes, concatBytes, decodeHex, encodeHex } from "@sotto/base";
import * as schedule from "../src/key-schedule.ts";
import { MessageReader } from "../src/message-reader.ts";
import { type CipherSuite, cipherSuites, contentType } from "../src/parameters.ts";
import { RecordProtection } from "../src/record-protection.ts";
import { RecordReader } from "../src/record-reader.ts";
import {
  parseCertificateVerify,
  parseEncryptedExtensions,
  parseServerHello,
} from "../src/server-messages.ts";
import { digestOf, labelled, macOf, Protection, Schedule, suites } from "./hostile-keys.ts";

type Secret =
  | "clientHandshakeTraffic"
  | "serverHandshakeTraffic"
  | "clientApplicationTraffic"
  | "serverApplicationTraffic";
type Trace = Readonly<
  Record<
    | Secret
    | "clientHello"
    | "serverHello"
    | "serverFlight"
    | "clientFinished"
    | "newSessionTicket"
    | "sharedSecret"
    | "handshakeSecret"
    | "masterSecret"
    | "helloHash"
    | "finishedHash"
    | "exporterSecret"
    | "serverFinishedKey"
    | "clientFinishedKey"
    | "data",
    string
  >
> & {
  readonly keys: Readonly<Record<Secret, { readonly key: string; readonly iv: string }>>;
  readonly records: Readonly<
    Record<
      "serverFlight" | "clientFinished" | "newSessionTicket" | `${"client" | "server"}${"Data" | "Alert"}`,
      string
    >
  >;
};

// Written beside this test, in the form that the type says.
const trace: Trace = JSON.parse(
  readFileSync(join(import.meta.dirname, "vectors/rfc8448-simple.json"), "utf8"),
);
const suite = cipherSuites[0] as CipherSuite; // the first of a list that is not empty
const none = new Uint8Array();
const flightWithoutFinished = trace.serverFlight.slice(0, -72);
const closeNotify = "0100";

test("rfc 8448: transcript hashes and every secret of the key schedule", () => {
  const hellos = [trace.clientHello, trace.serverHello].map(decodeHex);
  const helloHash = schedule.hashTranscript(suite, hellos);
  assert.equal(encodeHex(helloHash), trace.helloHash);
  const finishedHash = schedule.hashTranscript(suite, [...hellos, decodeHex(trace.serverFlight)]);
  assert.equal(encodeHex(finishedHash), trace.finishedHash);

  const secret = schedule.handshakeSecret(suite, decodeHex(trace.sharedSecret));
  assert.equal(encodeHex(secret), trace.handshakeSecret);
  const handshake = schedule.handshakeTraffic(suite, secret, helloHash);
  assert.equal(encodeHex(handshake.client), trace.clientHandshakeTraffic);
  assert.equal(encodeHex(handshake.server), trace.serverHandshakeTraffic);

  const master = schedule.masterSecret(suite, secret);
  assert.equal(encodeHex(master), trace.masterSecret);
  const application = schedule.applicationTraffic(suite, master, finishedHash);
  assert.equal(encodeHex(application.client), trace.clientApplicationTraffic);
  assert.equal(encodeHex(application.server), trace.serverApplicationTraffic);
  assert.equal(encodeHex(schedule.exporterSecret(suite, master, finishedHash)), trace.exporterSecret);
});

test("rfc 8448: keys, nonces and the macs of both finished messages", () => {
  for (const [name, { key, iv }] of Object.entries(trace.keys)) {
    const secret = decodeHex(trace[name as Secret]); // the names of one table are the other's
    assert.equal(encodeHex(schedule.expandLabel(suite, secret, "key", none, 16)), key, name);
    assert.equal(encodeHex(schedule.expandLabel(suite, secret, "iv", none, 12)), iv, name);
  }
  const beforeFinished = [trace.clientHello, trace.serverHello, flightWithoutFinished].map(decodeHex);
  for (const [traffic, finishedKey, messages, message] of [
    [trace.serverHandshakeTraffic, trace.serverFinishedKey, beforeFinished, trace.serverFlight.slice(-72)],
    [
      trace.clientHandshakeTraffic,
      trace.clientFinishedKey,
      [trace.clientHello, trace.serverHello, trace.serverFlight].map(decodeHex),
      trace.clientFinished,
    ],
  ] as const) {
    const secret = decodeHex(traffic);
    assert.equal(encodeHex(schedule.expandLabel(suite, secret, "finished", none, 32)), finishedKey);
    const mac = schedule.finishedMac(suite, secret, schedule.hashTranscript(suite, messages));
    assert.equal(`14000020${encodeHex(mac)}`, message);
  }
});

/** Each record with the secret that protects it and what it holds, in the order of their numbers. */
const recordTable = [
  ["serverHandshakeTraffic", "serverFlight", contentType.handshake, trace.serverFlight],
  ["clientHandshakeTraffic", "clientFinished", contentType.handshake, trace.clientFinished],
  ["serverApplicationTraffic", "newSessionTicket", contentType.handshake, trace.newSessionTicket],
  ["clientApplicationTraffic", "clientData", contentType.applicationData, trace.data],
  ["serverApplicationTraffic", "serverData", contentType.applicationData, trace.data],
  ["clientApplicationTraffic", "clientAlert", contentType.alert, closeNotify],
  ["serverApplicationTraffic", "serverAlert", contentType.alert, closeNotify],
] as const;

test("rfc 8448: records of both directions, sealed and opened", async () => {
  const ends = new Map<string, { readonly sealing: RecordProtection; readonly opening: RecordProtection }>();
  for (const [secret, name, type, content] of recordTable) {
    let end = ends.get(secret);
    if (end === undefined) {
      const create = () => RecordProtection.create(suite, decodeHex(trace[secret]));
      end = { sealing: await create(), opening: await create() };
      ends.set(secret, end);
    }
    const record = decodeHex(trace.records[name]);
    assert.equal(encodeHex(await end.sealing.seal(type, decodeHex(content))), trace.records[name], name);
    const opened = await end.opening.open(record.slice(0, 5), record.slice(5));
    assert.deepEqual([opened.type, encodeHex(opened.content)], [type, content], name);
  }
});

test("rfc 8448: the stream of the server, cut anywhere, gives its records and messages", async () => {
  const helloRecord = concatBytes(Uint8Array.fromHex("160303005a"), decodeHex(trace.serverHello));
  const stream = concatBytes(helloRecord, decodeHex(trace.records.serverFlight));
  for (const step of [1, 2, 5, 7, 100, stream.length]) {
    const records = new RecordReader();
    const found: Bytes[] = [];
    for (let offset = 0; offset < stream.length; offset += step) {
      for (const { head, content } of records.push(stream.subarray(offset, offset + step)))
        found.push(concatBytes(head, content));
    }
    assert.deepEqual(found.map(encodeHex), [encodeHex(helloRecord), trace.records.serverFlight]);
  }
  const messages = new MessageReader();
  messages.push(decodeHex(trace.serverFlight));
  const types = [8, 11, 15, 20];
  const raw = types.map((type) => encodeHex(messages.take(type)?.raw ?? none));
  assert.equal(raw.join(""), trace.serverFlight);
  assert.deepEqual(
    raw.map((message) => message.length / 2),
    [40, 445, 136, 36],
  );
});

test("rfc 8448: the trace's server hello is read, and the rest is refused for not being the profile's", () => {
  const hello = parseServerHello(decodeHex(trace.serverHello).slice(4), ["X25519"]);
  assert.deepEqual([hello.suite.name, hello.group], ["TLS_AES_128_GCM_SHA256", "X25519"]);
  assert.equal(encodeHex(hello.share), trace.serverHello.slice(2 * 52, 2 * 84));
  assert.throws(() => parseServerHello(decodeHex(trace.serverHello).slice(4), ["X25519MLKEM768"]), {
    code: "classical-downgrade",
  });
  const flight = decodeHex(trace.serverFlight);
  assert.throws(() => parseEncryptedExtensions(flight.slice(4, 40), "sotto/1"), {
    code: "unexpected-extension",
  });
  assert.throws(() => parseCertificateVerify(flight.slice(40 + 445 + 4, -36)), {
    code: "wrong-signature-algorithm",
  });
});

test("rfc 8448: the hostile server's own keys are the trace's too", () => {
  const own = new Schedule(suites.aes128, decodeHex(trace.sharedSecret));
  const hellos = decodeHex(trace.clientHello + trace.serverHello);
  const atHello = digestOf(suites.aes128, hellos);
  const atFinished = digestOf(suites.aes128, hellos, decodeHex(trace.serverFlight));
  assert.equal(encodeHex(own.handshake("c", atHello)), trace.clientHandshakeTraffic);
  assert.equal(encodeHex(own.handshake("s", atHello)), trace.serverHandshakeTraffic);
  assert.equal(encodeHex(own.application("c", atFinished)), trace.clientApplicationTraffic);
  assert.equal(encodeHex(own.application("s", atFinished)), trace.serverApplicationTraffic);
  assert.equal(
    encodeHex(own.finished(decodeHex(trace.clientHandshakeTraffic), atFinished)),
    trace.clientFinished.slice(8),
  );
  const exporter = decodeHex(trace.exporterSecret);
  const derived = labelled(suites.aes128, exporter, "EXPORTER-x", digestOf(suites.aes128));
  const expected = labelled(suites.aes128, derived, "exporter", digestOf(suites.aes128, hellos), 40);
  assert.deepEqual(own.exporter(atFinished, "EXPORTER-x", hellos, 40), expected);
  assert.deepEqual(schedule.exportKeys(suite, exporter, "EXPORTER-x", hellos, 40), expected);
  const ends = new Map<string, readonly [sealing: Protection, opening: Protection]>();
  for (const [secret, name, type, content] of recordTable) {
    const create = () => new Protection(suites.aes128, decodeHex(trace[secret]));
    const [sealing, opening] = ends.get(secret) ?? [create(), create()];
    ends.set(secret, [sealing, opening]);
    assert.equal(encodeHex(sealing.seal(type, decodeHex(content))), trace.records[name], name);
    assert.deepEqual(opening.open(decodeHex(trace.records[name])), { type, content: decodeHex(content) });
  }
  // HMAC as RFC 4231 Section 4.3 has it, so that the two halves above do not only agree with each other.
  const mac = macOf(suites.aes128, Buffer.from("Jefe"), Buffer.from("what do ya want for nothing?"));
  assert.equal(encodeHex(mac), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
});
