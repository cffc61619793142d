// The page: puts the sections together, and opens the first picture.

import "./styles/base.css";
import "./styles/parts.css";
import "./styles/charts.css";
import { App } from "./state/app.js";
import { isSingleFile } from "./state/assets.js";
import { startCalibrate } from "./views/calibrate.js";
import { byId, setOptions, wordsOf } from "./ui/dom.js";
import { startExplain } from "./views/explain.js";
import { showGallery } from "./try/gallery.js";
import { startMeasure } from "./views/measure.js";
import { builtIn, type GalleryPicture, loadGallery } from "./state/models.js";
import { startPlay } from "./views/play.js";
import { startSubject } from "./views/subject-strip.js";
import { fromQuery } from "./state/overrides.js";
import { startTry } from "./views/try.js";
import { type Address, readAddress, startViews } from "./views/navigation.js";
import { startWhy } from "./views/why.js";

const app = new App(builtIn);
let gallery: GalleryPicture[] = [];

// The model, its stats file and the engine are fetched while the page is put together.
const address = readAddress();
const asked = builtIn.find(({ id }) => id === address.query.get("model")) ?? builtIn[0];
if (!asked) throw new Error("the page was built without a model");
const wanted = asked;
const loading = app.use(wanted.id, fromQuery(address.query));

const { openGallery } = startTry(app);
startSubject(app);
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
const showModels = (): void => setOptions(select, app.entries.map(({ id, title }) => ({ value: id, text: title })), app.model?.id ?? wanted.id);
app.on("entries", showModels);
app.on("model", () => {
  showModels();
  const { subject } = app;
  // A gallery picture belongs to its model; any other picture is looked at again.
  if (subject && !subject.gallery) void app.look(subject);
});
showModels();
select.addEventListener("change", () => {
  const first = gallery.find(({ model }) => model === select.value);
  if (first) void openGallery(first);
  else void app.use(select.value);
});

let shownQuery = address.query.toString();
startViews(({ query }: Address) => {
  // A link that is followed while the page is open.
  if (query.size === 0 || query.toString() === shownQuery) return;
  shownQuery = query.toString();
  void openLink(query);
});

async function openLink(query: URLSearchParams): Promise<void> {
  const model = query.get("model");
  if (model && model !== app.model?.id) await app.use(model);
  const picture = gallery.find(({ file }) => file === query.get("picture"));
  if (picture && picture !== app.subject?.gallery) await openGallery(picture);
  app.change(fromQuery(query));
}

async function start(): Promise<void> {
  try {
    gallery = await loadGallery();
    showGallery(app, gallery, (picture) => void openGallery(picture));
    const first =
      gallery.find(({ file, model }) => file === address.query.get("picture") && model === wanted.id) ??
      gallery.find(({ model }) => model === wanted.id);
    if (first) await openGallery(first);
    else await loading;
  } catch (thrown) {
    app.tell(wordsOf(thrown));
  }
}
void start();

// Works offline after the first visit.
if (!isSingleFile && "serviceWorker" in navigator && location.protocol !== "file:") {
  addEventListener("load", () => void navigator.serviceWorker.register("service-worker.js").catch(() => undefined));
}
