"use strict";
// Dark or light: as the system has it, until the reader chooses; and a sign where more stands to the right.
(() => {
  const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)"), key = "earmark-theme";
  try { if (["light", "dark"].includes(localStorage.getItem(key))) root.dataset.theme = localStorage.getItem(key); } catch { /* kept by no one */ }
  const theme = () => root.dataset.theme || (system.matches ? "dark" : "light");
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => {
      button.textContent = theme() === "dark" ? "Light" : "Dark";
      button.setAttribute("aria-label", `Switch to ${button.textContent.toLowerCase()} colours`);
    };
    const changed = () => { label(); dispatchEvent(new Event("themechange")); };
    button.hidden = false;
    button.addEventListener("click", () => {
      root.dataset.theme = theme() === "dark" ? "light" : "dark";
      try { localStorage.setItem(key, root.dataset.theme); } catch { /* a page that may keep nothing */ }
      changed();
    });
    system.addEventListener("change", changed);
    label();
    const look = box => {
      const hidden = box.scrollWidth - box.clientWidth;
      if (hidden > 1) box.tabIndex = 0; else box.removeAttribute("tabindex");
      box.classList.toggle("more", hidden - box.scrollLeft > 1);
    };
    const watch = new ResizeObserver(entries => entries.forEach(entry => look(entry.target)));
    document.querySelectorAll(".scroll").forEach(box => {
      watch.observe(box);
      box.addEventListener("scroll", () => look(box), {passive: true});
    });
  });
})();
