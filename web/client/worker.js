/** Shared worker: one Core for all tabs. */

import { Core } from "./core.js";
import { CoreHost } from "./tab-link.js";

/** @type {Set<MessagePort>} */
const ports = new Set();
const core = new Core();
const host = new CoreHost(core, (message) => {
  for (const port of ports) port.postMessage(message);
});
const started = core.start();

globalThis.onconnect = ({ ports: [port] }) => {
  ports.add(port);
  port.onmessage = async ({ data }) => {
    if (data.leave) ports.delete(port);
    if (data.join) ports.add(port);
    // A call waits until the state is restored from disk, but at most a second.
    if (data.call && data.call !== "start") await Promise.race([started, new Promise((resolve) => setTimeout(resolve, 1_000))]);
    host.receive(data, (message) => port.postMessage(message));
  };
};
