// A worker that performs one task; it has neither a document nor a window.
import { perform, type Task } from "./task.browser.ts";

addEventListener("message", (event: MessageEvent<Task>) => {
  perform(event.data).then(postMessage, (error: unknown) => postMessage({ failure: String(error) }));
});
