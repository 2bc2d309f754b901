// The guest's report interface, answered by a loop in this process: the report is the data that was asked for.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export type FakeDevice = {
  readonly root: string;
  readonly requests: Uint8Array[];
  readonly close: () => void;
};

export function openFakeDevice(): FakeDevice {
  const root = mkdtempSync(join(tmpdir(), "sotto-tsm-"));
  const requests: Uint8Array[] = [];
  const answered = new Set<string>();
  const timer = setInterval(() => {
    for (const name of readdirSync(root)) {
      const path = (attribute: string): string => join(root, name, attribute);
      if (answered.has(name)) continue;
      try {
        if (!existsSync(path("inblob"))) writeFileSync(path("inblob"), "");
        const data = new Uint8Array(readFileSync(path("inblob")));
        if (data.length < 64) continue;
        answered.add(name);
        requests.push(data);
        writeFileSync(path("provider"), "sev_guest\n");
        writeFileSync(path("generation"), "1\n");
        writeFileSync(path("auxblob"), "certificates");
        writeFileSync(path("outblob"), data);
      } catch {
        // The folder has gone.
      }
    }
  }, 2);
  return {
    root,
    requests,
    close: () => {
      clearInterval(timer);
      rmSync(root, { recursive: true, force: true });
    },
  };
}
