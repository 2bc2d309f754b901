// `node:tls` under attack, with the profile's options: the yardstick that our own client is held against.
import { constants } from "node:crypto";
import { Duplex } from "node:stream";
import { connect, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import { type Bytes, concatBytes, copyBytes } from "@sotto/base";
import { type Attack, judged, type Outcome, patience } from "./attack.ts";
import type { Script } from "./hostile-script.ts";
import { HostileServer } from "./hostile-server.ts";

const contexts = new Map<string, SecureContext>();

function contextFor(groups: string): SecureContext {
  let context = contexts.get(groups);
  if (context === undefined) {
    context = createSecureContext({
      minVersion: "TLSv1.3",
      maxVersion: "TLSv1.3",
      ciphers: "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384",
      sigalgs: "ecdsa_secp256r1_sha256",
      secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
      ca: [],
      ecdhCurve: groups,
    });
    contexts.set(groups, context);
  }
  return context;
}

/** Lets OpenSSL meet a script; resolves when the connection is over on this end. */
export function attackNode(script: Script, attack: Attack = {}): Promise<Outcome> {
  const groups = attack.groups ?? ["X25519"];
  const stream = new ServerStream(script);
  const outcome = {
    isSecured: false,
    code: undefined as string | undefined,
    data: new Uint8Array() as Bytes,
  };
  const socket = connect({
    socket: stream,
    secureContext: contextFor(groups.join(":")),
    ALPNProtocols: ["sotto/1"],
    servername: "",
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  const refuse = (code: string): void => {
    outcome.code ??= code;
    socket.destroy();
    stream.destroy();
  };
  socket.on("error", (error: NodeJS.ErrnoException) => refuse(codeOf(error, outcome.isSecured)));
  stream.once("never", () => refuse("never"));
  socket.on("data", (bytes: Buffer) => {
    outcome.data = concatBytes(outcome.data, bytes);
  });
  socket.on("end", () => socket.end());
  socket.once("secureConnect", () => {
    outcome.isSecured = true;
    const code = attack.isJudged === false ? undefined : judgeSocket(socket, groups);
    if (code === undefined) socket.write("ping");
    else refuse(code);
  });
  // What the profile refuses over and above OpenSSL.
  if (attack.isJudged !== false) socket.on("session", () => refuse("session-ticket"));
  return new Promise((resolve, reject) => {
    const hung = setTimeout(() => reject(new Error("node:tls hangs")), 10_000);
    socket.once("close", () => {
      clearTimeout(hung);
      stream.destroy();
      if (!outcome.isSecured) outcome.code ??= "truncated";
      resolve({ ...outcome, heard: stream.server.heard, consumed: stream.consumed });
    });
  });
}

function judgeSocket(socket: TLSSocket, groups: readonly string[]): string | undefined {
  if (socket.getProtocol() !== "TLSv1.3") return "tls-version";
  if (socket.isSessionReused()) return "resumed";
  if (socket.alpnProtocol !== "sotto/1") return "wrong-protocol";
  const info = socket.getEphemeralKeyInfo();
  // Node names the hybrid group, and says of X25519 that it is one of the kind ECDH.
  const name = info !== null && "name" in info ? info.name : undefined;
  if (name === undefined || !groups.includes(name)) return "classical-downgrade";
  const certificate = socket.getPeerX509Certificate();
  return certificate === undefined ? "bad-certificate" : judged(copyBytes(certificate.raw)).code;
}

function codeOf(error: NodeJS.ErrnoException, isSecured: boolean): string {
  if (error.code === "ECONNRESET" && !isSecured) return "truncated";
  return error.code ?? error.name;
}

/** The server's end as a stream that gives a piece whenever one is asked for, and ends after the last. */
class ServerStream extends Duplex {
  readonly server: HostileServer;
  consumed = 0;
  #pieces: Iterator<Bytes> | undefined;
  #isWanted = false;

  constructor(script: Script) {
    super({ readableHighWaterMark: 1 }); // not read ahead: what is counted has been asked for
    this.server = new HostileServer(script);
  }

  override _read(): void {
    this.#isWanted = true;
    this.#give();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    const pieces = this.server.receive(chunk);
    if (this.#pieces === undefined && this.server.hasHello) this.#pieces = pieces[Symbol.iterator]();
    callback();
    this.#give();
  }

  #give(): void {
    if (!this.#isWanted || this.#pieces === undefined) return;
    this.#isWanted = false;
    // Not within the call, for the two ends must not run inside each other.
    setImmediate(() => {
      if (this.destroyed) return;
      const { value, done } = this.#pieces?.next() ?? { value: undefined, done: true };
      if (this.consumed > patience) this.emit("never");
      else if (done === true || value === undefined) this.push(null);
      else if (value.length === 0) {
        this.#isWanted = true;
        this.#give();
      } else {
        this.consumed += value.length;
        this.push(value);
      }
    });
  }
}
