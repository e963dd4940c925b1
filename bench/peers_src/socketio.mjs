// A socket.io server over WebSocket only, with all clients in the default namespace.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { publish } from "./publish.mjs";

const server = createServer();
const io = new Server(server, { transports: ["websocket"], serveClient: false, pingInterval: 15_000 });

server.on("request", async (request, response) => {
  if (request.method === "POST") await publish(request, response, (event) => io.emit("message", event));
});
// Longer than the longest pause of the load client between two publishes.
server.keepAliveTimeout = 300_000;
server.listen(Number(process.env.PORT), "127.0.0.1", 2_048);
