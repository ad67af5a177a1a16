// Loaded before the first paint, so that a chosen theme never flashes.
try {
  const theme = localStorage.getItem("fanfare:theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden: the system's theme is used.
}
