// The entry point: sets up the sections, and opens the first image.

import "./styles/base.css";
import "./styles/parts.css";
import "./styles/charts.css";
import { App } from "./state/app.js";
import { isSingleFile } from "./state/assets.js";
import { messageOf } from "./state/errors.js";
import { builtIn, type GalleryImage, loadGallery } from "./state/models.js";
import { fromQuery } from "./state/overrides.js";
import { showGallery } from "./try/gallery.js";
import { byId, setOptions } from "./ui/dom.js";
import { startCalibrate } from "./views/calibrate.js";
import { startExplain } from "./views/explain.js";
import { startMeasure } from "./views/measure.js";
import { type Address, readAddress, startNavigation } from "./views/navigation.js";
import { startPlay } from "./views/play.js";
import { startSubjectStrip } from "./views/subject-strip.js";
import { startTry } from "./views/try.js";
import { startWhy } from "./views/why.js";

const app = new App(builtIn);
let gallery: GalleryImage[] = [];

// Start downloading the model, its stats file and the engine before setting up the page.
const address = readAddress();
const linked = builtIn.find(({ id }) => id === address.query.get("model")) ?? builtIn[0];
if (!linked) throw new Error("The page was built without a model.");
const firstModel = linked;
const loading = app.use(firstModel.id, fromQuery(address.query));

const { openGallery } = startTry(app);
startSubjectStrip(app);
startWhy(app);
startPlay(app);
startMeasure(app, () => gallery);
startCalibrate(app, () => gallery);
startExplain();

const notice = byId("notice");
app.on("notice", () => {
  notice.textContent = app.notice ?? "";
  notice.hidden = app.notice === undefined;
});

const select = byId<HTMLSelectElement>("model");
const showModels = (): void =>
  setOptions(
    select,
    app.entries.map(({ id, title }) => ({ value: id, text: title })),
    app.model?.id ?? firstModel.id,
  );
app.on("entries", showModels);
app.on("model", () => {
  showModels();
  const { subject } = app;
  // A gallery image belongs to its model; any other image is run on the new model.
  if (subject && !subject.gallery) void app.detect(subject);
});
showModels();
select.addEventListener("change", () => {
  const first = gallery.find(({ model }) => model === select.value);
  if (first) void openGallery(first);
  else void app.use(select.value);
});

let shownQuery = address.query.toString();
startNavigation(({ query }: Address) => {
  // A link followed while the page is open.
  if (query.size === 0 || query.toString() === shownQuery) return;
  shownQuery = query.toString();
  void openLink(query);
});

/** The gallery image of a link; earlier links call it `picture`. */
function imageOf(query: URLSearchParams): string | null {
  return query.get("image") ?? query.get("picture");
}

async function openLink(query: URLSearchParams): Promise<void> {
  const model = query.get("model");
  if (model && model !== app.model?.id) await app.use(model);
  const image = gallery.find(({ file }) => file === imageOf(query));
  if (image && image !== app.subject?.gallery) await openGallery(image);
  app.override(fromQuery(query));
}

async function start(): Promise<void> {
  try {
    gallery = await loadGallery();
    showGallery(app, gallery, (image) => void openGallery(image));
    const first =
      gallery.find(({ file, model }) => file === imageOf(address.query) && model === firstModel.id) ??
      gallery.find(({ model }) => model === firstModel.id);
    if (first) await openGallery(first);
    else await loading;
  } catch (error) {
    app.notify(messageOf(error));
  }
}
void start();

// Works offline after the first visit.
if (!isSingleFile && "serviceWorker" in navigator && location.protocol !== "file:") {
  addEventListener("load", () => void navigator.serviceWorker.register("service-worker.js").catch(() => undefined));
}
