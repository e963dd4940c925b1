/** The public profile of a user. */

import { h } from "../elements/base-element.js";
import { avatar, counted, messageLink, nothing, sentence, skeleton, skillList } from "./dom.js";

/** @param {any} app @param {string} id */
export function profilePage(app, id) {
  const box = h("div", { className: "page narrow" });
  app.watch(app.client.live(`/api/users/${id}`, [`user/${id}`]), ({ data: user, error }) => {
    if (!user) return box.replaceChildren(error ? nothing("This profile is not here", sentence(error)) : skeleton(2));
    app.rename(user.name);
    return box.replaceChildren(
      h(
        "section",
        { className: "card person" },
        avatar(user.name, "big"),
        h(
          "div",
          { className: "stack" },
          h("h1", { textContent: user.name }),
          h("p", {
            className: "soft",
            textContent: [
              user.role,
              counted(user.jobsDone ?? 0, "job") + " done",
              user.memberSince &&
                `here since ${new Date(user.memberSince).toLocaleDateString("en", { month: "long", year: "numeric" })}`,
            ]
              .filter(Boolean)
              .join(" · "),
          }),
          user.skills?.length ? skillList(user.skills) : "",
          app.user && app.user.id !== id ? h("p", {}, messageLink({ id, name: user.name }, "Message", "button primary")) : "",
        ),
      ),
    );
  });
  return { title: "Profile", element: box };
}
