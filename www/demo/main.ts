// The entry point: sets up the sections, and opens the first image.

import { effect } from "@preact/signals-core";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/charts.css";
import { startOwnModel } from "./measure/own-model.js";
import { readAddress } from "./state/address.js";
import { App } from "./state/app.js";
import { messageOf } from "./state/errors.js";
import { Game } from "./state/game.js";
import { isUnmetered, openLarger } from "./state/larger.js";
import { Measuring } from "./state/measuring.js";
import { builtIn, FIRST, type GalleryImage, isBuiltIn, LARGER, loadGallery, loadSeparation } from "./state/models.js";
import { startOffline } from "./state/offline.js";
import { OwnImages } from "./state/own-images.js";
import { pointing } from "./state/pointing.js";
import { usualEnergies } from "./state/reference.js";
import { Sight } from "./state/sight.js";
import { showGallery, showOwnImages } from "./try/gallery.js";
import { openGalleryImage } from "./try/open.js";
import { fileTaker, takeEverywhere } from "./try/take-files.js";
import { byId, setOptions } from "./ui/dom.js";
import { startCalibrate } from "./views/calibrate.js";
import { startExplain } from "./views/explain.js";
import { startMeasure } from "./views/measure.js";
import { startNavigation } from "./views/navigation.js";
import { startPlay } from "./views/play.js";
import { startSight } from "./views/sight.js";
import { startSubjectStrip } from "./views/subject-strip.js";
import { startTry } from "./views/try.js";
import { startWhy } from "./views/why.js";

const app = new App(builtIn);

// Start downloading the model, its stats file and the engine before setting up the page.
const address = readAddress(location.hash);
const first = address?.model !== undefined && isBuiltIn(address.model) ? address.model : FIRST;
app.wanted.value = first;
app.load(first).catch(() => undefined);

const loading = loadGallery();
let gallery: readonly GalleryImage[] = [];
loadSeparation().then(
  (separation) => (app.separation.value = separation),
  // Without it, no score is warned of.
  () => undefined,
);

const game = new Game(app, () => gallery);
const measuring = new Measuring(app);
const sight = new Sight(app);
const own = new OwnImages(app);
const reference = usualEnergies(app);
const pointed = pointing();
const takeModel = startOwnModel(app, byId("own"));
const takeFiles = fileTaker(app, own, takeModel);
takeEverywhere(app, takeFiles);
startTry(app, game, takeFiles);
showOwnImages(app, own);
startSubjectStrip(app, game);
startWhy(app, reference, pointed);
startSight(app, sight);
startPlay(app, reference, pointed);
startMeasure(app, measuring, () => gallery);
startCalibrate(app, () => gallery);
startExplain();

const notice = byId("notice");
effect(() => {
  const text = app.failure.value ?? app.notice.value;
  notice.textContent = text ?? "";
  notice.hidden = text === undefined;
});

/** The image that a model is shown with at first. */
const openingImage = (model: string, all = gallery): GalleryImage | undefined =>
  all.find((image) => image.model === model && image.opening);

const select = byId<HTMLSelectElement>("model");
effect(() => {
  setOptions(
    select,
    app.entries.value.map(({ id, title }) => ({ value: id, text: title })),
    app.wanted.value,
  );
});
select.addEventListener("change", () => {
  const model = select.value;
  // A gallery image belongs to its model; the visitor's own stays.
  const { gallery: shown } = app.subject.peek() ?? {};
  const next = shown && shown.model !== model ? openingImage(model) : undefined;
  void app.open({ model, ...(next && { image: openGalleryImage(next) }) });
});

void (async () => {
  const known = loading.then((all) => {
    gallery = all;
    showGallery(app, game, all);
    return all;
  });
  const replaceNext = await startNavigation(app, known, openingImage, [game, measuring, sight]);
  // An address that says what to show is taken at its word.
  if (address?.isComplete !== false || !isBuiltIn(LARGER) || !isUnmetered()) return;
  const larger = openingImage(LARGER);
  // Without the larger model, as without a network, the page works on.
  await openLarger(app, game, () => larger && openGalleryImage(larger), replaceNext).catch(() => undefined);
})().catch((error: unknown) => (app.notice.value = messageOf(error)));

startOffline();
