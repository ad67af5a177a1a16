// Toasts: short-lived, never more than a few, and they wait while somebody looks at them.
import { find, h, icon } from "@web/dom.ts";
import type { Notification } from "../events.d.ts";
import { address, LEVEL_ICON, LEVEL_NAME } from "./inbox.ts";

const LASTS = 7000;
const SHOWN = 3;

/** Shows `notification` for some seconds; `read` is called when the visitor dismisses it. */
export function toast(notification: Notification, read: (id: string) => void): void {
  const region = find("#toasts");
  const mark = h("span", { class: "mark", role: "img", "aria-label": LEVEL_NAME[notification.level] });
  mark.append(icon(LEVEL_ICON[notification.level]));
  const close = h("button", {
    type: "button",
    class: "icon",
    "aria-label": `Dismiss: ${notification.title}`,
    click: () => {
      read(notification.id);
      element.remove();
    },
  });
  close.append(icon("close"));
  const element = h(
    "div",
    { class: "toast", "data-level": notification.level },
    mark,
    h(
      "div",
      {},
      h("strong", { dir: "auto" }, notification.title),
      notification.body ? h("p", { dir: "auto" }, notification.body) : null,
      h("p", { class: "facts" }, address(notification)),
    ),
    close,
  );
  let timer: ReturnType<typeof setTimeout>;
  const start = () => {
    clearTimeout(timer);
    timer = setTimeout(() => element.remove(), LASTS);
  };
  // A finger has no place to go to when it has tapped: only a mouse and the keyboard's focus hold a toast.
  element.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && clearTimeout(timer));
  element.addEventListener("pointerleave", start);
  element.addEventListener("focusin", () => clearTimeout(timer));
  element.addEventListener("focusout", start);
  start();
  region.append(element);
  while (region.children.length > SHOWN) region.firstElementChild?.remove();
}
