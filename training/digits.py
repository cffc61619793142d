"""Draw the digits, train the digit classifier on them, and write the test sets.

    python digits.py --out build/digits

Some four minutes of one core. The drawings are kept under
OUT/drawings; the folders holdout, test, letters, shapes, scribbles and blank hold
the same pictures as PNG, for `itp calibrate` and `itp eval`.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import recordings
from glyphs import digit
from nets import DigitNet
from strangers import SETS
from strokes import PEN, picture

SEED = 28
COUNTS = {"train": 30000, "holdout": 2000, "test": 2000}
STRANGERS = 1000
SCHEDULE = 8  # epochs until the learning rate would reach zero
EPOCHS = 4  # trained: the holdout is read to 99.7% by then
BATCH = 128
PEAK_RATE = 0.1
WARM_UP = 0.5  # epochs


def draw_digits(count: int, seed) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    drawn = [picture(digit(int(k), rng), pen=PEN * rng.uniform(0.8, 1.25)) for k in labels]
    return np.stack(drawn), labels


def to_input(pictures: np.ndarray) -> torch.Tensor:
    """uint8 [N,28,28] -> float [N,1,28,28] in [0, 1]: mean 0, deviation 1 in the stats file."""
    return torch.from_numpy(pictures).float().div_(255)[:, None]


def export_pictures(folder: Path, pictures, labels=None):
    for i, one in enumerate(pictures):
        place = folder if labels is None else folder / str(labels[i])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(one).save(place / f"{i:05}.png")


@torch.no_grad()
def predict(net, pictures) -> np.ndarray:
    net.eval()
    return torch.cat([net(to_input(part)).argmax(1) for part in np.array_split(pictures, max(1, len(pictures) // 500))]).numpy()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    drawings = args.out / "drawings"
    drawings.mkdir(parents=True, exist_ok=True)

    sets = {}
    for number, (name, count) in enumerate(COUNTS.items()):
        kept = drawings / f"{name}.npz"
        if not kept.exists():
            pictures, labels = draw_digits(count, [SEED, number])
            np.savez_compressed(kept, pictures=pictures, labels=labels)
            export_pictures(args.out / name, pictures, labels)
        loaded = np.load(kept)
        sets[name] = loaded["pictures"], loaded["labels"]
    for number, (name, draw_one) in enumerate(SETS.items()):
        if not (args.out / name).exists():
            rng = np.random.default_rng([SEED, 100 + number])
            export_pictures(args.out / name, [draw_one(rng) for _ in range(STRANGERS)])
    recorded = recordings.read()
    recorded_labels = np.array([label for label, _, _ in recorded])
    recorded_pictures = recordings.pictures(recorded)
    export_pictures(args.out / "recordings", recorded_pictures, recorded_labels)

    pictures, labels = sets["train"]
    net = DigitNet()
    trained = [p for p in net.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": 5e-4},
        {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True)
    steps = len(labels) // BATCH
    for epoch in range(EPOCHS):
        order = np.random.default_rng([SEED, 50, epoch]).permutation(len(labels))
        net.train()
        losses = 0.0
        for step in range(steps):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            at = epoch + step / steps
            for group in optimiser.param_groups:
                group["lr"] = PEAK_RATE * min((at + 0.01) / WARM_UP, (SCHEDULE - at) / (SCHEDULE - WARM_UP), 1.0)
            loss = F.cross_entropy(net(to_input(pictures[chosen])), torch.from_numpy(labels[chosen]))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses += loss.item()
        held, held_labels = sets["holdout"]
        right = (predict(net, held) == held_labels).mean()
        print(f"epoch {epoch + 1}: loss {losses / steps:.4f}, holdout {right:.4f}", flush=True)
        torch.save(net.state_dict(), args.out / "digits.pt")

    test, test_labels = sets["test"]
    print(f"test accuracy {(predict(net, test) == test_labels).mean():.4f}")
    guesses = predict(net, recorded_pictures)
    print(f"recordings {(guesses == recorded_labels).sum()} of {len(guesses)}")
    for (label, hand, _), guess in zip(recorded, guesses):
        if label != guess:
            print(f"  {label}, {hand}: read as {guess}")


if __name__ == "__main__":
    main()
