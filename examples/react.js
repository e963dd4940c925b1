/** Shows open jobs and the inbox in React, with live updates. */

import * as React from "react";
import { createRoot } from "react-dom/client";

const query = new URLSearchParams(location.search);
const hub = query.get("hub") ?? "http://localhost:8000";
const { connect } = await import(`${hub}/static/client.js`);
const { bind } = await import(`${hub}/static/react.js`);

// Your page would request the token of the signed-in user from its server.
const client = connect({ url: hub, token: async () => query.get("token") });
const { useJobs, useNotifications, useRealtime } = bind(React, client);
const h = React.createElement;

function Jobs() {
  const { jobs, loading, error, connectionStatus } = useJobs({ status: "open" });
  if (error) return h("p", { role: "alert" }, error.message);
  if (loading && !jobs.length) return h("p", null, "Loading…");
  return h(
    "section",
    null,
    h("h2", null, `Open jobs (${connectionStatus})`),
    h(
      "ul",
      null,
      jobs.map((job) => h("li", { key: job.id }, `${job.title}, ${job.bidCount} bids`)),
    ),
  );
}

function Inbox() {
  const { unreadNotifications, markNotificationAsRead, markAllNotificationsAsRead } = useRealtime();
  const { notifications } = useNotifications("all");
  return h(
    "section",
    null,
    h("h2", null, `Notifications (${unreadNotifications})`),
    h("button", { onClick: markAllNotificationsAsRead }, "Mark all read"),
    h(
      "ul",
      null,
      notifications.map((item) =>
        h(
          "li",
          { key: item.id },
          item.title,
          " ",
          !item.readAt && h("button", { onClick: () => markNotificationAsRead(item.id) }, "Read"),
        ),
      ),
    ),
  );
}

createRoot(document.getElementById("root")).render(h(React.StrictMode, null, h("main", null, h(Inbox), h(Jobs))));
