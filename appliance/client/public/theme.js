// Runs before the first paint, so that a chosen appearance does not flash. A file, because of the CSP.
try {
  const theme = localStorage.getItem("linnet.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the device's own appearance is used.
}
