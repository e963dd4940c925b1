/** Sign in with a token, connect, and let the elements do the rest. */

// Where the hub is; a page of your own would write it down.
const hub = new URLSearchParams(location.search).get("hub") ?? "http://localhost:8000";
const { connect } = await import(`${hub}/static/client.js`);

let token = sessionStorage.getItem("token");
const client = connect({ url: hub, token: async () => token });

// Defined after that, the elements of this hub use this client.
await import(`${hub}/static/elements.js`);

const form = document.querySelector("form");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { email, password } = Object.fromEntries(new FormData(form));
  const answer = await fetch(`${hub}/api/auth/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
  const body = await answer.json();
  if (!answer.ok) return void (document.querySelector("#said").textContent = body.message);
  token = body.token;
  sessionStorage.setItem("token", token);
  await client.signedIn(body.user);
});
// Before anybody listens, a browser would send the form itself, with the password in the address.
form.querySelector("button").disabled = false;

client.subscribe(() => {
  const { user, inbox } = client.getSnapshot();
  form.hidden = Boolean(user);
  document.querySelector("#said").textContent = user ? `Hello ${user.name}, ${inbox.unread} unread.` : "";
});
