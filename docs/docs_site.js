// Tables that are wider than the screen can be scrolled with the keyboard.
document$.subscribe(() => document.querySelectorAll(".md-typeset__scrollwrap").forEach((box) => (box.tabIndex = 0)));
