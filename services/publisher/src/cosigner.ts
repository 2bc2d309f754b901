// Takes a signed checkpoint round the witnesses and brings back their cosignatures (C2SP tlog-witness).
import { encodeBase64 } from "@sotto/base";
import {
  consistencyProof,
  type HashReader,
  LogError,
  type Note,
  type NoteSignature,
  parseSignatureLine,
  serializeNote,
  type Verifier,
  verifyCosignature,
} from "@sotto/log";

export type WitnessAddress = { readonly url: string; readonly verifier: Verifier };

export type CosignerDependencies = {
  readonly witnesses: readonly WitnessAddress[];
  readonly fetch: typeof fetch;
  readonly timeoutMs: number;
};

/** Wires the cosigner; it returns what valid cosignatures it could get, in time. */
export function createCosigner(
  dependencies: CosignerDependencies,
): (note: Note, size: number, read: HashReader) => Promise<NoteSignature[]> {
  // What each witness has last seen, as far as is known here; it says so when this is wrong.
  const seen = new Map<string, number>();

  const ask = async (witness: WitnessAddress, note: Note, size: number, read: HashReader) => {
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const old = Math.min(seen.get(witness.url) ?? 0, size);
      const proof = consistencyProof(old, size, read).map((hash) => `${encodeBase64(hash)}\n`);
      const response = await dependencies.fetch(new URL("add-checkpoint", withSlash(witness.url)), {
        method: "POST",
        body: `old ${old}\n${proof.join("")}\n${serializeNote(note)}`,
        signal: AbortSignal.timeout(dependencies.timeoutMs),
      });
      const text = await response.text();
      if (response.status === 409) {
        const known = Number(text.trim());
        // A witness that has seen more than there is holds a tree that this log must not contradict.
        if (!Number.isSafeInteger(known) || known > size) return undefined;
        seen.set(witness.url, known);
        continue;
      }
      if (response.status !== 200) return undefined;
      const signature = parseSignatureLine(text.trimEnd());
      const valid = await verifyCosignature({ text: note.text, signatures: [signature] }, witness.verifier);
      if (valid === undefined) return undefined;
      seen.set(witness.url, size);
      return signature;
    }
    return undefined;
  };

  return async (note, size, read) => {
    const answers = await Promise.all(
      dependencies.witnesses.map((witness) =>
        ask(witness, note, size, read).catch((error: unknown) => {
          if (error instanceof LogError || error instanceof TypeError || error instanceof DOMException)
            return undefined;
          throw error;
        }),
      ),
    );
    return answers.filter((answer) => answer !== undefined);
  };
}

function withSlash(url: string): string {
  return url.endsWith("/") ? url : `${url}/`;
}
