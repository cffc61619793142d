// The section Try: an image from any source, and the verdict on it.

import type { App } from "../state/app.js";
import type { Game } from "../state/game.js";
import { showClasses } from "../try/classes.js";
import { startStage } from "../try/stage.js";
import type { TakeFiles } from "../try/take-files.js";
import { startVerdictCard } from "../try/verdict-card.js";

/** Starts the section. */
export function startTry(app: App, game: Game, takeFiles: TakeFiles): void {
  startStage(app, takeFiles);
  showClasses(app);
  startVerdictCard(app, game);
}
