"""Train the photo classifier: CIFAR-10, without a GPU.

    python photos.py --train ../../shared/data/cifar10-train.tar \
                     --test ../../shared/data/cifar10-test.tar --out build/photos

Nesterov SGD, plain softmax cross-entropy (label smoothing and mixup would help
accuracy a little and hurt every score that reads the logits), learning rate
warmed up, held, then brought down to zero linearly. A checkpoint is written
after every epoch, and `--resume` goes on from it. As long as the checkpoint
lies before the final decay, going on with another number of epochs gives
exactly what starting with that number would have given.

Under `torchrun --nproc-per-node N` each of N processes takes its share of every
batch and the gradients are averaged, which beats N threads on a busy machine.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as distributed
import torch.nn.functional as F

from images import read_set
from nets import PhotoNet

MEAN = torch.tensor([0.4914, 0.4822, 0.4465])
STD = torch.tensor([0.2023, 0.1994, 0.2010])
BATCH = 256
PEAK_RATE = 0.25
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
WARM_UP = 2.0  # epochs
SHIFT = 3  # pixels, each way
SMALL = 24  # side of the crops in the first epochs: less than half the work
HOLDOUT_PER_CLASS = 200
SEED = 20


def to_input(pictures: np.ndarray) -> torch.Tensor:
    """uint8 [N,H,W,3] -> normalised float [N,3,H,W], kept channels-last in memory."""
    x = torch.from_numpy(pictures).float().div_(255).sub_(MEAN).div_(STD)
    return x.permute(0, 3, 1, 2)


def split_holdout(labels: np.ndarray):
    """Indices (training, holdout); the holdout is never trained on."""
    rng = np.random.default_rng(SEED)
    held = [rng.permutation(np.flatnonzero(labels == k))[:HOLDOUT_PER_CLASS] for k in np.unique(labels)]
    held = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), held), held


def augmented(padded: np.ndarray, rows: np.ndarray, size: int, rng) -> np.ndarray:
    """Cut a random window out of each padded picture and mirror half of them, in one gather."""
    top, left = rng.integers(0, padded.shape[1] - size + 1, (2, len(rows)))
    line = np.arange(size)
    across = np.where(rng.random(len(rows))[:, None] < 0.5, line, line[::-1])
    return padded[
        rows[:, None, None],
        (top[:, None] + line)[:, :, None],
        (left[:, None] + across)[:, None, :],
    ]


def rate_at(epoch: float, epochs: int, decay: int) -> float:
    return PEAK_RATE * min(1.0, (epoch + 0.05) / WARM_UP, max(0.0, epochs - epoch) / decay)


@torch.no_grad()
def accuracy(net, pictures, labels) -> float:
    net.eval()
    right = 0
    for start in range(0, len(labels), 500):
        logits = net(to_input(pictures[start : start + 500]))
        right += int((logits.argmax(1).numpy() == labels[start : start + 500]).sum())
    return right / len(labels)


@torch.no_grad()
def average_into(mean, net, keep: float):
    for a, b in zip(mean.state_dict().values(), net.state_dict().values()):
        if a.dtype.is_floating_point:
            a.lerp_(b, 1 - keep)
        else:
            a.copy_(b)


def average_gradients(parameters, workers: int):
    flat = torch.cat([p.grad.reshape(-1) for p in parameters])
    distributed.all_reduce(flat)
    for p, part in zip(parameters, flat.div_(workers).split([p.numel() for p in parameters])):
        p.grad.copy_(part.view_as(p))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=36)
    parser.add_argument("--decay", type=int, default=20, help="epochs of linear decay at the end")
    parser.add_argument("--small", type=int, default=14, help="first epochs that train on small crops")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    worker, workers = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if workers > 1:
        distributed.init_process_group("gloo")
    share = BATCH // workers

    pictures, names, classes = read_set(args.train)
    test_pictures, _, test_classes = read_set(args.test)
    names_of_classes = sorted(set(classes))
    labels = np.array([names_of_classes.index(c) for c in classes])
    test_labels = np.array([names_of_classes.index(c) for c in test_classes])
    rows, held = split_holdout(labels)
    # Lists that `itp calibrate` reads, beside which the archive must lie unpacked.
    for name, part in [("train.txt", rows), ("holdout.txt", held)]:
        (args.out / name).write_text("".join(f"{names[i]}\t{classes[i]}\n" for i in part))
    padded = np.pad(pictures, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), "reflect")

    net = PhotoNet().to(memory_format=torch.channels_last)
    net.set_whitening(to_input(pictures[rows[:: len(rows) // 2000]]))
    mean = PhotoNet().to(memory_format=torch.channels_last)
    mean.load_state_dict(net.state_dict())
    trained = [p for p in net.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in trained if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.SGD(groups, lr=0.0, momentum=MOMENTUM, nesterov=True)

    checkpoint = args.out / "checkpoint.pt"
    first = 0
    if args.resume:
        state = torch.load(checkpoint)
        net.load_state_dict(state["net"])
        mean.load_state_dict(state["mean"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["epoch"]

    steps = len(rows) // BATCH
    for epoch in range(first, args.epochs):
        started = time.time()
        size = SMALL if epoch < args.small else pictures.shape[1]
        order = np.random.default_rng([SEED, epoch]).permutation(rows)
        rng = np.random.default_rng([SEED, epoch, worker])
        net.train()
        losses = right = 0.0
        for step in range(steps):
            first_row = step * BATCH + worker * share
            chosen = order[first_row : first_row + share]
            target = torch.from_numpy(labels[chosen])
            for group in optimiser.param_groups:
                group["lr"] = rate_at(epoch + step / steps, args.epochs, args.decay)
            logits = net(to_input(augmented(padded, chosen, size, rng)))
            loss = F.cross_entropy(logits, target)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if workers > 1:
                average_gradients(trained, workers)
            optimiser.step()
            losses += loss.item()
            right += (logits.argmax(1) == target).float().mean().item()
            if step % 5 == 4:
                average_into(mean, net, 0.95)
        if worker > 0:
            continue
        state = {"net": net.state_dict(), "mean": mean.state_dict(), "optimiser": optimiser.state_dict(), "epoch": epoch + 1}
        torch.save(state, checkpoint)
        print(
            f"epoch {epoch + 1}: loss {losses / steps:.4f}, training {right / steps:.4f},"
            f" holdout {accuracy(net, pictures[held], labels[held]):.4f}"
            f" (averaged weights {accuracy(mean, pictures[held], labels[held]):.4f}),"
            f" {time.time() - started:.0f} s",
            flush=True,
        )
    if worker > 0:
        return
    print(f"test accuracy, averaged weights: {accuracy(mean, test_pictures, test_labels):.4f}")
    torch.save(mean.state_dict(), args.out / "photos.pt")


if __name__ == "__main__":
    main()
