// A TLS server on file descriptor 3 that gives session tickets, as OpenSSL does unless told otherwise: a process of
// its own, run without `openssl.cnf`.
import { Socket } from "node:net";
import { rawServer } from "./peer.ts";

rawServer(new Socket({ fd: 3 }));
