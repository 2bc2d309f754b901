// The first message: the same for every session but for its random and its key shares (RFC 8446 Section 4.1.2).
import { type Bytes, ByteWriter, encodeUtf8 } from "@sotto/base";
import type { KeyShare } from "./key-exchange.ts";
import {
  cipherSuites,
  ecdsaSecp256r1Sha256,
  extensionType,
  groupId,
  handshakeType,
  tls12,
  tls13,
} from "./parameters.ts";

/**
 * ClientHello with a key share for every group that is offered, so that no server has a reason to ask again; an empty
 * session id, no pre-shared key, no early data, no name.
 */
export function serializeClientHello(random: Bytes, shares: readonly KeyShare[], alpn: string): Bytes {
  const suites = new ByteWriter();
  for (const { id } of cipherSuites) suites.u16(id);
  const groups = new ByteWriter();
  const keyShares = new ByteWriter();
  for (const { group, share } of shares) {
    groups.u16(groupId[group]);
    keyShares.u16(groupId[group]).vector(2, share);
  }
  const protocols = new ByteWriter().vector(1, encodeUtf8(alpn)).finish();
  const extensions = new ByteWriter();
  const add = (type: number, content: Bytes): void => void extensions.u16(type).vector(2, content);
  add(extensionType.supportedVersions, new ByteWriter().u8(2).u16(tls13).finish());
  add(extensionType.supportedGroups, new ByteWriter().vector(2, groups.finish()).finish());
  add(extensionType.signatureAlgorithms, new ByteWriter().u16(2).u16(ecdsaSecp256r1Sha256).finish());
  add(extensionType.keyShare, new ByteWriter().vector(2, keyShares.finish()).finish());
  add(extensionType.alpn, new ByteWriter().vector(2, protocols).finish());
  const body = new ByteWriter()
    .u16(tls12)
    .bytes(random)
    .u8(0) // session id
    .vector(2, suites.finish())
    .u8(1) // one compression method,
    .u8(0) // which is none
    .vector(2, extensions.finish())
    .finish();
  return serializeMessage(handshakeType.clientHello, body);
}

/** `u8 type || u24 length || body` (RFC 8446 Section 4). */
export function serializeMessage(type: number, body: Bytes): Bytes {
  return new ByteWriter().u8(type).vector(3, body).finish();
}
