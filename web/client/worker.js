/** The shared worker: one Core, and so one stream, for all tabs of a browser. */

import { Core } from "./core.js";
import { Host } from "./tab-link.js";

/** @type {Set<MessagePort>} */
const ports = new Set();
const core = new Core();
const host = new Host(core, (message) => {
  for (const port of ports) port.postMessage(message);
});
const started = core.start();

globalThis.onconnect = ({ ports: [port] }) => {
  ports.add(port);
  port.onmessage = async ({ data }) => {
    if (data.bye) ports.delete(port);
    if (data.hello) ports.add(port);
    // What is asked while the disk is being read waits for it.
    if (data.call && data.call !== "start") await Promise.race([started, new Promise((resolve) => setTimeout(resolve, 1_000))]);
    host.take(data, (answer) => port.postMessage(answer));
  };
};
