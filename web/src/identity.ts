// Who the visitor is. The name and the key belong to the tab, so that two tabs can be two people; the last name used is
// proposed in the next tab.
import { find } from "./dom.ts";

export interface Identity {
  /** The name that others see. */
  name: string;
  /** A secret of this tab: lets it take its name back after a lost connection. */
  key: string;
}

export const NAME_MAX = 24;

function read(storage: () => Storage, name: string): string | null {
  try {
    return storage().getItem(name);
  } catch {
    return null;
  }
}

function write(storage: () => Storage, name: string, value: string | null): void {
  try {
    if (value === null) storage().removeItem(name);
    else storage().setItem(name, value);
  } catch {
    // Storage may be forbidden: the identity then lasts as long as the page.
  }
}

const tab = () => sessionStorage;
const browser = () => localStorage;

function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The identity this tab already has, if any. */
export function current(): Identity | undefined {
  const name = read(tab, "fanfare:name");
  const key = read(tab, "fanfare:key");
  return name && key ? { name, key } : undefined;
}

/** Takes `name` for this tab. */
export function assume(name: string): Identity {
  const key = read(tab, "fanfare:key") ?? randomKey();
  write(tab, "fanfare:name", name);
  write(tab, "fanfare:key", key);
  write(browser, "fanfare:last-name", name);
  return { name, key };
}

/** Gives the name up; the key stays. */
export function forget(): void {
  write(tab, "fanfare:name", null);
}

/** The form that asks for a name. */
export class Gate {
  readonly #root = find("#gate");
  readonly #input = find<HTMLInputElement>("input", this.#root);
  readonly #problem = find(".problem", this.#root);
  readonly #note = find("[role=status]", this.#root);
  readonly #button = find<HTMLButtonElement>("button", this.#root);

  constructor(enter: (identity: Identity) => void) {
    this.#input.maxLength = NAME_MAX;
    this.#input.value = read(browser, "fanfare:last-name") ?? "";
    find<HTMLFormElement>("form", this.#root).addEventListener("submit", (event) => {
      event.preventDefault();
      const name = this.#input.value.trim().replace(/\s+/g, " ");
      if (!name) return this.open("Please choose a name.");
      this.#problem.textContent = "";
      this.#button.disabled = true;
      enter(assume(name));
    });
  }

  /** Shows the form, with what was wrong with the last attempt. */
  open(problem = ""): void {
    this.#root.hidden = false;
    this.#button.disabled = false;
    this.#problem.textContent = problem;
    this.#note.textContent = "";
    this.#input.toggleAttribute("aria-invalid", problem !== "");
    this.#input.focus();
    this.#input.select();
  }

  /** The server does not answer: somebody who is not in yet learns that it is tried again. */
  wait(): void {
    this.#root.hidden = false;
    this.#button.disabled = true;
    this.#note.textContent = "The server does not answer. You are in as soon as it does.";
  }

  close(): void {
    this.#root.hidden = true;
    this.#button.disabled = false;
    this.#note.textContent = "";
  }
}
