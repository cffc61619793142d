// Images from files, from the clipboard and from the gallery, ready to be shown.

import type { Subject } from "../state/app.js";
import { fetchBlob, type GalleryImage, galleryUrl } from "../state/models.js";
import type { ChosenFile } from "../ui/files.js";
import { decodeForDisplay } from "../ui/image.js";

/** A gallery image. */
export async function openGalleryImage(image: GalleryImage): Promise<Subject> {
  const file = await fetchBlob(galleryUrl(image));
  return { title: image.title, input: file, drawable: await decodeForDisplay(file, image.title), gallery: image };
}

/** An image of the visitor's, or one of the gallery's that was given as a file. */
export async function openFile({ file, gallery }: ChosenFile): Promise<Subject> {
  if (gallery) return openGalleryImage(gallery);
  const title = file.name || "Pasted image";
  return { title, input: file, drawable: await decodeForDisplay(file, title) };
}
