// The section Explain: its text is in index.html, its tables are filled here.

import { showExample } from "../explain/example.js";
import { showNearFar } from "../explain/near-far.js";

/** Fills the tables. */
export function startExplain(): void {
  showNearFar();
  showExample();
}
