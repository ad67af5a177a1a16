// The list of messages.
import { avatar, bytes, count, find, h, icon, time } from "@web/dom.ts";
import type { Picture, User } from "../events.d.ts";
import type { Entry } from "./client.ts";

/** Messages of one author closer than this, in milliseconds, stand together under one name. */
const GROUP = 5 * 60_000;
/** Items kept in the page. */
const SHOWN = 300;

interface Options {
  retry(nonce: string): void;
  fetchPicture(id: string): Promise<ArrayBuffer | undefined>;
}

export class MessageList {
  readonly #log = find("#log");
  readonly #list = find<HTMLOListElement>("#messages");
  readonly #empty = find("#empty");
  readonly #jump = find<HTMLButtonElement>("#jump");
  readonly #options: Options;
  readonly #items = new Map<string, { item: HTMLLIElement; entry: Entry; url?: string }>();
  readonly #visible: IntersectionObserver;
  #me: string | undefined;
  #atEnd = true;
  #unseen = 0;

  constructor(options: Options) {
    this.#options = options;
    this.#log.addEventListener("scroll", () => {
      this.#atEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 60;
      if (this.#atEnd) this.#seen();
    }, { passive: true });
    this.#jump.addEventListener("click", () => {
      this.#toEnd();
      this.#log.focus({ preventScroll: true });
    });
    // A smaller window (a phone's keyboard) must not hide the newest message, nor may anything that grows later.
    const growth = new ResizeObserver(() => this.#atEnd && this.#toEnd());
    for (const element of [this.#log, this.#list]) growth.observe(element);
    this.#visible = new IntersectionObserver((changes) => {
      for (const { isIntersecting, target } of changes) {
        if (!isIntersecting) continue;
        this.#visible.unobserve(target);
        void this.#load(target as HTMLElement);
      }
    }, { root: this.#log, rootMargin: "400px" });
    const viewer = find<HTMLDialogElement>("#viewer");
    find("#viewer-close").append(icon("close"));
    viewer.addEventListener("click", (event) => event.target === viewer && viewer.close());
  }

  /** Shows another history. */
  reset(entries: Entry[], me: User | undefined): void {
    this.#me = me?.id;
    for (const { url } of this.#items.values()) if (url) URL.revokeObjectURL(url);
    this.#visible.disconnect();
    this.#items.clear();
    this.#log.setAttribute("aria-busy", "true"); // a history is not news
    this.#list.replaceChildren();
    this.#empty.hidden = entries.length > 0;
    for (const entry of entries) this.#append(entry);
    this.#log.removeAttribute("aria-busy");
    this.#toEnd();
  }

  /** Adds `entry`, or shows its new state. */
  put(entry: Entry): void {
    const known = this.#items.get(entry.key);
    if (known) {
      known.entry = entry;
      find(".foot", known.item).replaceWith(this.#foot(entry));
      known.item.dataset["state"] = entry.state;
      return;
    }
    this.#empty.hidden = true;
    this.#append(entry);
    if (this.#atEnd || entry.message.author.id === this.#me) this.#toEnd();
    else {
      this.#unseen += 1;
      this.#jump.textContent = `${count(this.#unseen, "new message")} ↓`;
      this.#jump.hidden = false;
    }
    for (const [key, { item, url }] of this.#items) {
      if (this.#items.size <= SHOWN) break;
      item.remove();
      if (url) URL.revokeObjectURL(url);
      this.#items.delete(key);
    }
  }

  #append(entry: Entry): void {
    const { message } = entry;
    const previous = [...this.#items.values()].at(-1)?.entry.message;
    const grouped = previous?.author.id === message.author.id && message.at - previous.at < GROUP;
    const mine = message.author.id === this.#me;
    const item = h("li", { class: `message${mine ? " mine" : ""}${grouped ? " grouped" : ""}`, "data-state": entry.state });
    if (!mine) item.append(avatar(message.author.name));
    item.append(
      h(
        "div",
        { class: "body" },
        h("span", { class: grouped || mine ? "visually-hidden" : "author", dir: "auto" }, mine ? "You" : message.author.name),
        h(
          "div",
          { class: "bubble" },
          message.picture ? this.#picture(entry, message.picture) : null,
          message.text ? h("p", { class: "text", dir: "auto" }, ...linked(message.text)) : null,
          this.#foot(entry),
        ),
      ),
    );
    this.#items.set(entry.key, { item, entry });
    this.#list.append(item);
  }

  #foot(entry: Entry): HTMLElement {
    const mine = entry.message.author.id === this.#me;
    const foot = h("span", { class: "foot" }, time(entry.message.at));
    if (!mine) return foot;
    const [name, label] = ({
      sending: ["clock", "Sending"],
      delivered: ["check", "Delivered"],
      failed: ["alert", "Not sent"],
    } as const)[entry.state];
    const tick = h("span", { class: "tick", role: "img", "aria-label": label, title: label });
    tick.append(icon(name));
    foot.append(tick);
    if (entry.state === "failed") {
      foot.append(
        h("span", { class: "why" }, entry.problem ?? "Not sent."),
        h("button", { type: "button", class: "link", click: () => this.#options.retry(entry.key) }, "Try again"),
      );
    }
    return foot;
  }

  #picture(entry: Entry, picture: Picture): HTMLElement {
    const { author } = entry.message;
    const alt = `${picture.name}, picture from ${author.id === this.#me ? "you" : author.name}`;
    const image = h("img", { alt, width: picture.width, height: picture.height, "data-key": entry.key });
    const button = h("button", {
      type: "button",
      class: "picture",
      title: `${picture.name}, ${bytes(picture.size)}`,
      "aria-label": `Open ${alt}`,
      click: () => this.#open(image),
    }, image);
    button.style.setProperty("--ratio", `${picture.width} / ${picture.height}`);
    button.style.setProperty("--width", `${picture.width}px`);
    if (picture.data) queueMicrotask(() => void this.#load(image));
    else this.#visible.observe(image);
    return button;
  }

  /** Puts bytes into an `<img>`: those that came with the message, or fetched now that it comes into view. */
  async #load(target: HTMLElement): Promise<void> {
    const image = target as HTMLImageElement;
    const shown = this.#items.get(image.dataset["key"] ?? "");
    const picture = shown?.entry.message.picture;
    if (!shown || !picture || shown.url) return;
    picture.data ??= (await this.#options.fetchPicture(picture.id)) as ArrayBuffer;
    if (!picture.data) {
      delete picture.data;
      image.closest(".picture")?.replaceWith(h("p", { class: "gone" }, `${picture.name} is no longer kept.`));
      return;
    }
    if (shown.url) return;
    shown.url = URL.createObjectURL(new Blob([picture.data], { type: picture.type }));
    image.src = shown.url;
  }

  #open(image: HTMLImageElement): void {
    if (!image.src) return;
    const large = find<HTMLImageElement>("#viewer-image");
    large.src = image.src;
    large.alt = image.alt;
    find<HTMLDialogElement>("#viewer").showModal();
  }

  #toEnd(): void {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#atEnd = true;
    this.#seen();
  }

  #seen(): void {
    this.#unseen = 0;
    this.#jump.hidden = true;
  }
}

/** Text with its web addresses made links. */
function linked(text: string): (string | Node)[] {
  return text.split(/(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]])/).map((part, index) =>
    index % 2 ? h("a", { href: part, target: "_blank", rel: "noopener noreferrer nofollow" }, part) : part,
  );
}
