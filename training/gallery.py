"""Make the gallery of the page: www/models/gallery/ and its list, gallery.json.

    python gallery.py --gcompris build/gcompris --out ../www/models/gallery
    python gallery.py --verdicts ../target/release/itp --out ../www/models/gallery

The first command draws and cuts the pictures; the second one asks the native tool
for its verdict on each and writes it down as the expected one. README.md says how
to unpack gcompris-qt-data.
"""

import argparse
import io
import json
import subprocess
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

import qtresource
import recordings
from scenes import SCENES
from still_life import STILL_LIFE
from strangers import letter, scribble, shape
from strokes import SMALLEST, picture

DIGIT_SIDE, PHOTO_SIDE, THING_SIDE = 112, 96, 128
OURS = {"licence": "MIT OR Apache-2.0", "attribution": None}

# Which hand of recordings.json writes which digit.
HANDS = ["neat", "large and slanted", "shaky", "leaning to the left", "small, in a corner", "neat", "leaning to the left", "large and slanted", "shaky", "quick and angular"]
LETTERS = "AKRWmh"
SHAPES = ["house", "star", "heart", "face", "spiral", "arrow"]

# name: (title, where in scikit-image, box as left, top, side in pixels, licence, by)
SKIMAGE = {
    "cat": ("Chelsea, a cat", "chelsea", (75, 0, 300), "CC0-1.0", "Stefan van der Walt"),
    "cat-face": ("Chelsea's face", "chelsea", (125, 35, 190), "CC0-1.0", "Stefan van der Walt"),
    "horse-silhouette": ("The silhouette of a horse", "horse", (36, 0, 328), "CC0-1.0", "Andreas Preuss"),
    "coffee": ("A cup of coffee", "coffee", (100, 0, 400), "CC0-1.0", "Rachel Michetti, Pikolo Espresso Bar"),
    "rocket": ("The launch of a Falcon 9", "rocket", (130, 0, 427), "public domain", "SpaceX"),
    "astronaut": ("Eileen Collins, astronaut", "astronaut", (60, 0, 340), "public domain", "NASA"),
    "photographer": ("A photographer, in grey", "camera", (50, 20, 380), "CC0-1.0", "Lav Varshney"),
    "galaxies": ("Galaxies, the Hubble eXtreme Deep Field", "hubble_deep_field", (100, 100, 600), "public domain", "NASA"),
    "bricks": ("Bricks", "brick", (0, 0, 300), "CC0-1.0", "CC0Textures"),
    "gravel": ("Gravel", "gravel", (0, 0, 400), "CC0-1.0", "CC0Textures"),
    "retina": ("A retina", "retina", (0, 0, 1411), "CC0-1.0", "Mikael Häggström"),
}

# name: (title, resource, path inside, box as left, top, side in parts of the shorter side, licence, by, source)
COMMONS = "https://commons.wikimedia.org/wiki/File:"
GCOMPRIS = {
    "kitten": ("A kitten", "erase", "kitten.webp", (0.55, 0.1, 0.8), "CC-BY-2.0", "GalgenTX", COMMONS + "A_posing_kitten_(Flickr).jpg"),
    "horse": ("A horse", "erase", "horse.webp", (0.1, 0.0, 1.0), "CC-BY-SA-4.0", "Eatcha", COMMONS + "Zaniskari_Horse_in_Ladakh.jpg"),
    "moose": ("A moose", "explore_world_animals", "moose.webp", (0.15, 0.05, 0.9), "public domain", "Ryan Hagerty", COMMONS + "Male_Moose.jpg"),
    "kingfisher": ("A kingfisher", "erase", "kingfisher.webp", (0.4, 0.0, 1.0), "CC0-1.0", "Frank-2.0", COMMONS + "Eisvogel_kingfisher.jpg"),
    "macaw": ("A scarlet macaw", "explore_world_animals", "scarlet_macaw.webp", (0.25, 0.0, 1.0), "CC0-1.0", "Dcoetzee", COMMONS + "Scarlet_macaw_at_Cougar_Mountain_Zoological_Park.jpg"),
    "panda": ("A giant panda", "explore_world_animals", "panda.webp", (0.2, 0.0, 1.0), "public domain", "Jeff Kubina", COMMONS + "Giant_Panda_2004-03-2.jpg"),
    "giraffe": ("A giraffe", "erase", "giraffe.webp", (0.4, 0.0, 1.0), "public domain", "Sergio Cambelo", COMMONS + "Giraffe.JPG"),
    "crab": ("A crab", "erase", "crab.webp", (0.4, 0.0, 1.0), "CC0-1.0", "Nosferattus", COMMONS + "Sally_Lightfoot_Crab_2019.jpg"),
    "fish": ("A discus", "categorization", "fish6.webp", (0.15, 0.0, 1.0), "CC0-1.0", "Bernard Spragg", COMMONS + "Discus_fish_(10765052495).jpg"),
    "windmill": ("A windmill", "categorization", "windmill.webp", (0.0, 0.0, 1.0), "public domain", "G-Man", COMMONS + "Chesterton_Windmill.jpg"),
    "solar-panels": ("Solar panels", "categorization", "solar7.webp", (0.15, 0.0, 1.0), "CC0-1.0", "MarkBuckawicki", COMMONS + "Solar_Panel_.jpg"),
    "colosseum": ("The Colosseum", "categorization", "colosseum.webp", (0.15, 0.0, 1.0), "public domain", "Urse Ovidiu", COMMONS + "Colosseum_Roma_2009.jpg"),
    "hammer": ("A hammer", "categorization", "hammer3.webp", (0.1, 0.0, 1.0), "CC0-1.0", "Video Girl", "https://publicdomainpictures.net/en/view-image.php?image=266857&picture=heavy-sledgehammer"),
    "plate": ("A plate", "categorization", "plate.webp", (0.0, 0.0, 1.0), "CC0-1.0", "Metropolitan Museum of Art", COMMONS + "MET_DP324688.jpg"),
}


# What pictures show that are of the model's classes; all others are foreign to it. Digits are by their file's name.
SHOWS = {
    "kitten": "cat", "cat": "cat", "cat-face": "cat", "horse": "horse", "horse-silhouette": "horse", "moose": "deer",
    "kingfisher": "bird", "macaw": "bird", "drawn-ship": "ship", "drawn-airplane": "airplane", "drawn-car": "automobile", "drawn-truck": "truck",
}


# Of the pictures for `photos`, those that are shown to `things`, too, which knows none of them.
STRANGE_TO_THINGS = ["drawn-house", "drawn-ship", "sign", "text", "checkerboard", "rings", "blobs", "fractal", "stars"]


def truth_of(file: str, model: str) -> str | None:
    stem = Path(file).stem
    if model == "things":
        return STILL_LIFE[stem][2] if stem in STILL_LIFE else None
    return stem.removeprefix("digit-") if model == "digits" and stem.startswith("digit-") else SHOWS.get(stem)


class Gallery:
    def __init__(self, folder: Path):
        self.folder, self.entries = folder, []

    def add(self, file: str, image: Image.Image, model: str, title: str, **origin):
        if file.endswith(".webp"):
            image.save(self.folder / file, lossless=True, quality=100, method=6)
        else:
            image.save(self.folder / file, optimize=True)
        self.entries.append({"file": file, "model": model, "title": title, "expected": None, "truth": truth_of(file, model), **origin})


def add_drawings(gallery: Gallery):
    recorded = {(label, hand): strokes for label, hand, strokes in recordings.read()}
    for digit, hand in enumerate(HANDS):
        drawn = picture(recorded[digit, hand], DIGIT_SIDE, SMALLEST * recordings.PAD)
        gallery.add(f"digit-{digit}.png", Image.fromarray(drawn), "digits", f"A {digit}", source="drawn by hand, training/recordings.json", **OURS)
    strangers = [(f"letter-{c}", f"The letter {c}", lambda rng, c=c: letter(rng, c)) for c in LETTERS]
    strangers += [(s, f"Drawn: {s}", lambda rng, s=s: shape(rng, s)) for s in SHAPES]
    strangers += [("scribble", "A scribble", lambda rng: scribble(rng) + scribble(rng))]
    for seed, (file, title, make) in enumerate(strangers):
        drawn = picture(make(np.random.default_rng([4, seed])), DIGIT_SIDE)
        origin = OURS
        if file.startswith("letter"):
            origin = {"licence": "Hershey fonts' own (free use, with this notice)", "attribution": "strokes of the Hershey fonts, by A. V. Hershey, in the format by James Hurt of Cognition, Inc."}
        gallery.add(f"{file}.png", Image.fromarray(drawn), "digits", title, source="drawn by training/strangers.py", **origin)
    empty = Image.new("L", (DIGIT_SIDE, DIGIT_SIDE))
    gallery.add("blank.png", empty, "digits", "An empty page", source="drawn by training/gallery.py", **OURS)


def add_photos(gallery: Gallery, gcompris: Path):
    def cut(image, left, top, side):
        return image.convert("RGB").crop((left, top, left + side, top + side)).resize((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.LANCZOS)

    opened = {}
    for file, (title, resource, inside, box, licence, by, source) in GCOMPRIS.items():
        if resource not in opened:
            found = qtresource.read(gcompris / f"usr/share/gcompris-qt/rcc/{resource}.rcc")
            opened[resource] = {Path(path).name: data for path, data in found.items()}
        image = Image.open(io.BytesIO(opened[resource][inside]))
        box = [round(part * min(image.size)) for part in box]
        gallery.add(f"{file}.webp", cut(image, *box), "photos", title, source=f"{source}, from Debian's gcompris-qt-data, cut and made smaller", licence=licence, attribution=by)
    for file, (title, function, box, licence, by) in SKIMAGE.items():
        data = np.asarray(getattr(skimage.data, function)())
        image = Image.fromarray(data.astype(np.uint8) * 255 if data.dtype == bool else data)
        gallery.add(f"{file}.webp", cut(image, *box), "photos", title, source=f"scikit-image's data.{function}(), cut and made smaller", licence=licence, attribution=by)
    for file, (draw, title) in SCENES.items():
        image = draw().convert("RGB").resize((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.LANCZOS)
        gallery.add(f"{file}.webp", image, "photos", title, source="rendered by training/scenes.py", **OURS)


def add_things(gallery: Gallery):
    for file, (draw, title, _) in STILL_LIFE.items():
        image = draw().resize((THING_SIDE, THING_SIDE), Image.Resampling.LANCZOS)
        gallery.add(f"{file}.webp", image, "things", title, source="rendered by training/still_life.py", **OURS)
    strange = [entry for entry in gallery.entries if Path(entry["file"]).stem in STRANGE_TO_THINGS]
    gallery.entries += [{**entry, "model": "things", "truth": None} for entry in strange]


def write(folder: Path, entries):
    lines = ",\n".join("  " + json.dumps(entry, ensure_ascii=False) for entry in entries)
    (folder / "gallery.json").write_text(f"[\n{lines}\n]\n")


def note_verdicts(folder: Path, itp: Path):
    """Write what the native tool says of each picture into gallery.json."""
    entries = json.loads((folder / "gallery.json").read_text())
    for model in sorted({entry["model"] for entry in entries}):
        ours = [entry for entry in entries if entry["model"] == model]
        files = [str(folder / entry["file"]) for entry in ours]
        base = folder.parent / model
        output = subprocess.run([itp, "score", f"{base}.onnx", f"{base}.itp.safetensors", *files, "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout
        for entry, line in zip(ours, output.splitlines(), strict=True):
            verdict = json.loads(line)
            entry["expected"] = {key: verdict[key] for key in ("label", "inDistribution", "score")}
            entry["truth"] = truth_of(entry["file"], entry["model"])
            print(f"{entry['file']:24} {verdict['label']:12} {'in' if verdict['inDistribution'] else 'OUT':4} score {verdict['score']:.2f}, threshold {verdict['threshold']:.2f}")
    write(folder, entries)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--gcompris", type=Path, help="where gcompris-qt-data was unpacked")
    parser.add_argument("--verdicts", type=Path, metavar="ITP", help="the native tool")
    args = parser.parse_args()
    if args.gcompris:
        args.out.mkdir(parents=True, exist_ok=True)
        gallery = Gallery(args.out)
        add_drawings(gallery)
        add_photos(gallery, args.gcompris)
        add_things(gallery)
        write(args.out, gallery.entries)
        size = sum(file.stat().st_size for file in args.out.iterdir())
        print(f"{len(gallery.entries)} pictures, {size} bytes")
    if args.verdicts:
        note_verdicts(args.out, args.verdicts)


if __name__ == "__main__":
    main()
