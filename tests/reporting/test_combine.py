"""Several runs as one: folds are pooled, seeds averaged, and published figures stand beside ours."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import ESCONV_FOLDER, PREDICT, REPOSITORY, folder_of, module
from scipy import stats
from sklearn.metrics import f1_score

from artificial_pain.data import text_csv
from artificial_pain.errors import UserError
from artificial_pain.evaluation.bootstrap import holm
from artificial_pain.reporting import combine, commands, page, tables
from artificial_pain.reporting.find import group_runs
from artificial_pain.reporting.groups import Group, Metric, paired_tests
from artificial_pain.reporting.run_files import Run
from artificial_pain.runs import status
from artificial_pain.runs.predictor import Ensemble, Predictor

pytestmark = pytest.mark.xdist_group("study")
FOUR = "accuracy-4-heads-intensity-change"


@pytest.fixture(scope="module")
def folder(studied, encoder):
    """That of the study's runs."""
    return studied.root / ESCONV_FOLDER / folder_of(encoder)


@pytest.fixture(scope="module")
def runs(folder) -> list[Run]:
    """Both seeds of four heads."""
    return [Run.read(folder / name) for name in (FOUR, f"{FOUR}-seed43")]


def as_folds(run: Run, num_folds: int) -> list[Run]:
    """The run as if its test examples were those of several folds."""
    folds = []
    for i in range(num_folds):
        data = run.record["data"] | {"folds": num_folds, "fold": i + 1, "fingerprint": str(i)}
        test = run.predictions.iloc[i::num_folds]
        results = json.loads(json.dumps(run.results)) | {"train_mean": {"initial": 3.0 + i, "final": 2, "change": -1}}
        results["validation"]["macro_f1"] = 0.1 * i
        folds.append(replace(run, record=run.record | {"data": data}, predictions=test, results=results))
    return folds


def test_pooled_folds_have_the_metrics_of_all_their_predictions(runs):
    """By scikit-learn and scipy, of emotion, intensities and baselines; of validation the mean"""
    pooled = combine.pool(as_folds(runs[0], 3))
    frame, test = runs[0].predictions, pooled.results["test"]
    pd.testing.assert_frame_equal(pooled.predictions, frame.sort_index())
    names = pooled.label_names
    f1 = f1_score(frame["label_name"], frame["predicted"], labels=names, average="macro", zero_division=0)
    assert test["macro_f1"] == pytest.approx(f1) and test["n"] == len(frame)
    known = frame[frame["final_intensity"].notna()]
    rho = stats.spearmanr(known["final_intensity"], known["final_intensity_expected"]).statistic
    final = test["intensity"]["expected"]["final"]["micro"]
    assert final["spearman"] == pytest.approx(rho) and final["n"] == len(known)
    of_fold = 3 + np.arange(len(frame)) % 3  # the training mean of each example's fold
    said = frame["initial_intensity_at_predicted"], of_fold
    error, of_mean = ((each - frame["initial_intensity"]) ** 2 for each in said)
    initial = test["intensity"]["predicted_label"]["initial"]
    assert initial["micro"]["r2"] == pytest.approx(1 - error.sum() / of_mean.sum())
    anger = frame["label_name"] == "anger"
    assert initial["per_emotion"]["anger"]["r2"] == pytest.approx(1 - error[anger].sum() / of_mean[anger].sum())
    assert pooled.results["validation"] == pytest.approx({"macro_f1": 0.1})
    baselines = pooled.results["baselines"]
    assert baselines.keys() == runs[0].results["baselines"].keys()
    theirs = runs[0].results["baselines"]["tfidf_logistic_regression"]
    assert baselines["tfidf_logistic_regression"]["macro_f1"] == pytest.approx(theirs["macro_f1"])
    ours, theirs = (
        each["tfidf_ridge"]["intensity"]["predicted_label"]["initial"]["micro"]["mae"]
        for each in (baselines, runs[0].results["baselines"])
    )
    assert ours == pytest.approx(theirs)
    folds = as_folds(runs[0], 3)
    del folds[1].results["baselines"]["majority"]
    assert combine.pool(folds).results["baselines"].keys() == baselines.keys() - {"majority"}, "what all folds have"


def test_folds_are_one_group_and_a_missing_one_is_told(runs):
    folds = [as_folds(run, 3) for run in runs]
    (group,), incomplete = group_runs([*folds[0], *folds[1][:2]])
    assert group.seeds == [42] and group.corpus == f"{ESCONV_FOLDER}-folds3" and len(group.first.folds) == 3
    ((name, command),) = commands.missing_folds(incomplete)
    assert name.endswith("fold 3 of 3, seed 43") and "--folds 3 --fold 3" in command and "--seeds 43 " in command
    assert folds[0][0].record["device"]["name"] in name, "a fold that another machine has is another one"
    elsewhere = folds[1][0].record["data"] | {"data_source": "elsewhere/same.json"}
    folds[1][0] = replace(folds[1][0], record=folds[1][0].record | {"data": elsewhere})
    (group,), incomplete = group_runs([*folds[0], *folds[1]])
    assert group.seeds == [42, 43] and not incomplete
    assert len(group.emotion_metric("macro_f1").interval) == 2
    average = combine.average(runs).results["test"]["macro_f1"]
    assert group.ensemble.emotion_metric("macro_f1").mean == pytest.approx(average)
    with pytest.raises(UserError, match="has the same setting and seed as"):
        group_runs([*folds[0], folds[0][1]])


def test_page_of_folds_has_the_command_of_each(runs, tmp_path):
    groups, _ = group_runs([fold for run in runs for fold in as_folds(run, 2)])
    text = page.page(groups, [], tmp_path)
    probabilities = text.split("### Probabilities")[1].split("###")[0]
    assert [line.split(" | ")[1] for line in probabilities.splitlines() if "heads" in line] == ["no", "yes", "yes"]
    assert f"\n## {ESCONV_FOLDER}-folds2\n" in text and "each in one of 2 folds" in text
    for fold in (1, 2):
        assert text.count("--seeds 42 43 --output_dir") == 2 and text.count(f"--folds 2 --fold {fold} ") == 1


def test_difference_of_single_seeds_is_that_of_the_tested_models(runs):
    """Of the seed that both have, where one setting has a single seed"""
    for test in paired_tests(Group(runs), Group(runs[:1])).values():
        assert test["p_value"] is None and test["p_value_of_models"] == 1
        assert [test["difference"], *test["interval"]] == pytest.approx([0, 0, 0])


def test_averaged_seeds_are_the_mean_of_their_probabilities(runs):
    average = combine.average(runs)
    of_labels = [f"calibrated_probability_{name}" for name in average.label_names]
    mean = np.mean([run.predictions[of_labels] for run in runs], axis=0)
    assert average.predictions[of_labels].to_numpy() == pytest.approx(mean)
    assert average.predictions["predicted"].tolist() == [average.label_names[i] for i in mean.argmax(axis=1)]
    right = (average.predictions["predicted"] == average.predictions["label_name"]).mean()
    assert average.results["test"]["accuracy"] == pytest.approx(right)
    intensities = np.mean([run.predictions["initial_intensity_at_predicted"] for run in runs], axis=0)
    assert average.predictions["initial_intensity_at_predicted"].to_numpy() == pytest.approx(intensities)
    annotated = runs[0].predictions["initial_intensity"]
    pd.testing.assert_series_equal(average.predictions["initial_intensity"], annotated)


def test_ensemble_predicts_what_its_runs_do_on_average(folder, runs, command):
    texts = text_csv.read_split(folder / FOUR / "predictions_test.csv")["text"].tolist()[:5]
    both = [folder / FOUR, folder / f"{FOUR}-seed43"]
    got, average = Ensemble(both)(texts), combine.average(runs).predictions.iloc[:5]
    for name in average.filter(regex="^probability_"):
        assert got[name].to_numpy() == pytest.approx(average[f"calibrated_{name}"].to_numpy(), abs=1e-4)
    assert got["emotion"].tolist() == average["predicted"].tolist()
    assert got["initial"].to_numpy() == pytest.approx(average["initial_intensity_at_predicted"].to_numpy(), abs=1e-3)
    pd.testing.assert_frame_equal(Ensemble(both[:1])(texts), Predictor(both[0])(texts))
    done = module(command, PREDICT, both[0], "--with_run", both[1], "--format", "jsonl", texts[0])
    shares = json.loads(done.out)["probabilities"]
    assert shares == pytest.approx(got.filter(like="probability_").iloc[0].rename(lambda c: c[12:]).to_dict(), abs=1e-4)
    with pytest.raises(UserError, match="has the same seed as another run"):
        Ensemble([both[0], both[0]])
    with pytest.raises(UserError, match="has another setting or other data"):
        Ensemble([both[0], folder / "loss-classification"])


def test_compare_averages_the_runs_of_a_setting(folder, runs, script, tmp_path):
    words = [REPOSITORY / "artificial_pain" / "compare.py", "--ensemble", folder / FOUR]
    done = script(*words, folder / f"{FOUR}-seed43")
    (line,) = [line for line in done.out.splitlines() if line.startswith("accuracy-4-heads and 1 more averaged")]
    assert line.split()[5] == f"{combine.average(runs).results['test']['macro_f1']:.3f}"
    copy = shutil.copytree(folder / FOUR, tmp_path / "copy")
    assert script(*words, copy).error.endswith("take one of them away")


def test_readings_of_the_test_split_are_noted(studied, folder, runs, tmp_path):
    """Each evaluation by its run; a setting is the same for both seeds, and counted once"""
    lines = [json.loads(line) for line in (folder.parent / status.READINGS).read_text().splitlines()]
    assert {line["run"] for line in lines} >= {f"{folder.name}/{FOUR}", f"{folder.name}/loss-classification-seed43"}
    assert all(line["command"].startswith("python ") and line["time"][:2] == "20" for line in lines)
    settings = {line["setting"] for line in lines}
    assert len(settings) == 2 and runs[0].readings == settings and status.setting(runs[0].record) in settings
    section = page.Section([Group(runs)], False, tmp_path, "slug")
    assert section.num_readings == 2
    other = shutil.copytree(studied.root, tmp_path / "other", ignore=shutil.ignore_patterns("*.safetensors"))
    with (other / folder.parent.name / status.READINGS).open("a") as file:
        file.write("{}\n")
    with pytest.raises(UserError, match=r"line \d+ is damaged .*remove the line"):
        Run.read(other / folder.parent.name / folder.name / FOUR)


def test_tests_of_a_section_are_corrected_together(runs, folder, tmp_path):
    """With Holm, and with the baselines among them; what is best by chance is told"""
    one = Group([Run.read(folder / name) for name in ("loss-classification", "loss-classification-seed43")])
    tests = page.Section([Group(runs), one], False, tmp_path, "slug").tests
    assert [test["p_value_holm"] for test in tests] == pytest.approx(holm([test["p_value"] for test in tests]))
    others = [(test["other_name"], test["metric"]) for test in tests]
    for baseline in ("frozen encoder", "TF-IDF"):
        assert others.count((f"{baseline} + logistic regression", "macro-F1")) == 2
        assert others.count((f"{baseline} + ridge regression", "MAE, change")) == 1
    ridge = runs[0].results["baselines"]["tfidf_ridge"]["intensity"]["predicted_label"]["initial"]["micro"]["mae"]
    ours = np.mean([run.results["test"]["intensity"]["predicted_label"]["initial"]["micro"]["mae"] for run in runs])
    (test,) = [t for t in tests if (t["other_name"], t["metric"]) == ("TF-IDF + ridge regression", "MAE, initial")]
    assert test["difference"] == pytest.approx(ours - ridge)


def test_best_setting_is_one_of_those_with_the_most_seeds(runs, tmp_path):
    """One seed of a search is the first row where its validation is higher, and is tested as another setting"""
    record = {**runs[0].record, "arguments": {**runs[0].record["arguments"], "epochs": 99}}
    validation = {**runs[0].results["validation"], "macro_f1": 0.99}
    one = replace(runs[0], record=record, results={**runs[0].results, "validation": validation})
    both = Group(runs)
    section = page.Section([both, Group([one])], False, tmp_path, "slug")
    (first, _), (second, group) = section.rows
    assert section.best is group is both and section.best_name == second
    pairs = [(test["name"], test["other_name"]) for test in section.tests if test["metric"] == "macro-F1"]
    assert pairs[0] == (second, first) and {name for name, _ in pairs} == {second}


def test_published_figures_have_the_interval_of_as_many_sentences(runs):
    """0.6844 of 684: 1.96 times the root of 0.6844 · 0.3156 / 684 is 0.0348. A tie is within both errors"""
    interval = tables.published_metric(0.6844, 684).interval
    assert interval == pytest.approx([0.6844 - 0.0348, 0.6844 + 0.0348], abs=5e-5)

    class Best:
        corpus, labels = "SAD-imhi", np.zeros(684)

        def emotion_metric(self, name: str) -> Metric:
            assert name == "weighted_f1"
            return Metric(0.69, 0.01, [0.655, 0.725])

    verdicts = {name: verdict for name, _, verdict in tables.against_published(Best())}
    assert verdicts["MentalRoBERTa"] == verdicts["MentalQLM"] == "a tie" and verdicts["ChatGPT, zero-shot"] == "higher"
    assert list(tables.against_published(Group(runs))) == []


def test_sources_have_the_mean_of_the_seeds_and_the_raters():
    """A row a group, and one of each baseline that says labels"""

    def scores(of_shop: float) -> dict:
        return {"by_source": {"shop": {"n": 3, "weighted_f1": of_shop}, "web": {"n": 5, "weighted_f1": 0.5}}}

    first = SimpleNamespace(results={"baselines": {"raters": scores(0.17)}})
    of_group = {"arguments": {"balanced": False, "model_name": "tiny"}, "targets": [], "first": first}
    group = SimpleNamespace(results=[scores(0.6), scores(0.8)], runs=[1], **of_group)
    without = SimpleNamespace(results=[{}])  # of splits from before they had a column of sources
    assert tables.source_table([("before", without)]) == ""
    lines = tables.source_table([("before", without), ("ours", group)]).splitlines()
    assert lines[0] == "|  | shop (n=3) | web (n=5) |"
    assert lines[2:] == ["| ours | 0.700 ± 0.141 | 0.500 ± 0.000 |", "| majority of the raters | 0.170 | 0.500 |"]
