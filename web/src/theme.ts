import { find, icon } from "./dom.ts";

const THEMES = ["system", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];
const KEY = "fanfare:theme";

function stored(): Theme {
  const theme = document.documentElement.dataset["theme"];
  return theme === "light" || theme === "dark" ? theme : "system";
}

/** Makes the header's button go through system → light → dark. `public/theme.js` applies the choice on the next page. */
export function themeButton(button = find<HTMLButtonElement>("#theme")): void {
  const show = (theme: Theme) => {
    const name = ({ system: "system", light: "sun", dark: "moon" } as const)[theme];
    button.replaceChildren(icon(name));
    button.setAttribute("aria-label", `Colour theme: ${theme}`);
    button.title = `Colour theme: ${theme}`;
  };
  show(stored());
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(stored()) + 1) % THEMES.length] ?? "system";
    if (next === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = next;
    try {
      if (next === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, next);
    } catch {
      // Storage may be forbidden: the choice then lasts as long as the page.
    }
    show(next);
  });
}
