// Light, dark, or what the system says. It is a matter of this browser and kept there.

export type Theme = "system" | "light" | "dark";

const key = "postyard-theme";

export function theme(): Theme {
  try {
    const t = localStorage.getItem(key);
    return t === "light" || t === "dark" ? t : "system";
  } catch {
    return "system"; // the browser keeps nothing
  }
}

export function applyTheme(t = theme()) {
  if (t === "system") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.dataset.theme = t;
}

export function keepTheme(t: Theme) {
  try {
    localStorage.setItem(key, t);
  } catch {
    // it holds until the page is left
  }
}
