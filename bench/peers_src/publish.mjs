// Reads the body of a publish request as JSON, sends it to all streams and responds with 202.
export async function publish(request, response, send) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  send(JSON.parse(Buffer.concat(chunks)));
  response.writeHead(202, { "content-type": "application/json", "content-length": 2 }).end("{}");
}
