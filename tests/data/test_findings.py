"""Faults planted into a clean table are found; the clean table raises no alarm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmauto.config import from_mapping
from mmauto.data.dataset import Dataset
from mmauto.data.noise import suspicious_labels
from mmauto.data.power import detectable, rows_needed
from mmauto.data.table import read_table
from mmauto.errors import DataError
from mmauto.findings import Finding
from mmauto.registry import load_registry
from mmauto.tuning.prepare import Prepared, prepare

ROWS = 1200
KINDS = ("leak", "duplicates", "label_noise", "missing_by_class", "bad_images", "constant", "small")


def picture(seed: int) -> Image.Image:
    """A smooth random picture: no two are alike, and each has a lively hash."""
    noise = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((48, 48), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, notes, numbers and categories with a moderate, honest signal."""
    folder = tmp_path_factory.mktemp("clean")
    rng = np.random.default_rng(7)
    (folder / "p").mkdir()
    vocabulary = [f"word{i}" for i in range(300)]
    rows = []
    for row in range(ROWS):
        picture(row).save(folder / f"p/{row}.png")
        sick = bool(rng.random() < 0.4)
        told = sick if rng.random() < 0.7 else not sick
        rows.append(
            {
                "image": f"p/{row}.png",
                "text": " ".join([*rng.choice(vocabulary, 12), "cough" if told else "calm"]),
                "age": round(float(rng.normal(60 if sick else 55, 12)), 1),
                "ward": str(rng.choice(["north", "south", "east"])),
                "label": "sick" if sick else "well",
            }
        )
    pd.DataFrame(rows).to_csv(folder / "t.csv", index=False)
    return folder


def checked(clean: Path, frame: pd.DataFrame, **settings: Any) -> Prepared:
    frame.to_csv(clean / "changed.csv", index=False)
    asked = {"data": str(clean / "changed.csv"), "target": "label", **settings}
    return prepare(from_mapping(asked), load_registry(), "cpu")


@pytest.fixture
def frame(clean: Path) -> pd.DataFrame:
    return pd.read_csv(clean / "t.csv", dtype=object)


def only(found: Prepared, kind: str) -> Finding:
    (finding,) = [finding for finding in found.findings if finding.kind == kind]
    return finding


def sides(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(split=np.resize(["train"] * 7 + ["valid"] + ["test"] * 2, len(frame)))


def test_a_clean_table_raises_no_alarm(clean: Path, frame: pd.DataFrame) -> None:
    found = checked(clean, frame)
    # that 180 test rows cannot show a difference of 0.05 is true of this table, too
    alarms = [f for f in found.findings if f.kind in KINDS or (f.warning and f.kind != "power")]
    assert [str(finding) for finding in alarms] == []


# ------------------------------------------------------------------------------------- leaks


def test_a_column_that_gives_the_label_away(clean: Path, frame: pd.DataFrame) -> None:
    frame["code"] = np.where(frame["label"] == "sick", "J18", "Z00")
    found = checked(clean, frame)
    leak = only(found, "leak")
    assert "column 'code' alone predicts 'label' almost perfectly" in leak.text
    assert "left out; keep it with --role code=categorical" in leak.action
    assert "code" not in found.config.tabular
    named = checked(clean, frame, text="text", tabular=["age", "code"])
    assert only(named, "leak").action.startswith("kept, since it was named")
    assert "code" in named.config.tabular


def test_an_outcome_in_disguise(clean: Path, frame: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    wrong = rng.random(ROWS) < 0.07
    told = np.where(wrong, frame["label"].sample(frac=1, random_state=0), frame["label"])
    frame["final_diagnosis"] = [f"{value}-{rng.integers(3)}" for value in told]
    assert "suspiciously well" in only(checked(clean, frame), "leak").text
    # the same figures under an innocent name are an honest, strong predictor
    renamed = frame.rename(columns={"final_diagnosis": "shape"})
    assert not [f for f in checked(clean, renamed).findings if f.kind == "leak"]


def test_a_word_that_gives_the_label_away(clean: Path, frame: pd.DataFrame) -> None:
    frame["text"] = frame["text"] + np.where(frame["label"] == "sick", " pneumonia", "")
    leak = only(checked(clean, frame), "leak")
    assert "'pneumonia' stands in 100% of class 'sick'" in leak.text
    assert leak.warning


def test_a_folder_of_the_class(clean: Path, frame: pd.DataFrame) -> None:
    for row, (path, label) in enumerate(zip(frame["image"], frame["label"], strict=True)):
        (clean / label).mkdir(exist_ok=True)
        target = clean / label / f"{row}.png"
        target.write_bytes((clean / path).read_bytes())
        frame.loc[row, "image"] = f"{label}/{row}.png"
    assert "the file names of 'image'" in only(checked(clean, frame), "leak").text


def test_ids_that_tell_the_class(clean: Path, frame: pd.DataFrame) -> None:
    named = frame.assign(id=[f"{label}_{row}" for row, label in enumerate(frame["label"])])
    assert "the row ids, column 'id'" in only(checked(clean, named), "leak").text
    # the sick were numbered first, and the rows shuffled afterwards
    order = frame["label"].rank(method="first").astype(int) + 1000
    ranged = frame.assign(id=order)
    assert "column 'id' alone predicts 'label'" in only(checked(clean, ranged), "leak").text


def test_rows_in_the_order_of_their_classes(clean: Path, frame: pd.DataFrame) -> None:
    found = checked(clean, frame.sort_values("label"))
    assert "order of their classes" in only(found, "leak").text


# -------------------------------------------------------------------------------- duplicates


def test_equal_rows_stay_on_one_side_of_our_own_cut(clean: Path, frame: pd.DataFrame) -> None:
    double = pd.concat([frame, frame.iloc[:40]], ignore_index=True)
    found = checked(clean, double)
    texts = [f.text for f in found.findings if f.kind == "duplicates"]
    assert any("80 rows share all inputs with another one (40 samples)" in text for text in texts)
    side = {row: name for name, rows in found.setup.splits.sides().items() for row in rows}
    assert all(side[row] == side[ROWS + row] for row in range(40))


def test_a_given_split_with_shared_pictures(clean: Path, frame: pd.DataFrame) -> None:
    frame = sides(frame)
    # the same pixels in another format, and a resized, recompressed copy
    picture(0).save(clean / "p/copy.bmp")
    small = picture(1).resize((40, 40), Image.Resampling.BICUBIC)
    small.save(clean / "p/again.jpg", quality=85)
    frame.loc[8, "image"], frame.loc[9, "image"] = "p/copy.bmp", "p/again.jpg"
    found = checked(clean, frame)
    same, near = [f for f in found.findings if f.kind == "duplicates"]
    assert "2 rows share the same picture (image)" in same.text
    assert "1 of them both in train and in validation or test (1 rows there)" in same.text
    assert "2 rows share nearly the same picture (image)" in near.text
    assert same.warning
    assert near.warning
    assert '--split "" cuts a split' in same.action


def test_the_same_text_in_other_letters(clean: Path, frame: pd.DataFrame) -> None:
    frame = sides(frame)
    frame.loc[8, "text"] = str(frame.loc[0, "text"]).upper().replace(" ", ",  ") + "!"
    same = only(checked(clean, frame), "duplicates")
    assert "2 rows share the same text (text)" in same.text
    assert not same.warning  # beside another picture it is another sample


def test_a_placeholder_ties_nothing_together(clean: Path, frame: pd.DataFrame) -> None:
    frame.loc[:200, "image"] = "p/0.png"
    found = checked(clean, frame)
    assert "one of them stands in 201 rows, like a placeholder" in only(found, "duplicates").text
    assert found.setup.dataset.groups is None


def test_a_placeholder_hides_no_real_duplicate(clean: Path, frame: pd.DataFrame) -> None:
    frame.loc[:200, "image"] = "p/0.png"
    frame.loc[[300, 301], "image"] = "p/302.png"
    found = checked(clean, frame)
    texts = [f.text for f in found.findings if f.kind == "duplicates"]
    assert any("3 rows share the same picture (image)" in text for text in texts)
    side = {row: name for name, rows in found.setup.splits.sides().items() for row in rows}
    assert side[300] == side[301] == side[302]


def test_equal_texts_of_a_table_of_texts_are_one_sample(clean: Path, frame: pd.DataFrame) -> None:
    double = pd.concat([frame, frame.iloc[:40]], ignore_index=True)[["text", "label"]]
    found = checked(clean, double)
    assert "80 rows share all inputs" in only(found, "duplicates").text
    side = {row: name for name, rows in found.setup.splits.sides().items() for row in rows}
    assert all(side[row] == side[ROWS + row] for row in range(40))


def test_a_group_on_two_sides(clean: Path, frame: pd.DataFrame) -> None:
    frame = sides(frame).assign(patient=[f"p{row // 2}" for row in range(ROWS)])
    texts = [str(finding) for finding in checked(clean, frame).findings]
    assert any("puts rows of one group on several sides" in text for text in texts)


# ------------------------------------------------------------------------------- label noise


def flipped(data: Dataset, rows: np.ndarray) -> Dataset:
    target = next(iter(data.targets.values()))
    values = target.values.copy()
    for row in rows:
        values[row] = "well" if values[row] == "sick" else "sick"
    return replace(data, targets={"label": replace(target, values=values)})


def test_flipped_labels_are_found_where_the_evidence_is_plain(
    clean: Path, frame: pd.DataFrame
) -> None:
    frame["text"] = frame["text"] + np.where(frame["label"] == "sick", " fever", " rested")
    frame.to_csv(clean / "plain.csv", index=False)
    data = read_table(clean / "plain.csv", target="label", text="text", tabular="age")
    assert not len(suspicious_labels(data))
    rows = np.random.default_rng(0).choice(ROWS, 24, replace=False)
    found = set(suspicious_labels(flipped(data, rows)).tolist())
    assert len(found & set(rows.tolist())) >= 12
    assert len(found & set(rows.tolist())) >= 0.9 * len(found)


def test_equal_inputs_with_different_labels(clean: Path, frame: pd.DataFrame) -> None:
    twins = frame.iloc[:5].copy()
    twins["label"] = np.where(twins["label"] == "sick", "well", "sick")
    found = checked(clean, pd.concat([frame, twins], ignore_index=True))
    finding = only(found, "label_noise")
    assert "10 rows have the inputs of another row and a different label" in finding.text


# ---------------------------------------------------------------------------- missing values


def test_missing_by_class_and_missing_at_random(clean: Path, frame: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    often = np.where(frame["label"] == "sick", 0.6, 0.1)
    frame["image"] = frame["image"].where(rng.random(ROWS) > often)
    frame["text"] = frame["text"].where(rng.random(ROWS) > 0.2)
    found = checked(clean, frame)
    finding = only(found, "missing_by_class")
    assert finding.text.startswith("image is missing in ")
    assert "of 'sick'" in finding.text
    assert only(found, "missing").text.startswith("text is missing in ")


def test_columns_with_the_same_gaps_are_one_remark(clean: Path, frame: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    visit, gone = rng.random(ROWS) < 0.2, rng.random(ROWS) < 0.1
    for name in ("pulse", "crp"):
        frame[name] = rng.normal(size=ROWS).round(2)
        frame[name] = frame[name].where(~visit)
    tabular = ["age", "ward", "pulse", "crp"]
    frame.loc[gone, tabular] = None
    found = checked(clean, frame)
    assert [finding.text for finding in found.findings if finding.kind == "missing"] == [
        f"tabular is missing in {gone.mean():.0%} of the rows",
        f"columns 'pulse', 'crp' are missing in {(gone | visit).mean():.0%} of the rows",
    ]


def test_a_row_with_nothing_is_an_error_that_names_it(clean: Path, frame: pd.DataFrame) -> None:
    frame.loc[3, ["image", "text", "age", "ward"]] = None
    with pytest.raises(DataError, match=r"1 of 1200 rows of 'changed' have none \(row 4\); fill"):
        checked(clean, frame)


def test_a_row_with_a_broken_picture_alone_is_left_out(clean: Path, frame: pd.DataFrame) -> None:
    (clean / "p/broken.png").write_bytes(b"no picture")
    frame.loc[3, "image"] = "p/broken.png"
    frame.loc[3, ["text", "age", "ward"]] = None
    found = checked(clean, frame)
    assert len(found.setup.dataset) == ROWS - 1
    assert "'p/broken.png': cannot be decoded" in only(found, "bad_images").text
    assert "(row 4)" in only(found, "empty_rows").text
    with pytest.raises(DataError, match=r"up to --max-bad 0\.0% of them; 1 of 1200 cannot be used"):
        checked(clean, frame, max_bad=0.0)


# ------------------------------------------------------------------------------------- power


def test_the_power_estimate_agrees_with_simulated_tests() -> None:
    """McNemar's test finds `detectable(n)` in about 80 of 100 simulated comparisons."""
    rng = np.random.default_rng(0)
    rows, discordant = 400, 0.25
    gain = detectable(rows, discordant)
    shares = [(discordant + gain) / 2, (discordant - gain) / 2, 1 - discordant]
    better, worse, _ = rng.multinomial(rows, shares, 20_000).T
    z = (better - worse) / np.sqrt(np.maximum(better + worse, 1))
    assert (np.abs(z) > 1.96).mean() == pytest.approx(0.8, abs=0.03)
    assert rows_needed(gain, discordant) == pytest.approx(rows, abs=1)


def test_few_test_rows_or_groups_are_said(clean: Path, frame: pd.DataFrame) -> None:
    found = checked(clean, frame.iloc[:200])
    assert "30 test rows can show a difference of about 0.23" in only(found, "power").text
    grouped = sides(frame).assign(hospital=np.arange(ROWS) // 60)
    found = checked(clean, grouped, group="hospital")
    assert "test rows in 20 groups" in only(found, "power").text


# --------------------------------------------------------------------------------- real data


@pytest.mark.slow
@pytest.mark.real_data
def test_the_leaking_columns_of_breast_us(real_data: Path) -> None:
    data = read_table(real_data / "breast_us", target="label")
    ignored = {guess.column for guess in data.roles if "gives the label away" in guess.reason}
    assert ignored == {"birads", "interpretation", "diagnosis"}
    assert data.source("tabular")[-1] == "tissue"


@pytest.mark.slow
@pytest.mark.real_data
def test_the_shared_pictures_of_vqarad_s_official_split(real_data: Path) -> None:
    asked = {"data": str(real_data / "vqarad"), "target": "label", "split": "official_split"}
    found = prepare(from_mapping(asked), load_registry(), "cpu")
    texts = [f.text for f in found.findings if f.kind == "duplicates" and f.warning]
    assert any("same picture (image)" in text and "both in train and in" in text for text in texts)
    own = prepare(from_mapping({**asked, "split": "split"}), load_registry(), "cpu")
    assert not [f for f in own.findings if f.kind == "duplicates" and f.warning]


@pytest.mark.slow
@pytest.mark.real_data
def test_no_leaks_are_invented_on_other_real_sets(real_data: Path) -> None:
    for name in ("easyvqa", "stocknet", "vqarad"):
        asked = {"data": str(real_data / name), "target": "label"}
        found = prepare(from_mapping(asked), load_registry(), "cpu")
        assert not [str(f) for f in found.findings if f.kind == "leak"], name
    asked = {"data": str(real_data / "openclipart"), "target": "label"}
    found = prepare(from_mapping(asked), load_registry(), "cpu")
    assert any("column 'sub' alone" in str(f) for f in found.findings)
