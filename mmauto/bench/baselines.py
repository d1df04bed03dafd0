"""The loops that mmauto is compared with, as tutorials write them: fair, and short enough to read.

Each runs in a process of its own, ``python -m mmauto.bench.baselines NAME JSON``, and prints JSON.
Both use Optuna with its default SQLite storage and
sampler, report every epoch and prune nothing, and leave torch's number of threads as it is.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna
    from torch import nn

TRAIN, VALID = 0.70, 0.15
"""Shares of the rows; the rest is test, which no loop here reads."""
TEXT_FEATURES = 1000
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def tutorial(
    table: str, storage: str, trials: int, epochs: int, device: str, workers: int, side: int
) -> dict[str, Any]:
    """A frozen ResNet-18 in the loop: pictures are decoded and encoded anew in every epoch.

    Texts cost it nothing: they are hashed once, before any clock starts. Weights are random, as the
    time does not depend on them.

    Args:
        workers: processes of the DataLoader.
        side: pixels that the network reads.

    Returns:
        ``epochs``: seconds of each epoch, validation included.
    """
    import torch
    from sklearn.feature_extraction.text import HashingVectorizer
    from torch import nn
    from torch.utils.data import DataLoader, Dataset, Subset

    from mmauto.engine.compat import mend_torchvision

    mend_torchvision()  # where its wheel is for another build of torch
    from torchvision import models, transforms
    from torchvision.datasets.folder import default_loader

    with Path(table).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    classes = sorted({row["label"] for row in rows})
    hashed = HashingVectorizer(n_features=TEXT_FEATURES).transform([row["text"] for row in rows])
    texts = torch.from_numpy(hashed.toarray()).float()
    decode = transforms.Compose(
        [
            transforms.Resize((side, side)),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, DEVIATION),
        ]
    )

    class Rows(Dataset[Any]):
        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, place: int) -> Any:
            picture = default_loader(str(Path(table).parent / rows[place]["image"]))
            return decode(picture), texts[place], classes.index(rows[place]["label"])

    encoder = models.resnet18()
    encoder.fc = nn.Identity()
    encoder.requires_grad_(False).eval().to(device)
    train, valid = (Subset(Rows(), list(part)) for part in parts(len(rows)))
    seconds: list[float] = []

    def objective(trial: optuna.Trial) -> float:
        params = suggest(trial)
        head = make_head(512 + TEXT_FEATURES, len(classes), params).to(device)
        optimiser = torch.optim.AdamW(
            head.parameters(), lr=params["lr"], weight_decay=params["weight_decay"]
        )
        options: dict[str, Any] = {
            "num_workers": workers,
            "persistent_workers": workers > 0,
            "pin_memory": device != "cpu",
        }
        loader = DataLoader(train, params["batch_size"], shuffle=True, **options)
        judge = DataLoader(valid, params["batch_size"], **options)
        best = 0.0
        for epoch in range(epochs):
            start = time.perf_counter()
            head.train()
            for pictures, words, labels in loader:
                with torch.no_grad():
                    features = encoder(pictures.to(device))
                outputs = head(torch.cat([features, words.to(device)], 1))
                loss = nn.functional.cross_entropy(outputs, labels.to(device))
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            head.eval()
            correct = 0
            with torch.no_grad():
                for pictures, words, labels in judge:
                    features = encoder(pictures.to(device))
                    outputs = head(torch.cat([features, words.to(device)], 1))
                    correct += int((outputs.argmax(1).cpu() == labels).sum())
            accuracy = correct / len(valid)
            trial.report(accuracy, epoch)
            seconds.append(time.perf_counter() - start)
            best = max(best, accuracy)
        return best

    new_study(storage).optimize(objective, n_trials=trials)
    return {"epochs": seconds}


def in_memory(features: str, storage: str, trials: int, epochs: int, device: str) -> dict[str, Any]:
    """The same head on features that are tensors in memory already, through a DataLoader.

    Args:
        features: an ``.npz`` file with ``image`` (N, 512), ``text`` (N, V) and ``label`` (N,).

    Returns:
        ``seconds``: all trials, reading the features included, imports left out.
    """
    import numpy as np
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    new_study(storage)  # imports, and tables that a second study would find too
    start = time.perf_counter()
    with np.load(features, allow_pickle=False) as file:
        tensors = {name: torch.from_numpy(file[name]) for name in file.files}
    inputs = torch.cat([tensors["image"], tensors["text"]], 1).to(device)
    labels = tensors["label"].to(device)
    train, valid = (
        TensorDataset(inputs[part.start : part.stop], labels[part.start : part.stop])
        for part in parts(len(labels))
    )
    classes = int(labels.max()) + 1

    def objective(trial: optuna.Trial) -> float:
        params = suggest(trial)
        head = make_head(inputs.shape[1], classes, params).to(device)
        optimiser = torch.optim.AdamW(
            head.parameters(), lr=params["lr"], weight_decay=params["weight_decay"]
        )
        loader = DataLoader(train, params["batch_size"], shuffle=True)
        judge = DataLoader(valid, 512)
        best = 0.0
        for epoch in range(epochs):
            head.train()
            for batch, truth in loader:
                loss = nn.functional.cross_entropy(head(batch), truth)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            head.eval()
            with torch.no_grad():
                correct = sum(int((head(batch).argmax(1) == truth).sum()) for batch, truth in judge)
            trial.report(correct / len(valid), epoch)
            best = max(best, correct / len(valid))
        return best

    new_study(storage).optimize(objective, n_trials=trials)
    return {"seconds": time.perf_counter() - start}


def parts(rows: int) -> tuple[range, range]:
    """The train rows and the validation rows."""
    cut, end = round(TRAIN * rows), round((TRAIN + VALID) * rows)
    return range(cut), range(cut, end)


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """The hyper-parameters of the head, over the ranges that mmauto searches."""
    return {
        "lr": trial.suggest_float("lr", 1e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
        "width": trial.suggest_categorical("width", [64, 128, 256, 512]),
        "depth": trial.suggest_int("depth", 1, 3),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }


def make_head(dim: int, classes: int, params: dict[str, Any]) -> nn.Sequential:
    """An MLP on concatenated features."""
    from torch import nn

    width, layers = params["width"], []
    for layer in range(params["depth"]):
        before = width if layer else dim
        layers += [nn.Linear(before, width), nn.GELU(), nn.Dropout(params["dropout"])]
    return nn.Sequential(*layers, nn.Linear(width, classes))


def new_study(storage: str) -> optuna.Study:
    """A study in a SQLite file; without a pruner every trial trains all its epochs."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=f"sqlite:///{storage}", direction="maximize", pruner=optuna.pruners.NopPruner()
    )


def main() -> None:
    """Run the loop that the first argument names with the settings of the second."""
    loops: dict[str, Callable[..., dict[str, Any]]] = {
        "tutorial": tutorial,
        "in_memory": in_memory,
    }
    found = loops[sys.argv[1]](**json.loads(sys.argv[2]))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
