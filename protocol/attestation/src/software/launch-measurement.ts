// The launch digest of a guest, as the secure processor extends it page by page (SNP ABI 1.58 Section 8.17.2).
// The guest image here is a list of files; firmware, kernel hashes and the processor state are not emulated.
import { type Bytes, ByteWriter, EncodingError, sha384 } from "@sotto/base";

/** Bytes in a guest page. */
export const pageSize = 4096;

const pageInfoSize = 0x70;
const normalPage = 1;
const imageEnd = 2 ** 32; // firmware ends at 4 GiB; the image lies where firmware would

/**
 * Extends a launch digest by one normal page.
 *
 * ```
 * PAGE_INFO = digest 48 || SHA-384(page) 48 || u16le 0x70 || u8 page type || u8 is IMI || u8 VMPL3, 2, 1 permissions
 *           || u8 reserved || u64le guest physical address        (SNP ABI 1.58 Table 67)
 * ```
 */
export function extendLaunchDigest(digest: Uint8Array, page: Uint8Array, address: bigint): Bytes {
  if (page.length !== pageSize) throw new EncodingError("out-of-range", "launch digest: not a whole page");
  const info = new ByteWriter()
    .bytes(digest)
    .bytes(sha384(page))
    .u16le(pageInfoSize)
    .u8(normalPage)
    .zeros(5)
    .u64le(address)
    .finish();
  return sha384(info);
}

/**
 * MEASUREMENT of a guest that starts with this image below 4 GiB: 48 bytes.
 *
 * The last page is filled with zeros, so an image format must not depend on zeros at its end.
 */
export function measureImage(image: Uint8Array): Bytes {
  const pages = Math.max(1, Math.ceil(image.length / pageSize));
  let digest: Bytes = new Uint8Array(48);
  for (let index = 0; index < pages; index += 1) {
    const page = new Uint8Array(pageSize);
    page.set(image.subarray(index * pageSize, (index + 1) * pageSize));
    digest = extendLaunchDigest(digest, page, BigInt(imageEnd - (pages - index) * pageSize));
  }
  return digest;
}
