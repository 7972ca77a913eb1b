// Tables that are wider than the screen can be scrolled with the keyboard.
document$.subscribe(() => document.querySelectorAll(".md-typeset__scrollwrap").forEach((box) => (box.tabIndex = 0)));
// What the theme leaves without a name: its search, and the buttons of code blocks, which are no landmarks of a page.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
new MutationObserver(() =>
  document.querySelectorAll("nav.md-code__nav:not([role])").forEach((box) => box.setAttribute("role", "presentation")),
).observe(document.body, { childList: true, subtree: true });
