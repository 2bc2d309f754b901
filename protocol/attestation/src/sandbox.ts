// The layers of the sandbox around the process that holds plaintext (spec/attested-session.md), compiled in.
// Measured code checks them when such a process starts; here is only what they are called and how they travel.
import { ByteReader, type Bytes, ByteWriter } from "@sotto/base";
import { AttestationError, strictly } from "./attestation-error.ts";

/** One layer of the sandbox. */
export type SandboxLayer =
  | "environment"
  | "permission"
  | "code"
  | "core-dumps"
  | "privileges"
  | "namespaces"
  | "limits";

/** Every layer, in canonical order: the place of a layer is its bit, counted from the least significant. */
export const sandboxLayers: readonly SandboxLayer[] = [
  "environment",
  "permission",
  "code",
  "core-dumps",
  "privileges",
  "namespaces",
  "limits",
];

/** What a layer gives, in words for a person; `missing` names the same thing as something that is not there. */
export const sandboxWords: Readonly<
  Record<SandboxLayer, { readonly present: string; readonly missing: string }>
> = {
  environment: {
    present: "nothing inherited from outside: empty environment",
    missing: "an empty environment, nothing inherited from outside",
  },
  permission: {
    present: "the runtime refuses network, writes, other processes, threads and foreign code",
    missing: "a runtime that refuses network, writes, other processes, threads and foreign code",
  },
  code: {
    present: "no code from strings, frozen built-in objects",
    missing: "the refusal of code from strings, frozen built-in objects",
  },
  "core-dumps": {
    present: "memory is never dumped to disk",
    missing: "the refusal of memory dumps to disk",
  },
  privileges: {
    present: "no privileges, and none to be gained",
    missing: "the giving up of privileges for good",
  },
  namespaces: {
    present: "users, network, files and processes of its own",
    missing: "users, network, files and processes of its own",
  },
  limits: {
    present: "bounded memory, processor time and open files",
    missing: "bounds on memory, processor time and open files",
  },
};

/** Writes layers as the bits of a `u16`; throws `AttestationError` unless they are in canonical order and once each. */
export function serializeSandboxLayers(layers: readonly SandboxLayer[]): Bytes {
  let bits = 0;
  let next = 0;
  for (const layer of layers) {
    const bit = sandboxLayers.indexOf(layer);
    if (bit < next) throw new AttestationError("malformed", "sandbox layers: unknown or not in order");
    bits |= 1 << bit;
    next = bit + 1;
  }
  return new ByteWriter().u16(bits).finish();
}

/** Reads the bits of a `u16`; a bit that means no layer is refused. Throws `AttestationError`. */
export function parseSandboxLayers(bytes: Uint8Array): readonly SandboxLayer[] {
  const bits = strictly("sandbox layers", () => {
    const reader = new ByteReader(bytes);
    const value = reader.u16();
    reader.end();
    return value;
  });
  if (bits >> sandboxLayers.length !== 0)
    throw new AttestationError("malformed", "sandbox layers: unknown bits");
  return sandboxLayers.filter((_, bit) => ((bits >> bit) & 1) === 1);
}

/** Which layers are not there, in canonical order. */
export function missingLayers(layers: readonly SandboxLayer[]): readonly SandboxLayer[] {
  return sandboxLayers.filter((layer) => !layers.includes(layer));
}
