"""The task `medical`: the simulated study is an exact measuring stick, and tables are read."""

from __future__ import annotations

import itertools
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mmauto_medical import findings as model
from mmauto_medical import note, patients, radiograph, vitals
from mmauto_medical.simulate import simulate
from mmauto_medical.task import Medical
from PIL import Image

from mmauto.data.dataset import Dataset
from mmauto.errors import DataError
from mmauto.registry import load_registry

FLAT = np.ones(len(model.DIAGNOSES))
SINGLES = tuple(model.CODES)


def recall_mean(truth: np.ndarray, guess: np.ndarray) -> float:
    return float(np.mean([(guess[truth == k] == k).mean() for k in np.unique(truth)]))


def diagnoses(data: Dataset) -> np.ndarray:
    return np.array([model.DIAGNOSES.index(name) for name in data.targets["diagnosis"].values])


def cases(observed: dict[str, str]) -> model.Findings:
    """One visit with these codes; the other modalities hold their first code."""
    codes = {
        m: np.array([names.index(observed.get(m, names[0]))]) for m, names in model.CODES.items()
    }
    return model.Findings(np.zeros(1, int), codes, {m: np.ones(1, bool) for m in model.CODES})


def belief(**observed: str) -> dict[str, float]:
    scores = model.posterior(cases(observed), observed, FLAT)[0]
    return dict(zip(model.DIAGNOSES, scores, strict=True))


def expected_ceiling(observed: tuple[str, ...]) -> float:
    """The best balanced accuracy by enumeration over codes and missing samples."""
    total = 0.0
    for seen in itertools.product([True, False], repeat=len(observed)):
        weight, joint = 1.0, np.ones((len(FLAT), 1))
        for modality, there in zip(observed, seen, strict=True):
            share = model.MISSING[modality]
            weight *= 1 - share if there else share
            if there:
                table = model.TABLES[modality]
                joint = (joint[:, :, None] * table[:, None, :]).reshape(len(FLAT), -1)
        total += weight * joint.max(0).sum() / len(FLAT)
    return total


@pytest.fixture(scope="module")
def data() -> Dataset:
    return Medical().load(None, {})


@pytest.fixture(scope="module")
def many() -> model.Findings:
    return model.draw(400_000, np.random.default_rng(7))


# --------------------------------------------------------------------------------- the data set


def test_the_plugin_offers_the_task() -> None:
    entry = load_registry().entry("task", "medical")
    assert entry.component.summary
    assert entry.distribution == "mmauto"


def test_importing_the_plugin_loads_neither_numpy_nor_its_modules() -> None:
    code = (
        "import sys, mmauto_medical; "
        "print(sorted({'numpy', 'torch', 'PIL', 'mmauto_medical.task'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_study_is_complete_and_says_that_it_is_simulated(data: Dataset) -> None:
    assert len(data) == Medical.rows == 2000
    assert {key: column.modality for key, column in data.columns.items()} == {
        "image": "image",
        "text": "text",
        "tabular": "tabular",
    }
    assert all(len(column) == len(data) for column in data.columns.values())
    assert data.simulated
    assert any("simulated" in sentence for sentence in data.notes)
    assert len(set(data.ids)) == len(data)
    assert data.split is None
    assert data.columns["image"][0].size == (128, 128)


def test_the_targets_are_declared_with_the_primary_one_first(data: Dataset) -> None:
    assert [(t.name, t.kind, t.metric) for t in data.targets.values()] == [
        ("diagnosis", "multiclass", "balanced_accuracy"),
        ("urgent", "binary", ""),
        ("stay_days", "regression", "mae"),
    ]
    assert data.targets["diagnosis"].classes == model.DIAGNOSES
    assert data.targets["urgent"].classes == ("no", "yes")
    assert set(data.targets["urgent"].values) == {"no", "yes"}
    assert (data.targets["stay_days"].values >= 0).all()


def test_the_diagnoses_are_imbalanced_as_the_prior_says(data: Dataset) -> None:
    share = np.bincount(diagnoses(data), minlength=5) / len(data)
    assert share == pytest.approx(model.PRIOR, abs=0.035)
    assert model.PRIOR.max() >= 2 * model.PRIOR.min()


def test_urgency_and_stay_follow_the_diagnosis(data: Dataset) -> None:
    urgent = data.targets["urgent"].values == "yes"
    stay = data.targets["stay_days"].values
    normal, failing = (
        diagnoses(data) == model.DIAGNOSES.index(d) for d in ("normal", "heart failure")
    )
    assert urgent[failing].mean() > urgent[normal].mean() + 0.4
    assert stay[failing].mean() > stay[normal].mean() + 3


def test_equal_seeds_give_equal_data_whatever_numpy_global_state() -> None:
    np.random.seed(1)
    one = simulate(60, 3)
    np.random.seed(2)
    two, other = simulate(60, 3), simulate(60, 4)
    for key in one.columns:
        assert one.columns[key].digest() == two.columns[key].digest()
        assert one.columns[key].digest() != other.columns[key].digest()
    assert all((one.ideal[k] == two.ideal[k]).all() for k in one.ideal)
    assert (one.targets["stay_days"].values == two.targets["stay_days"].values).all()


def test_the_seed_option_decides_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Medical, "rows", 40)
    task = Medical()
    digest = task.load(None, {"seed": 5}).columns["text"].digest()
    assert digest == simulate(40, 5).columns["text"].digest()
    assert digest != task.load(None, {}).columns["text"].digest()


def test_the_data_set_can_be_sent_to_another_process() -> None:
    data = simulate(20, 0)
    again = pickle.loads(pickle.dumps(data))
    assert again.columns["image"].digest() == data.columns["image"].digest()


def test_eight_per_cent_of_notes_and_vitals_are_missing(data: Dataset) -> None:
    assert data.columns["image"].present.all()
    for key in ("text", "tabular"):
        present = data.columns[key].present
        assert 1 - present.mean() == pytest.approx(0.08, abs=0.02)
        assert data.columns[key][int(np.flatnonzero(~present)[0])] is None


def test_patients_have_one_to_three_visits_that_share_age_and_sex(data: Dataset) -> None:
    assert data.groups is not None
    _, first, counts = np.unique(data.groups, return_index=True, return_counts=True)
    assert set(counts) == {1, 2, 3}
    assert all(id_.startswith(group) for id_, group in zip(data.ids, data.groups, strict=True))
    for start, count in zip(first, counts, strict=True):
        visits = data.columns["tabular"].take(np.arange(start, start + count))
        people = {(row["age"], row["sex"], row["smoker"]) for row in visits if row}
        assert len(people) <= 1


def test_another_visit_of_a_patient_says_nothing_of_the_diagnosis(data: Dataset) -> None:
    assert data.groups is not None
    truth = diagnoses(data)
    same = data.groups[1:] == data.groups[:-1]
    agree = (truth[1:] == truth[:-1])[same]
    by_chance = (model.PRIOR**2).sum()
    assert agree.mean() == pytest.approx(by_chance, abs=4 * np.sqrt(0.25 / len(agree)))


# ---------------------------------------------------------------------------------- the ceiling


def test_tables_are_probabilities() -> None:
    assert model.PRIOR.sum() == pytest.approx(1.0)
    for modality, table in model.TABLES.items():
        assert table.shape == (len(model.DIAGNOSES), len(model.CODES[modality]))
        assert (table > 0).all()
        assert table.sum(1) == pytest.approx(1.0)


@pytest.mark.parametrize("observed", [("image",), ("text", "tabular"), SINGLES])
def test_the_posterior_equals_frequencies(many: model.Findings, observed: tuple[str, ...]) -> None:
    scores = model.posterior(many, observed, model.PRIOR)
    key = np.zeros(len(many.diagnosis), int)
    for modality in observed:
        seen = np.where(many.seen[modality], many.codes[modality], len(model.CODES[modality]))
        key = key * 10 + seen
    checked = 0
    for value in np.unique(key):
        rows = key == value
        count = rows.sum()
        if count < 400:
            continue
        frequency = np.bincount(many.diagnosis[rows], minlength=5) / count
        expected = scores[rows][0]
        spread = np.sqrt(expected * (1 - expected) / count)
        assert (np.abs(frequency - expected) < 5 * spread + 1e-9).all()
        checked += 1
    assert checked >= 6


def test_a_missing_sample_leaves_the_prior(many: model.Findings) -> None:
    unseen = ~many.seen["text"]
    assert model.posterior(many, ["text"], model.PRIOR)[unseen] == pytest.approx(
        np.tile(model.PRIOR, (unseen.sum(), 1))
    )
    assert model.posterior(many, ["text"], FLAT)[unseen] == pytest.approx(0.2)


@pytest.mark.parametrize("modality", ["text", "tabular"])
def test_no_rule_on_codes_beats_the_ideal_observer(modality: str) -> None:
    table = model.TABLES[modality]
    rules = itertools.product(range(len(table)), repeat=table.shape[1])
    best = max(sum(table[d, c] for c, d in enumerate(rule)) / len(table) for rule in rules)
    share = model.MISSING[modality]
    assert expected_ceiling((modality,)) == pytest.approx((1 - share) * best + share * 0.2)


def test_the_ideal_observers_reach_the_enumerated_ceilings(many: model.Findings) -> None:
    for observed in [*((m,) for m in SINGLES), SINGLES]:
        guess = model.posterior(many, observed, FLAT).argmax(1)
        assert recall_mean(many.diagnosis, guess) == pytest.approx(
            expected_ceiling(observed), abs=0.005
        )


def test_each_modality_alone_lies_clearly_below_all_together(data: Dataset) -> None:
    truth = diagnoses(data)
    assert set(data.ideal) == {"image", "text", "tabular", "all"}
    reached = {k: recall_mean(truth, scores.argmax(1)) for k, scores in data.ideal.items()}
    assert 0.87 <= reached["all"] <= 0.93
    assert 0.60 <= reached["image"] <= 0.69
    assert 0.55 <= reached["text"] <= 0.65
    assert 0.45 <= reached["tabular"] <= 0.56
    assert all(reached[single] <= reached["all"] - 0.15 for single in SINGLES)
    assert all(scores.shape == (len(data), 5) for scores in data.ideal.values())
    assert all(scores.sum(1) == pytest.approx(1.0) for scores in data.ideal.values())


def test_every_modality_adds_to_the_other_two() -> None:
    together = expected_ceiling(SINGLES)
    for left_out in SINGLES:
        rest = tuple(m for m in SINGLES if m != left_out)
        assert expected_ceiling(rest) < together - 0.02


@pytest.mark.parametrize("finding", ["opacity", "effusion"])
def test_only_note_or_vitals_tell_pneumonia_from_heart_failure(finding: str) -> None:
    picture = belief(image=finding)
    assert picture["pneumonia"] == pytest.approx(picture["heart failure"])
    assert belief(image=finding, text="infective")["pneumonia"] > 0.85
    assert belief(image=finding, text="cardiac")["heart failure"] > 0.85
    assert belief(image=finding, tabular="inflamed")["pneumonia"] > 0.85
    assert belief(image=finding, tabular="congested")["heart failure"] > 0.85
    hypoxic = belief(image=finding, tabular="hypoxic")
    assert hypoxic["pneumonia"] == pytest.approx(hypoxic["heart failure"])
    assert belief(image=finding, tabular="hypoxic", text="infective")["pneumonia"] > 0.9


def test_pneumonia_needs_picture_and_note_together() -> None:
    assert belief(image="opacity")["pneumonia"] < 0.5
    assert belief(text="infective", image="clear")["normal"] > 0.5
    assert belief(text="infective", image="opacity")["pneumonia"] > 0.85


def test_only_the_picture_tells_a_nodule_from_normal() -> None:
    for words, values in itertools.product(model.CODES["text"], model.CODES["tabular"]):
        blind = belief(text=words, tabular=values)
        assert blind["nodule"] == pytest.approx(blind["normal"])
    assert belief(image="nodule")["nodule"] > 0.9


# ------------------------------------------------------- what is rendered tells codes, no more


def test_missing_samples_do_not_depend_on_the_diagnosis(many: model.Findings) -> None:
    for modality in ("text", "tabular"):
        shares = [1 - many.seen[modality][many.diagnosis == d].mean() for d in range(5)]
        assert shares == pytest.approx([0.08] * 5, abs=0.006)


def test_nuisance_is_independent_of_the_diagnosis_given_the_code(data: Dataset) -> None:
    truth = diagnoses(data)
    seen = data.columns["tabular"].present
    pictures = data.columns["image"].values
    # pneumonia and heart failure share opacity and effusion, and no other diagnosis often does
    blind = np.isclose(data.ideal["image"][:, 1], data.ideal["image"][:, 2])
    brightness = pictures.mean((1, 2)).astype(float)
    age = data.columns["tabular"].values["age"]
    pair = [blind & (truth == d) for d in (1, 2)]
    assert min(rows.sum() for rows in pair) > 200
    for values, known in ((brightness, np.ones(len(data), bool)), (age, seen)):
        left, right = (values[rows & known] for rows in pair)
        spread = np.sqrt(left.var() / len(left) + right.var() / len(right))
        assert abs(left.mean() - right.mean()) < 4 * spread


@pytest.mark.parametrize("code", range(1, len(model.CODES["image"])))
def test_every_image_code_changes_the_picture_where_it_should(code: int) -> None:
    builds = radiograph.Build.draw(12, np.random.default_rng(0))
    clear, found = (
        radiograph.render(np.full(12, c), builds, np.random.default_rng(1)).astype(int)
        for c in (0, code)
    )
    changed = np.abs(found - clear) > 25
    assert (changed.mean((1, 2)) > 0.004).all()
    assert (changed.mean((1, 2)) < 0.3).all()


def test_pictures_differ_by_nuisance_and_use_the_grey_scale() -> None:
    builds = radiograph.Build.draw(30, np.random.default_rng(0))
    pictures = radiograph.render(np.zeros(30, int), builds, np.random.default_rng(1))
    assert pictures.shape == (30, radiograph.SIZE, radiograph.SIZE)
    assert pictures.dtype == np.uint8
    assert len(np.unique(pictures.reshape(30, -1), axis=0)) == 30
    assert pictures.std(axis=0).mean() > 10
    assert (pictures.std(axis=(1, 2)) > 30).all()


def test_visits_of_a_patient_look_more_alike_than_others() -> None:
    builds = radiograph.Build.draw(2, np.random.default_rng(2))
    patient = np.repeat([0, 1], 40)
    pictures = radiograph.render(
        np.zeros(80, int), builds.take(patient), np.random.default_rng(1)
    ).astype(float)
    within = np.mean([pictures[patient == p].std(axis=0).mean() for p in (0, 1)])
    assert within < pictures.std(axis=0).mean()


@pytest.fixture(scope="module")
def notes() -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(0)
    codes = model.draw(600, rng).codes["text"]
    texts = note.write(codes, patients.People.draw(600, rng), rng)
    return [model.CODES["text"][c] for c in codes], texts


def mentions(text: str, code: str) -> list[str]:
    """The sentences about the patient that name a symptom of ``code``."""
    found = [s.strip() for s in re.split(r"(?<=\.)\s", text) if s.strip() not in note.BESIDE]
    return [s for s in found if any(symptom in s for symptom in note.SYMPTOMS[code])]


def test_notes_deny_the_symptoms_that_they_do_not_state(
    notes: tuple[list[str], list[str]],
) -> None:
    denials = tuple(form.partition("{}")[0] for form in note.DENYING)
    denied = 0
    for stated, text in zip(*notes, strict=True):
        for code in note.SYMPTOMS:
            named = mentions(text, code)
            if code == stated:
                assert named
                assert not any(sentence.startswith(denials) for sentence in named)
            else:
                assert all(sentence.startswith(denials) for sentence in named)
                denied += bool(named)
    assert denied >= 3 * len(notes[0])


def test_a_symptom_is_named_more_often_to_be_denied_than_to_be_stated(
    notes: tuple[list[str], list[str]],
) -> None:
    named = [(code == "infective") for code, text in zip(*notes, strict=True) if "fever" in text]
    assert 0.05 < np.mean(named) < 0.5


def test_notes_have_forty_to_eighty_words(notes: tuple[list[str], list[str]]) -> None:
    lengths = [len(text.split()) for text in notes[1]]
    assert note.LENGTH[0] <= min(lengths) <= max(lengths) <= note.LENGTH[1]


def test_vitals_are_plausible_and_follow_their_code() -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(4), 200)
    values = vitals.measure(codes, patients.People.draw(800, rng), rng)
    assert list(values) == list(vitals.FIELDS)
    quiet, inflamed, congested, hypoxic = (codes == c for c in range(4))
    assert values["temperature"][inflamed].mean() > values["temperature"][quiet].mean() + 1.2
    assert np.median(values["bnp"][congested]) > 5 * np.median(values["bnp"][quiet])
    assert values["spo2"][hypoxic].mean() < 91 < 96 < values["spo2"][quiet].mean()
    assert values["spo2"].max() <= 100
    assert values["age"].min() >= 18
    assert values["systolic"].min() > values["diastolic"].min() > 30
    assert set(values["sex"]) == {"female", "male"}


@pytest.mark.slow
def test_a_text_model_comes_near_its_ideal_observer(data: Dataset) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    texts = [text or "" for text in data.columns["text"]]
    truth, train = diagnoses(data), 1400
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=3)
    head = LogisticRegression(class_weight="balanced", max_iter=300)
    head.fit(words.fit_transform(texts[:train]), truth[:train])
    guess = head.predict(words.transform(texts[train:]))
    ceiling = recall_mean(truth[train:], data.ideal["text"][train:].argmax(1))
    assert ceiling - 0.12 < recall_mean(truth[train:], guess) < ceiling + 0.05


def test_a_tabular_model_comes_near_its_ideal_observer(data: Dataset) -> None:
    from sklearn.ensemble import RandomForestClassifier

    column = data.columns["tabular"]
    numbers = [column.values[f] for f, kind in column.fields.items() if kind == "numeric"]
    inputs, truth, train = np.nan_to_num(np.stack(numbers, 1), nan=-1.0), diagnoses(data), 1400
    forest = RandomForestClassifier(
        100, min_samples_leaf=8, class_weight="balanced", random_state=0
    ).fit(inputs[:train], truth[:train])
    ceiling = recall_mean(truth[train:], data.ideal["tabular"][train:].argmax(1))
    reached = recall_mean(truth[train:], forest.predict(inputs[train:]))
    assert ceiling - 0.12 < reached < ceiling + 0.05


# ------------------------------------------------------------------------------- a user's table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = ["image,text,label,patient,report,age,days"]
    for index in range(6):
        Image.fromarray(np.full((8, 8), 20 * index, np.uint8)).save(tmp_path / f"{index}.png")
        label = "benign" if index % 2 else "malignant"
        rows.append(
            f"{index}.png,seen {index},{label},p{index // 2},found {index},{40 + index},1.{index}"
        )
    (tmp_path / "data.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.mark.parametrize("source", ["", "data.csv"])
def test_a_folder_or_a_table_is_read_with_the_medical_schema(folder: Path, source: str) -> None:
    data = Medical().load(str(folder / source), {})
    assert set(data.columns) == {"image", "text"}
    assert data.columns["text"][2] == "seen 2"
    assert list(data.targets) == ["label"]
    assert data.targets["label"].kind == "binary"
    assert data.targets["label"].metric == "balanced_accuracy"
    assert not data.simulated
    assert not data.ideal


def test_named_columns_replace_the_schema(folder: Path) -> None:
    data = Medical().load(
        str(folder), {"text": ("report",), "tabular": ("age",), "group": "patient", "seed": 3}
    )
    assert data.columns["text"][2] == "found 2"
    assert data.columns["tabular"][2] == {"age": 42.0}
    assert data.groups is not None
    assert list(data.groups) == ["p0", "p0", "p1", "p1", "p2", "p2"]


def test_a_numeric_target_keeps_the_metric_of_its_kind(folder: Path) -> None:
    data = Medical().load(str(folder), {"target": ("days", "label")})
    assert data.targets["days"].kind == "regression"
    assert data.targets["days"].metric != "balanced_accuracy"


def test_a_table_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        Medical().load(str(tmp_path / "nowhere"), {})


def test_columns_without_a_table_are_refused() -> None:
    with pytest.raises(DataError, match=r"'text'.*no data.*add --data"):
        Medical().load(None, {"text": ("report",), "seed": 1})
