// A model server that makes tokens at a fixed pace: first at once, then one every `paceMs`. Prints its address.
import { createServer } from "node:http";

const paceMs = Number(process.argv[2] ?? 2);

const server = createServer((request, response) => {
  if (request.url === "/v1/models") {
    response.end(JSON.stringify({ data: [{ id: "paced" }] }));
    return;
  }
  let body = "";
  request.setEncoding("utf8").on("data", (piece: string) => {
    body += piece;
  });
  request.on("end", () => {
    const { max_tokens: count = 1 }: { max_tokens?: number } = JSON.parse(body);
    response.writeHead(200, { "content-type": "text/event-stream" });
    const startedAt = performance.now();
    let sent = 0;
    const send = (): void => {
      // What is due is sent, so that a late timer does not slow the pace.
      while (sent < count && performance.now() - startedAt >= sent * paceMs) {
        sent += 1;
        response.write(
          `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: "token " } }] })}\n\n`,
        );
      }
      if (sent < count) setTimeout(send, 1);
      else {
        const usage = { prompt_tokens: 1, completion_tokens: count };
        const last = { choices: [{ index: 0, delta: {}, finish_reason: "length" }], usage };
        response.end(`data: ${JSON.stringify(last)}\n\ndata: [DONE]\n\n`);
      }
    };
    send();
  });
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) console.log(`http://127.0.0.1:${address.port}/v1`);
});
process.stdin.on("end", () => process.exit()).resume();
