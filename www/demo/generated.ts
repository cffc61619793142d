// Written by crates/wasm/tests/types.rs from the library's own types: don't edit. After a change there:
// ITP_BLESS=1 cargo test -p itp-ood-wasm
import type { Preprocess, TuneKind } from "itp-ood";

/** Preprocessings that many models share. */
export const PRESETS: Readonly<Record<string, Preprocess>> = {
  cifar: {"channels":"rgb","crop":[32,32],"interpolation":"bilinear","mean":[0.49140000343322754,0.4821999967098236,0.4465000033378601],"resize":32,"std":[0.20229999721050262,0.19939999282360077,0.20100000500679016]},
  digits: {"channels":"grey","crop":[28,28],"interpolation":"bilinear","mean":[0.0],"resize":28,"std":[1.0]},
  imagenet: {"channels":"rgb","crop":[224,224],"interpolation":"bilinear","mean":[0.48500001430511475,0.4560000002384186,0.4059999883174896],"resize":256,"std":[0.2290000021457672,0.2240000069141388,0.22499999403953552]},
  mobilenet: {"channels":"rgb","crop":[224,224],"interpolation":"bilinear","mean":[0.5,0.5,0.5],"resize":256,"std":[0.5,0.5,0.5]},
};

/** The kinds of pseudo-OOD images; near ones stand for near-OOD data. */
export const KINDS: Readonly<Record<TuneKind, { description: string; isNear: boolean }>> = {
  jigsaw2: {"description":"four tiles, shuffled","isNear":true},
  jigsaw4: {"description":"sixteen tiles, shuffled","isNear":false},
  pixels: {"description":"all pixels, shuffled","isNear":false},
  mixup: {"description":"blended with another class","isNear":true},
  cutmix: {"description":"half of another class","isNear":true},
  rot90: {"description":"on its side","isNear":true},
  rot180: {"description":"upside down","isNear":true},
  blur: {"description":"blurred","isNear":false},
  noise: {"description":"noise added","isNear":false},
  invert: {"description":"colours inverted","isNear":true},
  cutout: {"description":"a grey square over it","isNear":true},
  contrast: {"description":"a fifth of the contrast","isNear":false},
  phase: {"description":"shapes lost, colours kept","isNear":false},
  swap: {"description":"outlines kept, tones of another class","isNear":false},
  zoom: {"description":"a small part, enlarged","isNear":false},
  tile: {"description":"a small part, repeated","isNear":false},
};
