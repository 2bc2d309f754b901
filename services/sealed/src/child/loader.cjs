// First code of a sealed process, plain JavaScript because to strip types would cost it 15 ms: runs the bundle with the
// cache of its compilation, so that nothing is compiled again for every request.
// `node loader.cjs CODE CACHE ARGUMENT`; CACHE is `-` for none. With write permission the cache is made, at the end.
"use strict";
const { readFileSync, writeFileSync } = require("node:fs");
const { Script } = require("node:vm");

const [code, cache] = process.argv.splice(2, 2);
const makesCache = process.permission?.has("fs.write", cache) === true;
const cachedData = cache === "-" || makesCache ? undefined : readFileSync(cache);
const source = `(function (require, module, exports, __filename) {${readFileSync(code, "utf8")}\n})`;
const script = new Script(source, { filename: "sealed.cjs", cachedData });
if (makesCache) process.on("exit", () => writeFileSync(cache, script.createCachedData()));
script.runInThisContext()(require, module, module.exports, code);
