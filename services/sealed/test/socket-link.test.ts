// Connections joined to a sealed process that the test plays: the streams are in memory, the sockets are real.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { after, test } from "node:test";
import { concatBytes } from "@sotto/base";
import { createSealedPeer, linkSocket, type StreamName, serializePieces } from "@sotto/sealed";
import { Channel, type ChannelStream } from "@sotto/sealed/child";

const server = createServer({ noDelay: true });
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
after(() => server.close());
const piece = 64 * 1024;

/** A connection, both ends of it. */
async function openPair(): Promise<{ near: Socket; far: Socket }> {
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const accepted = once(server, "connection");
  const near = connect({ port: address.port, host: "127.0.0.1", noDelay: true });
  const [far]: Socket[] = await accepted;
  assert.ok(far !== undefined);
  for (const socket of [near, far]) {
    socket.on("error", () => {});
    after(() => socket.destroy());
  }
  return { near, far };
}

/** A parent's end and a child's, with a connection for each of some streams. */
async function open(...names: readonly StreamName[]) {
  const [input, output] = [new PassThrough(), new PassThrough()];
  let killed = false;
  const peer = createSealedPeer({
    input,
    output,
    kill: () => {
      killed = true;
      input.destroy();
    },
    ended: new Promise(() => {}),
    onLocked: () => {},
    onReady: () => {},
  });
  const links = new Map<StreamName, { near: Socket; far: Socket } & ReturnType<typeof linkSocket>>();
  for (const name of names) {
    const pair = await openPair();
    links.set(name, { ...pair, ...linkSocket(peer, name, pair.near) });
  }
  const link = (name: StreamName) => {
    const found = links.get(name);
    assert.ok(found !== undefined);
    return found;
  };
  peer.handle({
    bytes: (name, bytes) => link(name).bytes(name, bytes),
    end: (name) => link(name).end(name),
  });
  const openChannel = (): Channel => new Channel(input, output, () => {});
  return { peer, input, output, link, openChannel, wasKilled: () => killed };
}

const pattern = (length: number): Uint8Array => new Uint8Array(length).map((_, index) => (index * 7) % 251);
const soon = (ms = 50): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Writes as much as is taken without waiting, at most `limit`, and returns how much that was. */
async function fill(stream: Socket | ChannelStream, limit: number): Promise<number> {
  let written = 0;
  while (written < limit) {
    written += piece;
    if (stream.write(new Uint8Array(piece))) continue;
    const drained = once(stream, "drain").then(() => true);
    if (!(await Promise.race([drained, soon(100).then(() => false)]))) break;
  }
  return written;
}

async function collect(stream: Socket | ChannelStream): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const bytes of stream) pieces.push(bytes);
  return Buffer.concat(pieces);
}

test("bytes pass both ways, whole and in order, and ends after them", async () => {
  const { link, openChannel } = await open("client");
  const { far } = link("client");
  const stream = openChannel().open("client");
  const [there, back] = [pattern(1_000_001), pattern(2_000_003)];
  stream.write(back);
  stream.end();
  const atFar = collect(far);
  far.write(there);
  assert.deepEqual(new Uint8Array(await atFar), back);
  far.end();
  assert.deepEqual(new Uint8Array(await collect(stream)), there);
});

test("a connection that does not read makes the process wait, and little is held meanwhile", async () => {
  const { link, output, openChannel } = await open("client");
  const { near, far } = link("client");
  const stream = openChannel().open("client");
  const written = await fill(stream, 64 * 1024 * 1024);
  assert.ok(written < 64 * 1024 * 1024, "it is made to wait");
  assert.ok(near.writableLength <= 4 * piece, `${near.writableLength} bytes for the connection`);
  assert.ok(output.isPaused());
  let read = 0;
  far.on("data", ({ length }) => {
    read += length;
  });
  stream.end();
  await once(far, "end");
  assert.equal(read, written, "and nothing is lost");
});

test("a process that takes nothing in makes the connection wait, and little is held meanwhile", async () => {
  const { link, input, openChannel } = await open("client");
  const { near, far } = link("client");
  const written = await fill(far, 64 * 1024 * 1024);
  assert.ok(written < 64 * 1024 * 1024, "it is made to wait");
  assert.ok(input.writableLength <= 4 * piece, `${input.writableLength} bytes for the process`);
  assert.ok(near.isPaused());
  const stream = openChannel().open("client");
  far.end();
  assert.equal((await collect(stream)).length, written, "and nothing is lost");
});

test("who reads one stream does not let another's bytes pile up", async () => {
  const { peer, output } = await open();
  const heard: StreamName[] = [];
  peer.handle({ bytes: (name) => heard.push(name) === 0 }); // everybody is behind
  const pieces = (["predictor", "client"] as const).flatMap((name) =>
    serializePieces(name, new Uint8Array(9)),
  );
  for (let turn = 0; turn < 3; turn += 1) {
    output.write(concatBytes(...pieces));
    await soon(1);
  }
  assert.deepEqual(heard, ["predictor", "client"]);
  peer.resume("client");
  peer.resume("client");
  peer.resume("guard");
  await soon(1);
  assert.equal(heard.length, 2, "the predictor's is still behind");
  peer.resume("predictor");
  await soon(1);
  assert.equal(heard.length, 4);
});

test("a connection that is reset, or was never one, holds up no other stream", async () => {
  for (const breakOff of [(far: Socket) => far.resetAndDestroy(), (far: Socket) => far.destroy()]) {
    const { link, openChannel, wasKilled } = await open("client", "predictor");
    const channel = openChannel();
    const [client, predictor] = [channel.open("client"), channel.open("predictor")];
    const ended = once(predictor.resume(), "end");
    await fill(predictor, 64 * 1024 * 1024);
    breakOff(link("predictor").far);
    await ended; // the session inside is told
    predictor.on("error", () => {}).write(new Uint8Array(10 * piece));
    client.end("still there");
    assert.equal(String(await collect(link("client").far)), "still there");
    assert.ok(!wasKilled());
  }
});

test("an end is told once, in either direction", async () => {
  const { link, peer, input, openChannel } = await open("client");
  const { near, far } = link("client");
  const ends: string[] = [];
  const stream = openChannel().open("client");
  stream.on("end", () => ends.push("child")).resume();
  far.on("end", () => ends.push("connection")).resume();
  far.end();
  await once(near, "close");
  await soon();
  const told = input.readableLength;
  near.destroy();
  await soon();
  assert.deepEqual(ends.sort(), ["child", "connection"]);
  assert.equal(input.readableLength, told);
  assert.ok(peer.isAlive());
});

test("a process that speaks on a stream that nobody has joined is ended", async () => {
  for (const speak of [
    (stream: ChannelStream) => stream.write("x"),
    (stream: ChannelStream) => stream.end(),
  ]) {
    const [input, output] = [new PassThrough(), new PassThrough()];
    let killed = false;
    const kill = (): void => {
      killed = true;
    };
    const peer = createSealedPeer({
      input,
      output,
      kill,
      ended: new Promise(() => {}),
      onLocked: () => {},
      onReady: () => {},
    });
    const { near, far } = await openPair();
    const received = collect(far);
    peer.handle(linkSocket(peer, "predictor", near));
    speak(new Channel(input, output, () => {}).open("guard").on("error", () => {}));
    await soon();
    assert.ok(killed);
    near.destroy();
    assert.equal((await received).length, 0, "it does not come to another's connection");
  }
});
