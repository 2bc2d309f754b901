// What the hostile server can be told: messages and records one by one, and what is to become of them.
import { type Bytes, encodeUtf8 } from "@sotto/base";
import type { Agreement, Identity } from "./hostile-identity.ts";
import type { Shape, Suite } from "./hostile-keys.ts";
import type * as messages from "./hostile-messages.ts";

/** Under which keys something is sent. */
export type Level = "plain" | "handshake" | "application";

/** What a message may be made from, at its place in the flight. */
export type Moment = {
  /** Hash of the handshake so far. */
  readonly transcript: Bytes;
  /** MAC for a Finished at this place. */
  readonly mac: Bytes;
  readonly clientHello: messages.ClientHello;
  /** Fields of the honest ServerHello. */
  readonly hello: messages.ServerHello;
  readonly agreement: Agreement;
  readonly identity: Identity;
};

/** One message of the flight, or one record of another type. */
export type Step = {
  readonly name: string;
  readonly level: Level;
  /** Content type, handshake where it is left out; only handshake messages enter the transcript. */
  readonly type?: number;
  readonly make: (moment: Moment) => Bytes;
  readonly shape?: Shape;
  /** Whether this end's key moves on behind it. */
  readonly updatesKey?: boolean;
};

/** One record before it is sealed. */
export type Item = Pick<Step, "level" | "shape" | "updatesKey"> & {
  readonly type: number;
  readonly content: Bytes;
  /** What is done to the sealed record. */
  readonly bend?: (record: Bytes) => Bytes;
};

/** How a server behaves; each part left out is the honest one. */
export type Script = {
  readonly suite?: Suite;
  readonly identity?: Identity;
  readonly alpn?: string;
  /** Whether the middlebox compatibility mode is followed; where left out, when the client asks for it. */
  readonly changeCipherSpec?: boolean;
  /** Whether signatures, MACs and keys are over what was really sent, or over the honest flight. */
  readonly transcript?: "sent" | "honest";
  readonly flight?: (steps: readonly Step[]) => readonly Step[];
  readonly records?: (items: readonly Item[]) => Iterable<Item>;
  /** The pieces in which the stream arrives; one piece where it is left out. */
  readonly pieces?: (records: Iterable<Bytes>) => Iterable<Bytes>;
};

export const contentTypes = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;

/** The honest flight, up to an answer and the end of the connection. */
export const honestNames = [
  "serverHello",
  "encryptedExtensions",
  "certificate",
  "certificateVerify",
  "finished",
] as const;

/** Steps that are no handshake messages. */
export const changeCipherSpec: Step = {
  name: "changeCipherSpec",
  level: "plain",
  type: contentTypes.changeCipherSpec,
  make: () => Uint8Array.of(1),
};

export function applicationData(text: string, level: Level = "application"): Step {
  return { name: "data", level, type: contentTypes.applicationData, make: () => encodeUtf8(text) };
}

export function alert(severity: number, description: number, level: Level = "application"): Step {
  return { name: "alert", level, type: contentTypes.alert, make: () => Uint8Array.of(severity, description) };
}

export const closeNotify: Step = { ...alert(1, 0), name: "closeNotify" };
