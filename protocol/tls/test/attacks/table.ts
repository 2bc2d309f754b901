// The form of the tables of attacks: what a server does, and how each client refuses it.
import type { Attack } from "../attack.ts";
import type { Script } from "../hostile-script.ts";

/** `undefined` for a client that takes it, which the reason beside it must explain. */
export type Verdict = string | undefined;

/** What the server does in words, its script, our client's code, OpenSSL's code, and what the clients offer. */
export type Row = readonly [what: string, script: Script, sotto: Verdict, openssl: Verdict, attack?: Attack];
