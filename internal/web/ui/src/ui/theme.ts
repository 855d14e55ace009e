import { useState } from "preact/hooks";
import { applyTheme, keepTheme, theme, type Theme } from "../theme";

/** The theme of this browser, and how to choose another. */
export function useTheme(): [Theme, (t: Theme) => void] {
  const [now, set] = useState(theme());
  return [now, (t) => {
    keepTheme(t);
    applyTheme(t);
    set(t);
  }];
}
