// Tables that are wider than the screen can be scrolled with the keyboard.
document$.subscribe(() => document.querySelectorAll(".md-typeset__scrollwrap").forEach((box) => (box.tabIndex = 0)));
// The buttons of code blocks are no landmarks of a page: all would have one name.
new MutationObserver(() =>
  document.querySelectorAll("nav.md-code__nav:not([role])").forEach((buttons) => buttons.setAttribute("role", "group")),
).observe(document.body, { childList: true, subtree: true });
