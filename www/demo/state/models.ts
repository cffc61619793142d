// The page's models and gallery images, and how they are loaded.

import type { ChosenFile } from "../ui/files.js";
import { assetUrl, hasAsset, loadPageDetector } from "./assets.js";
import { keepOffline } from "./offline.js";
import { setDetectors } from "./scores.js";
import type { Detector, DetectorInfo, LoadProgress, Source } from "itp-ood";

/** A model that can be chosen. */
export interface ModelEntry {
  id: string;
  title: string;
  model: Source;
  stats: Source;
  /** What to do with it, where that isn't plain. */
  hint?: string;
  /** Addresses to keep for offline use once it was loaded: it is too large to be fetched unasked. */
  onDemand?: readonly string[];
}

/** Info of a model that has a stats file. */
export type ModelInfo = DetectorInfo & { settings: NonNullable<DetectorInfo["settings"]> };

/** A loaded model. */
export interface LoadedModel extends ModelEntry {
  detector: Detector;
  info: ModelInfo;
}

/** One entry of `gallery.json`. */
export interface GalleryImage {
  file: string;
  /** Id of the model it belongs to. */
  model: string;
  title: string;
  /** Its class, if it is one of the model's; `null` if the image is OOD. */
  truth: string | null;
  /** What the model says of it with its own hyperparameters. */
  expected: { label: string; inDistribution: boolean };
  /** Whether its model is shown with it at first: one that Energy believes and ITP does not. */
  opening?: boolean;
  /** Whether one may well be mistaken about it. */
  tricky?: boolean;
  source?: string | null;
  licence?: string | null;
  attribution?: string | null;
}

/** The model that the page opens with. */
export const FIRST = "photos";

/** The model that takes over from it where that costs the visitor nothing. */
export const LARGER = "things";

/** The models that ship with the page. */
export const builtIn: readonly ModelEntry[] = [
  {
    id: LARGER,
    title: "Things",
    hint: "Hold one of them before your webcam, or drop a photo of one: it should be familiar, your hand alone should not.",
  },
  { id: FIRST, title: "Photos" },
  { id: "digits", title: "Digits" },
]
  .map((entry) => ({ ...entry, model: assetUrl(`${entry.id}.onnx`), stats: assetUrl(`${entry.id}.itp.safetensors`) }))
  .filter(({ id }) => hasAsset(`${id}.onnx`))
  .map((entry) => (entry.id === LARGER ? { ...entry, onDemand: [entry.model, entry.stats] } : entry));

/** Whether a model ships with the page. */
export const isBuiltIn = (id: string): boolean => builtIn.some((entry) => entry.id === id);

/** Loads a model; all models share the compiled engine. */
export async function loadModel(entry: ModelEntry, onProgress?: (progress: LoadProgress) => void): Promise<LoadedModel> {
  const { model, stats } = entry;
  const detector = await loadPageDetector({ model, stats, ...(onProgress && { onProgress }) });
  setDetectors(detector.info.detectors);
  const { settings } = detector.info;
  if (!settings) throw new Error(`${entry.title} has no stats file.`);
  if (entry.onDemand) keepOffline(entry.onDemand);
  return { ...entry, detector, info: { ...detector.info, settings } };
}

/** The gallery, in display order. */
export async function loadGallery(): Promise<GalleryImage[]> {
  const response = await fetch(assetUrl("gallery/gallery.json"));
  if (!response.ok) throw new Error(`The gallery can't be read: ${response.status} ${response.statusText}`);
  return (await response.json()) as GalleryImage[];
}

/** For each model and score, the AUROC between the gallery's familiar images and the others, 0 to 1. */
export type Separation = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** How well each score separates the gallery; tests/browser/measure.test.mjs keeps the file true. */
export async function loadSeparation(): Promise<Separation> {
  return (await fetch(assetUrl("gallery/separation.json"))).json() as Promise<Separation>;
}

/** The URL of a gallery image. */
export const galleryUrl = ({ file }: GalleryImage): string => assetUrl(`gallery/${file}`);

/** Whether the model takes drawings, which have one grey channel. */
export const takesDrawings = ({ info }: LoadedModel): boolean => info.inputShape[1] === 1;

/** A gallery image as a file, as if the visitor had chosen it. */
export async function fetchGalleryFile(image: GalleryImage): Promise<ChosenFile> {
  const blob = await fetchBlob(galleryUrl(image));
  return { file: new File([blob], image.file, { type: blob.type }), path: image.file, gallery: image };
}

/** Fetches a file of the page. */
export async function fetchBlob(url: string): Promise<Blob> {
  return (await fetch(url)).blob();
}
