// Before the first paint, so that a dark page never flashes white.  A classic script: modules run too late.
(() => {
  const KEY = "sensorline.theme";
  const apply = (wish) => {
    if (wish === "light" || wish === "dark") document.documentElement.dataset.theme = wish;
    else delete document.documentElement.dataset.theme;
  };
  const read = () => {
    try {
      return localStorage.getItem(KEY) ?? "auto";
    } catch {
      return "auto"; // a browser that keeps nothing
    }
  };
  apply(read());
  window.sensorlineTheme = {
    get: read,
    /** @param {"auto"|"light"|"dark"} wish */
    set(wish) {
      try {
        localStorage.setItem(KEY, wish);
      } catch {
        // it holds until the page is left
      }
      apply(wish);
      document.dispatchEvent(new CustomEvent("sensorline:theme"));
    },
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    document.dispatchEvent(new CustomEvent("sensorline:theme")),
  );
})();
