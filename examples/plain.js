/** Signs in with a token, connects, and loads the elements. */

// The origin of the hub; your page would use a constant.
const hub = new URLSearchParams(location.search).get("hub") ?? "http://localhost:8000";
const { connect } = await import(`${hub}/static/client.js`);

let token = sessionStorage.getItem("token");
const client = connect({ url: hub, token: async () => token });

// The elements use the client that was created before they are loaded.
await import(`${hub}/static/elements.js`);

const form = document.querySelector("form");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { email, password } = Object.fromEntries(new FormData(form));
  const response = await fetch(`${hub}/api/auth/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email, password }),
  });
  const body = await response.json();
  if (!response.ok) return void (document.querySelector("#status").textContent = body.message);
  token = body.token;
  sessionStorage.setItem("token", token);
  await client.signedIn(body.user);
});
// Without the listener the browser would submit the form itself, with the password in the address.
form.querySelector("button").disabled = false;

client.subscribe(() => {
  const { user, inbox } = client.getSnapshot();
  form.hidden = Boolean(user);
  document.querySelector("#status").textContent = user ? `Hello ${user.name}, ${inbox.unread} unread.` : "";
});
