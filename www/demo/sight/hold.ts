// A button that shows something while it is held, by pointer or by key.

/** Calls `show` with true while `button` is held, and with false when it is let go. */
export function whileHeld(button: HTMLElement, show: (held: boolean) => void): void {
  const hold = (held: boolean): void => {
    button.setAttribute("aria-pressed", String(held));
    show(held);
  };
  button.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    // The pointer may leave the button while it is held.
    button.setPointerCapture(event.pointerId);
    hold(true);
  });
  button.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) hold(true);
  });
  button.addEventListener("keyup", (event) => {
    if (event.key === " " || event.key === "Enter") hold(false);
  });
  for (const name of ["pointerup", "pointercancel", "blur"] as const) button.addEventListener(name, () => hold(false));
  // A long touch would open a menu.
  button.addEventListener("contextmenu", (event) => event.preventDefault());
}
