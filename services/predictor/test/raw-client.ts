// A client of a predictor's that speaks the protocol byte by byte, as it should or not.
import assert from "node:assert/strict";
import { connect as connectTcp } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { serializeEvidenceBundle } from "@sotto/attestation";
import { ByteReader, type Bytes, ByteWriter, concatBytes, copyBytes, encodeUtf8, sha256 } from "@sotto/base";
import type { SessionAttester } from "@sotto/ratls";
import { serializeRequest } from "@sotto/wire";

type Frame = { readonly type: number; readonly content: Bytes };

/** The wire as it is, without any verification of the server, which is what is tested here; it shows evidence itself. */
export class RawClient {
  readonly socket: TLSSocket;
  readonly #bytes: AsyncIterator<Uint8Array>;
  #buffer: Bytes = new Uint8Array();

  constructor(port: number) {
    this.socket = connectTls({
      socket: connectTcp(port, "127.0.0.1"),
      ALPNProtocols: ["sotto-node/1"],
      ecdhCurve: "X25519MLKEM768",
      minVersion: "TLSv1.3",
      rejectUnauthorized: false, // evidence is not what is tested
    });
    this.socket.on("error", () => {});
    this.#bytes = this.socket[Symbol.asyncIterator]();
  }

  send(type: number, content: Bytes): void {
    this.socket.write(new ByteWriter().u8(type).u32(content.length).u32(0).bytes(content).finish());
  }

  async read(): Promise<Frame | undefined> {
    const head = await this.#take(9);
    if (head === undefined) return undefined;
    const reader = new ByteReader(head);
    const [type, length, padding] = [reader.u8(), reader.u32(), reader.u32()];
    const body = await this.#take(length + padding);
    return body === undefined ? undefined : { type, content: body.slice(0, length) };
  }

  async attest(own: SessionAttester): Promise<void> {
    await this.meet();
    await this.introduce(own);
    assert.equal((await this.read())?.type, 7);
  }

  /** Has the server attest, and asks no more of it. */
  async meet(): Promise<void> {
    this.send(1, new Uint8Array(33).fill(1));
    assert.equal((await this.read())?.type, 2);
  }

  /** Shows evidence for the channel, as the server asked. */
  async introduce({ attest }: SessionAttester): Promise<void> {
    const asked = await this.read();
    assert.equal(asked?.type, 1);
    const request = asked?.content ?? new Uint8Array();
    const key = this.socket.getPeerX509Certificate()?.publicKey;
    const requestDigest = sha256(request);
    const label = "EXPORTER-sotto-attested-session-1-client";
    const bundle = await attest({
      role: "orchestrator",
      spkiDigest: sha256(key?.export({ type: "spki", format: "der" }) ?? new Uint8Array()),
      nonce: request.slice(1),
      exporter: copyBytes(this.socket.exportKeyingMaterial(32, label, Buffer.from(requestDigest))),
      requestDigest,
    });
    this.send(2, serializeEvidenceBundle(bundle));
  }

  ask(question: object): void {
    const request = serializeRequest({
      method: "POST",
      scheme: "https",
      authority: "predictor.sotto.invalid",
      path: "/v1/chat/completions",
      headers: [["content-type", "application/json"]],
      content: encodeUtf8(JSON.stringify(question)),
      trailers: [],
    });
    this.send(3, request);
  }

  async #take(length: number): Promise<Bytes | undefined> {
    while (this.#buffer.length < length) {
      const next = await this.#bytes.next().catch(() => ({ done: true as const, value: undefined }));
      if (next.done === true) return undefined;
      this.#buffer = concatBytes(this.#buffer, next.value);
    }
    const taken = this.#buffer.slice(0, length);
    this.#buffer = this.#buffer.slice(length);
    return taken;
  }
}
