// What the client does for its caller: what it offers, when it takes and gives data, what is left after a failure.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Bytes, concatBytes, encodeHex, encodeUtf8, equalBytes, systemRandom } from "@sotto/base";
import { type GroupName, TlsClient, TlsError, type TlsErrorCode } from "@sotto/tls";
import { createClient } from "./attacked-sotto.ts";
import { before, endBefore, omit, replace, saying } from "./attacks/steps.ts";
import { createIdentity } from "./hostile-identity.ts";
import {
  certificateVerify,
  extensionTypes,
  groups,
  keyUpdate,
  parseClientHello,
} from "./hostile-messages.ts";
import { alert, contentTypes, type Script } from "./hostile-script.ts";
import { HostileServer, sharedIdentity } from "./hostile-server.ts";

const { applicationData, handshake } = contentTypes;
const none = new Uint8Array();
const quiet: Script = { flight: endBefore("data") };

/** A client and an honest server that have finished their handshake, and nothing more. */
async function meet(script: Script = quiet, offered: readonly GroupName[] = ["X25519"]) {
  const client = await createClient({ groups: offered });
  const server = new HostileServer(script);
  const progress = await client.receive(concatBytes(...server.receive(client.hello)));
  server.receive(progress.output);
  return { client, server, progress };
}

const isRefused = (code: TlsErrorCode) => (error: unknown) =>
  error instanceof TlsError && error.code === code;

test("the hello offers the profile and nothing else", async () => {
  for (const [offered, list, shares] of [
    [["X25519MLKEM768"], "000211ec", [[groups.hybrid, 1184 + 32]]],
    [["X25519"], "0002001d", [[groups.x25519, 32]]],
    [
      ["X25519MLKEM768", "X25519"],
      "000411ec001d",
      [
        [groups.hybrid, 1184 + 32],
        [groups.x25519, 32],
      ],
    ],
  ] as const) {
    const { hello } = await createClient({ groups: offered });
    assert.equal(encodeHex(hello.subarray(0, 3)), "160303");
    const parsed = parseClientHello(hello.slice(5));
    assert.equal(parsed.sessionId.length, 0);
    const found = [...parsed.extensions].map(([type, data]) => [type, encodeHex(data)] as const);
    assert.deepEqual(
      found.filter(([type]) => type !== extensionTypes.keyShare),
      [
        [extensionTypes.supportedVersions, "020304"],
        [extensionTypes.supportedGroups, list],
        [extensionTypes.signatureAlgorithms, "00020403"],
        [extensionTypes.alpn, encodeHex(encodeUtf8("\0\x08\x07sotto/1"))],
      ],
    );
    assert.deepEqual(
      [...parsed.shares].map(([group, share]) => [group, share.length]),
      shares,
    );
    // version, random, no session id, two suites, no compression
    assert.match(encodeHex(parsed.message), /^01[0-9a-f]{6}0303[0-9a-f]{64}000004130113020100/);
  }
});

test("no two hellos share anything that is chance", async () => {
  const seen = new Set<string>();
  for (let round = 0; round < 8; round += 1) {
    const { hello } = await createClient({ groups: ["X25519MLKEM768", "X25519"] });
    const { message, shares } = parseClientHello(hello.slice(5));
    const hybrid = shares.get(groups.hybrid) ?? none;
    for (const part of [
      message.slice(6, 38),
      hybrid.slice(0, 1184),
      hybrid.slice(1184),
      shares.get(groups.x25519) ?? none,
    ])
      seen.add(encodeHex(part));
  }
  assert.equal(seen.size, 8 * 4);
});

test("a platform without ml-kem has it from a library, with the same outcome", async () => {
  const prototype: object = Object.getPrototypeOf(crypto.subtle);
  const own = Object.getOwnPropertyDescriptor(prototype, "decapsulateBits");
  const lengths: number[] = [];
  try {
    if (own !== undefined) Reflect.deleteProperty(prototype, "decapsulateBits");
    const client = await TlsClient.create({
      groups: ["X25519MLKEM768"],
      alpn: "sotto/1",
      random: (length) => {
        lengths.push(length);
        return systemRandom(length);
      },
      judgeCertificate: () => sharedIdentity().spki,
    });
    const server = new HostileServer();
    const progress = await client.receive(concatBytes(...server.receive(client.hello)));
    assert.equal(Buffer.concat(progress.data).toString(), "pong");
    const label = "EXPORTER-x";
    assert.deepEqual(
      client.exportKeyingMaterial(label, none, 32),
      server.exportKeyingMaterial(label, none, 32),
    );
  } finally {
    if (own !== undefined) Object.defineProperty(prototype, "decapsulateBits", own);
  }
  assert.deepEqual(lengths, [64, 32], "a seed for the key, and the hello's random");
});

test("nothing is sent, told or exported before the handshake is over", async () => {
  const client = await createClient();
  const check = async () => {
    assert.equal(client.peer, undefined);
    await assert.rejects(client.send(encodeUtf8("early")), isRefused("closed"));
    assert.throws(() => client.exportKeyingMaterial("EXPORTER-x", none, 32), isRefused("closed"));
    assert.equal((await client.close()).length, 0);
  };
  await check();
  const server = new HostileServer({ flight: omit("finished") });
  const stream = concatBytes(...server.receive(client.hello));
  const progress = await client.receive(stream.slice(0, -50)); // all but the answer and the farewell
  assert.deepEqual([progress.isSecured, progress.output.length], [false, 0]);
  await check();
});

test("data goes both ways, in records of the limit, and an empty piece makes none", async () => {
  const { client, server } = await meet();
  assert.equal((await client.send(none)).length, 0);
  const data = systemRandom(40_000);
  const records = await client.send(data);
  assert.equal(records.length, data.length + 3 * (5 + 1 + 16));
  server.receive(records);
  assert.ok(equalBytes(server.heard.data, data));
  const { data: heard } = await client.receive(
    concatBytes(
      server.say(applicationData, data.subarray(0, 16_384)),
      server.say(applicationData, data.subarray(0, 1)),
    ),
  );
  assert.deepEqual(
    heard.map((piece) => piece.length),
    [16_384, 1],
  );
});

test("records are numbered in the order of calls, even of calls that overlap", async () => {
  const { client, server } = await meet();
  const texts = Array.from({ length: 50 }, (_, index) => `piece ${index}\n`);
  const records = await Promise.all(texts.map((text) => client.send(encodeUtf8(text))));
  assert.equal(new Set(records.map(encodeHex)).size, records.length);
  for (const record of records) server.receive(record);
  assert.equal(Buffer.from(server.heard.data).toString(), texts.join(""));
});

test("key updates: one is answered before the next data, and one answer is enough for many", async () => {
  for (const [asked, answers] of [
    [[0], 0],
    [[1], 1],
    [[0, 1, 0], 1],
    [[1, 1, 1], 1],
  ] as const) {
    const updates = asked.map((request) => ({
      ...saying("application", keyUpdate(request)),
      updatesKey: true,
    }));
    const { client, server, progress } = await meet({
      flight: (steps) => endBefore("closeNotify")(before("data", ...updates)(steps)),
    });
    assert.equal(Buffer.concat(progress.data).toString(), "pong");
    for (const text of ["one", "two"]) server.receive(await client.send(encodeUtf8(text)));
    assert.equal(server.heard.keyUpdates, answers);
    assert.equal(Buffer.from(server.heard.data).toString(), "onetwo");
    assert.equal(server.heard.isOdd, false);
    const label = "EXPORTER-x";
    assert.deepEqual(
      client.exportKeyingMaterial(label, none, 32),
      server.exportKeyingMaterial(label, none, 32),
    );
  }
});

test("a farewell ends one direction: this end's sends nothing more, and still hears", async () => {
  const { client, server } = await meet();
  server.receive(await client.close());
  assert.deepEqual(server.heard.alerts, [0]);
  assert.equal((await client.close()).length, 0);
  await assert.rejects(client.send(encodeUtf8("late")), isRefused("closed"));
  const { data } = await client.receive(server.say(applicationData, encodeUtf8("answer")));
  assert.equal(Buffer.concat(data).toString(), "answer");
  assert.throws(() => client.receiveEnd(), isRefused("truncated"));
});

test("the server's farewell is an end; what comes after it is nobody's", async () => {
  const { client, server } = await meet();
  const farewell = server.say(contentTypes.alert, Uint8Array.of(1, 0));
  const late = server.say(applicationData, encodeUtf8("late"));
  const progress = await client.receive(concatBytes(farewell, late));
  assert.deepEqual([progress.isClosed, progress.data], [true, []]);
  client.receiveEnd();
  server.receive(await client.send(encodeUtf8("still")));
  assert.equal(Buffer.from(server.heard.data).toString(), "still");
});

test("after a failure nothing works, and one alert says why", async () => {
  for (const [code, alerts, script] of [
    [
      "bad-finished",
      [51],
      { flight: replace("finished", (_moment, honest) => honest.map((byte, at) => (at > 3 ? 0 : byte))) },
    ],
    ["bad-signature", [51], { flight: replace("certificateVerify", () => certificateVerify(0x0403, none)) }],
    ["unexpected-message", [10], { flight: omit("certificateVerify") }],
    ["wrong-protocol", [120], { alpn: "h2" }],
    ["alert", [], { flight: before("certificate", alert(2, 80, "handshake")) }],
  ] as const satisfies readonly (readonly [TlsErrorCode, readonly number[], Script])[]) {
    const client = await createClient();
    const server = new HostileServer(script);
    const stream = concatBytes(...server.receive(client.hello));
    await assert.rejects(client.receive(stream), isRefused(code), code);
    await assert.rejects(client.receive(stream), isRefused("closed"));
    await assert.rejects(client.send(none), isRefused("closed"));
    server.receive(await client.failureAlert());
    assert.deepEqual(server.heard.alerts, alerts, code);
    assert.equal((await client.failureAlert()).length, 0);
    assert.equal(client.peer, undefined);
    assert.throws(() => client.exportKeyingMaterial("EXPORTER-x", none, 32), isRefused("closed"));
  }
});

test("a failure after the handshake ends what was open, and its alert is understood", async () => {
  const { client, server } = await meet();
  await assert.rejects(client.receive(server.say(handshake, keyUpdate(2))), isRefused("illegal-parameter"));
  await assert.rejects(client.send(encodeUtf8("more")), isRefused("closed"));
  assert.throws(() => client.exportKeyingMaterial("EXPORTER-x", none, 32), isRefused("closed"));
  server.receive(await client.failureAlert());
  assert.deepEqual(server.heard.alerts, [47]);
});

test("what was to be written before a failure is written with the alert, in the order of keys", async () => {
  const client = await createClient();
  const server = new HostileServer({ flight: before("data", saying("application", keyUpdate(2))) });
  await assert.rejects(
    client.receive(concatBytes(...server.receive(client.hello))),
    isRefused("illegal-parameter"),
  );
  server.receive(await client.failureAlert());
  assert.deepEqual([server.heard.isFinished, server.heard.isOdd, server.heard.alerts], [true, false, [47]]);
});

test("the server's alert is told by its number", async () => {
  const { client, server } = await meet();
  await assert.rejects(client.receive(server.say(contentTypes.alert, Uint8Array.of(2, 86))), {
    code: "alert",
    alert: 86,
  });
});

test("the judge of certificates is asked once, in its turn, and its word counts", async () => {
  const asked: Bytes[] = [];
  const judging = (judge: (certificate: Bytes) => Bytes) =>
    TlsClient.create({
      groups: ["X25519"],
      alpn: "sotto/1",
      random: systemRandom,
      judgeCertificate: (certificate) => {
        asked.push(certificate);
        return judge(certificate);
      },
    });
  const run = async (client: TlsClient, script: Script = {}) =>
    client.receive(concatBytes(...new HostileServer(script).receive(client.hello)));
  await run(await judging(() => sharedIdentity().spki));
  assert.deepEqual(asked, [sharedIdentity().certificate]);

  const mine = new RangeError("mine");
  await assert.rejects(
    run(
      await judging(() => {
        throw mine;
      }),
    ),
    (error) => error === mine,
  );
  await assert.rejects(run(await judging(() => createIdentity().spki)), isRefused("bad-signature"));
  await assert.rejects(
    run(await judging(() => createIdentity({ namedCurve: "P-384" }).spki)),
    isRefused("bad-certificate"),
  );
  await assert.rejects(run(await judging(() => none)), isRefused("bad-certificate"));
  const before = asked.length;
  await assert.rejects(
    run(await judging(() => none), { flight: omit("encryptedExtensions") }),
    isRefused("unexpected-message"),
  );
  assert.equal(asked.length, before);
});

test("a client that is dropped works no more, whenever that is", async () => {
  const early = await createClient();
  const stream = concatBytes(...new HostileServer().receive(early.hello));
  early.destroy();
  await assert.rejects(early.receive(stream), isRefused("closed"));

  // Within the handshake, at any of the moments when it waits for the platform's cryptography.
  for (let turns = 0; turns < 12; turns += 1) {
    const client = await createClient();
    const server = new HostileServer(quiet);
    const received = client.receive(concatBytes(...server.receive(client.hello)));
    const settled = received.then(
      () => true,
      (error: unknown) =>
        assert.ok(isRefused("closed")(error) || isRefused("bad-record")(error), String(error)),
    );
    for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
    client.destroy();
    await settled;
    await assert.rejects(client.send(encodeUtf8("more")), isRefused("closed"));
    assert.throws(() => client.exportKeyingMaterial("EXPORTER-x", none, 32), isRefused("closed"));
  }

  const { client, server } = await meet();
  client.destroy();
  await assert.rejects(client.send(encodeUtf8("more")), isRefused("closed"));
  await assert.rejects(client.receive(server.say(applicationData, none)), isRefused("closed"));
});
