// What both servers in Node do with a publish: read its body as JSON, tell it, answer 202.
export async function publish(request, response, tell) {
  const parts = [];
  for await (const part of request) parts.push(part);
  tell(JSON.parse(Buffer.concat(parts)));
  response.writeHead(202, { "content-type": "application/json", "content-length": 2 }).end("{}");
}
