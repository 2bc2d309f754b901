// A model file is opened only when it is an inert format and the very file that was measured.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { EngineError } from "./sealed/engines/engine.ts";

const ggufMagic = "GGUF";

/** Checks magic and digest; throws `EngineError` with `model-refused`. */
export async function verifyModelFile(path: string, digest: string): Promise<void> {
  const head = Buffer.alloc(4);
  try {
    const file = await open(path);
    try {
      await file.read(head, 0, 4, 0);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new EngineError("model-refused", "model file is unreadable", { cause });
  }
  if (head.toString("latin1") !== ggufMagic) throw new EngineError("model-refused", "model file is not gguf");
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk);
  if (`sha256:${hash.digest("hex")}` !== digest) {
    throw new EngineError("model-refused", "model file is not the one that was measured");
  }
}
