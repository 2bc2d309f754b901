// Our own TLS client under attack, on the same terms as OpenSSL's.
import { type Bytes, CodedError, concatBytes, encodeUtf8, systemRandom } from "@sotto/base";
import { TlsClient, TlsError, type TlsProgress } from "@sotto/tls";
import { type Attack, judged, type Outcome, patience } from "./attack.ts";
import type { Script } from "./hostile-script.ts";
import { HostileServer } from "./hostile-server.ts";

class Refusal extends CodedError<"bad-certificate"> {}

/** A client of the profile, or one that takes any certificate with a key in it. */
export function createClient(attack: Attack = {}): Promise<TlsClient> {
  return TlsClient.create({
    groups: attack.groups ?? ["X25519"],
    alpn: "sotto/1",
    random: systemRandom,
    judgeCertificate: (certificate) => {
      const { code, spki } = judged(certificate);
      if (spki === undefined || (code !== undefined && attack.isJudged !== false))
        throw new Refusal("bad-certificate", "not in the session's form");
      return spki;
    },
  });
}

/**
 * Lets our client meet a script; resolves when either has no more to say. Rejects when the client throws anything but a
 * `TlsError` or what the judge of certificates threw.
 */
export async function attackSotto(script: Script, attack: Attack = {}): Promise<Outcome> {
  const client = await createClient(attack);
  const server = new HostileServer(script);
  const data: Bytes[] = [];
  let code: string | undefined;
  let isSecured = false;
  let consumed = 0;
  const follow = async (progress: TlsProgress): Promise<void> => {
    server.receive(progress.output);
    data.push(...progress.data);
    if (isSecured || !progress.isSecured) return;
    isSecured = true;
    server.receive(await client.send(encodeUtf8("ping")));
  };
  try {
    for (const piece of server.receive(client.hello)) {
      consumed += piece.length;
      await follow(await client.receive(piece));
      if (consumed > patience) break;
    }
    if (consumed > patience) code = "never";
    else client.receiveEnd();
    server.receive(await client.close());
  } catch (error) {
    if (!(error instanceof TlsError || error instanceof Refusal)) throw error;
    code = error.code;
    server.receive(await client.failureAlert());
  }
  client.destroy();
  return { isSecured, code, data: concatBytes(...data), heard: server.heard, consumed };
}
