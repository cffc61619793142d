// The models of the page and the gallery pictures, and loading them.

import type { Detector, DetectorInfo, LoadProgress, Source } from "itp-ood";
import { asset, loadHere } from "./assets.js";
import type { FoundFile } from "../ui/files.js";

/** A model that can be chosen. */
export interface ModelEntry {
  id: string;
  title: string;
  model: Source;
  stats: Source;
}

/** What is known of a model with a stats file. */
export type ModelInfo = DetectorInfo & { settings: NonNullable<DetectorInfo["settings"]> };

/** A model in use. */
export interface LoadedModel extends ModelEntry {
  detector: Detector;
  info: ModelInfo;
}

/** One picture of `gallery.json`. */
export interface GalleryPicture {
  file: string;
  /** Id of the model it is for. */
  model: string;
  title: string;
  /** What it shows, if that is one of the model's classes; `null` if it is foreign to the model. */
  truth?: string | null;
  source?: string | null;
  licence?: string | null;
  attribution?: string | null;
}

/** The models that come with the page. */
export const builtIn: readonly ModelEntry[] = ["photos", "digits"].map((id) => ({
  id,
  title: id === "photos" ? "Photos" : "Digits",
  model: asset(`${id}.onnx`),
  stats: asset(`${id}.itp.safetensors`),
}));

/** Loads a model; the engine is compiled once for all. */
export async function loadModel(entry: ModelEntry, onProgress?: (progress: LoadProgress) => void): Promise<LoadedModel> {
  const { model, stats } = entry;
  const detector = await loadHere({ model, stats, ...(onProgress && { onProgress }) });
  const { settings } = detector.info;
  if (!settings) throw new Error(`${entry.title} has no stats file.`);
  return { ...entry, detector, info: { ...detector.info, settings } };
}

/** The gallery, in the order in which it is shown. */
export async function loadGallery(): Promise<GalleryPicture[]> {
  const response = await fetch(asset("gallery/gallery.json"));
  if (!response.ok) throw new Error(`The gallery can't be read: ${response.status} ${response.statusText}`);
  return (await response.json()) as GalleryPicture[];
}

/** The address of a gallery picture. */
export const pictureOf = (picture: GalleryPicture): string => asset(`gallery/${picture.file}`);

/** Whether the model takes drawings: one grey channel. */
export const takesDrawings = ({ info }: LoadedModel): boolean => info.inputShape[1] === 1;

/** A gallery picture as if the visitor had given it. */
export async function fetched(picture: GalleryPicture): Promise<FoundFile> {
  const blob = await (await fetch(pictureOf(picture))).blob();
  return { file: new File([blob], picture.file, { type: blob.type }), path: picture.file };
}
