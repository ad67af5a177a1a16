// The inbox: what came, what was read, the badge.
import { find, h, icon, time } from "@web/dom.ts";
import type { Notification } from "../events.d.ts";

const KEPT = 100;

/** How `notification` was addressed, in words. */
export function address(notification: Notification): string {
  const { to, from } = notification;
  const whom = !to ? "to everyone" : "topic" in to ? `topic ${to.topic}` : "to you";
  return from ? `${from}, ${whom}` : whom;
}

export const LEVEL_ICON = { info: "info", success: "success", warning: "alert", critical: "alert" } as const;
export const LEVEL_NAME = { info: "Info", success: "Success", warning: "Warning", critical: "Critical" } as const;

export class Inbox {
  readonly #key: string;
  readonly #seen: Set<string>;
  /** Newest first. */
  #items: Notification[] = [];

  constructor(user: string) {
    this.#key = `fanfare:read:${user}`;
    let seen: string[] = [];
    try {
      seen = JSON.parse(localStorage.getItem(this.#key) ?? "[]") as string[];
    } catch {
      // Storage may be forbidden: what was read is then known as long as the page lives.
    }
    this.#seen = new Set(seen);
    this.#draw();
  }

  /** Adds a notification; `false` when it is here already. */
  add(notification: Notification): boolean {
    if (this.#items.some(({ id }) => id === notification.id)) return false;
    this.#items = [notification, ...this.#items].toSorted((a, b) => b.at - a.at).slice(0, KEPT);
    this.#draw();
    return true;
  }

  read(id: string, read = true): void {
    if (read) this.#seen.add(id);
    else this.#seen.delete(id);
    this.#save();
  }

  readAll(): void {
    for (const { id } of this.#items) this.#seen.add(id);
    this.#save();
  }

  #save(): void {
    try {
      localStorage.setItem(this.#key, JSON.stringify([...this.#seen].slice(-KEPT * 2)));
    } catch {
      // See above.
    }
    this.#draw();
  }

  #draw(): void {
    const list = find("#list");
    const focused = document.activeElement?.closest<HTMLElement>("[data-id]")?.dataset["id"];
    list.replaceChildren(
      ...this.#items.map((notification) => {
        const { id, level } = notification;
        const unread = !this.#seen.has(id);
        const button = h("button", {
          type: "button",
          class: "link",
          "aria-label": `${unread ? "Mark read" : "Mark unread"}: ${notification.title}`,
          click: () => this.read(id, unread),
        }, unread ? "Mark read" : "Mark unread");
        const mark = h("span", { class: "mark", role: "img", "aria-label": LEVEL_NAME[level] });
        mark.append(icon(LEVEL_ICON[level]));
        if (id === focused) queueMicrotask(() => button.focus({ preventScroll: true }));
        return h(
          "li",
          { class: `item${unread ? " unread" : ""}`, "data-level": level, "data-id": id },
          mark,
          h(
            "div",
            {},
            h("h3", { dir: "auto" }, notification.title, unread && h("span", { class: "visually-hidden" }, " (unread)")),
            notification.body ? h("p", { dir: "auto" }, notification.body) : null,
            h("p", { class: "facts" }, time(notification.at), h("span", {}, address(notification)), button),
          ),
        );
      }),
    );
    const unread = this.#items.filter(({ id }) => !this.#seen.has(id)).length;
    find("#empty").hidden = this.#items.length > 0;
    find("#unread").textContent = this.#items.length === 0 ? "" : unread === 0 ? "All read" : `${unread} unread`;
    const readAll = find<HTMLButtonElement>("#read-all");
    readAll.hidden = this.#items.length === 0;
    readAll.disabled = unread === 0;
    const badge = find("#badge");
    badge.hidden = unread === 0;
    badge.replaceChildren(String(unread), h("span", { class: "visually-hidden" }, " unread"));
    document.title = `${unread ? `(${unread}) ` : ""}Notifications · Fanfare`;
    if ("setAppBadge" in navigator) void navigator.setAppBadge(unread).catch(() => {});
  }
}
