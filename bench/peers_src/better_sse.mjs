// A better-sse server with one channel for all streams.
import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";
import { publish } from "./publish.mjs";

const channel = createChannel();

const server = createServer(async (request, response) => {
  if (request.method === "POST") {
    await publish(request, response, (event) => channel.broadcast(event, "message"));
  } else {
    channel.register(await createSession(request, response, { keepAlive: 15_000 }));
  }
});
// Longer than the longest pause of the load client between two publishes.
server.keepAliveTimeout = 300_000;
server.listen(Number(process.env.PORT), "127.0.0.1", 2_048);
