/** Open jobs and the inbox, live, in React. */

import * as React from "react";
import { createRoot } from "react-dom/client";

const query = new URLSearchParams(location.search);
const hub = query.get("hub") ?? "http://localhost:8000";
const { connect } = await import(`${hub}/static/client.js`);
const { bind } = await import(`${hub}/static/react.js`);

// A page of your own asks its server for the signed-in user's token.
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
      notifications.map((one) =>
        h(
          "li",
          { key: one.id },
          one.title,
          " ",
          !one.readAt && h("button", { onClick: () => markNotificationAsRead(one.id) }, "Read"),
        ),
      ),
    ),
  );
}

createRoot(document.getElementById("root")).render(h(React.StrictMode, null, h("main", null, h(Inbox), h(Jobs))));
