// Prints the events of a stream, received with the npm package eventsource, which reconnects by itself.
import { EventSource } from 'eventsource';

const [url, token] = process.argv.slice(2);
const source = new EventSource(url, {
  fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } }),
});
for (const type of ['connection_confirmed', 'notification', 'reset', 'bye']) {
  source.addEventListener(type, (event) => {
    console.log(JSON.stringify({ type, id: event.lastEventId, data: event.data }));
  });
}
source.addEventListener('error', (event) => console.error(event.code, event.message, source.readyState));
