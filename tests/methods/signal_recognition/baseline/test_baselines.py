"""The plain networks, the expert's features and trees, and who knows nothing."""

import io
import math

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier

from bench.run import artefact
from methods.signal_recognition._training import widest
from methods.signal_recognition.baseline._cumulants import features
from methods.signal_recognition.baseline._forest import as_tensors
from methods.signal_recognition.baseline.cnn import CNN, VGG
from methods.signal_recognition.baseline.features import FeatureClassifier, Features
from methods.signal_recognition.baseline.lstm import LSTM, AmplitudePhaseLSTM
from methods.signal_recognition.baseline.majority import Majority
from suites.signal_recognition.generated import draw
from suites.signal_recognition.modulations import CLASSES, psk, qam
from tests.methods.signal_recognition.conftest import Make


def test_the_baseline_is_whole_at_every_point_and_its_narrow_variant_fills_the_rest(recognition: Make) -> None:
    whole, narrow = CNN(), CNN(narrowed=True)
    large, small = recognition("params-100k", passes=64), recognition(passes=64)
    assert whole.supports(large) is None
    assert whole.supports(recognition(parameters=math.inf)) is None
    assert "with 70 channels" in str(whole.supports(small))
    assert "nothing is to be cut" in str(narrow.supports(large))
    assert narrow.supports(small) is None
    assert "with 4 channels" in str(narrow.supports(recognition(parameters=100)))
    built = narrow.build(small)
    width = built.candidate.layers[0].out_channels
    assert small.weigh(built)["parameters"] <= 12_000 < small.weigh(VGG(11, width + 1))["parameters"]


def test_the_cnn_halves_the_samples_six_times() -> None:
    assert VGG(11, 5).layers(torch.zeros(2, 2, 128)).shape == (2, 5, 2)


def test_the_lstm_reads_amplitude_and_phase_and_remembers_at_first(recognition: Make) -> None:
    torch.manual_seed(0)
    model = AmplitudePhaseLSTM(11, 6).eval()
    assert (model.lstm.bias_ih_l1[6:12] + model.lstm.bias_hh_l1[6:12] == 1).all()
    gate = model.lstm.weight_hh_l0[:6].detach()
    assert torch.allclose(gate @ gate.T, torch.eye(6), atol=1e-5)
    seen = []
    model.lstm.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model(torch.tensor([[[3.0, 0.0], [4.0, -2.0]]]))
    assert torch.allclose(seen[0], torch.tensor([[[5.0, math.atan2(4, 3) / math.pi], [2.0, -0.5]]]))
    assert artefact.weight(AmplitudePhaseLSTM(11, 6)) == artefact.weight(AmplitudePhaseLSTM(11, 6))
    task = recognition(passes=64, parameters=2_000)
    built = LSTM().build(task)
    wanted = widest(task, lambda width: AmplitudePhaseLSTM(11, width), range(4, 57, 2))
    assert built.candidate.lstm.hidden_size == wanted
    assert "parameters is still" in str(LSTM().supports(recognition(parameters=100)))


def test_the_widest_is_the_last_that_is_within(recognition: Make) -> None:
    task = recognition(parameters=5_000)
    found = widest(task, lambda width: VGG(11, width), range(4, 40))
    assert task.weigh(VGG(11, found))["parameters"] <= 5_000 < task.weigh(VGG(11, found + 1))["parameters"]
    with pytest.raises(ValueError, match="not even the narrowest"):
        widest(recognition(parameters=10), lambda width: VGG(11, width), [4])


def test_the_majority_says_the_shares_of_the_labels(recognition: Make) -> None:
    task = recognition()
    logits = Majority().build(task)(torch.zeros(3, 2, 128))
    shares = np.bincount(task.labels, minlength=11) + 1
    assert torch.allclose(logits.softmax(-1)[2], torch.tensor(shares / shares.sum()).float())
    assert task.left("sample_passes") == 80_000  # no signal was looked at


def symbols(points: np.ndarray) -> torch.Tensor:
    """Every point equally often, as signals."""
    drawn = np.resize(points, 128 // len(points) * len(points))
    return torch.from_numpy(np.stack([drawn.real, drawn.imag]))[None].float()


@pytest.mark.parametrize(
    ("points", "c20", "c40", "c42"),
    [(psk(2), 1, 2, 2), (psk(4), 0, 1, 1), (psk(8), 0, 0, 1), (qam(16), 0, 0.68, 0.68), (qam(64), 0, 0.619, 0.619)],
)
def test_cumulants_are_those_of_the_table(points: np.ndarray, c20: float, c40: float, c42: float) -> None:
    """Swami and Sadler, 2000, table I: magnitudes."""
    found = features(symbols(points))[0]
    assert found[0].item() == pytest.approx(c20, abs=1e-3)
    assert found[1].item() == pytest.approx(c40, abs=1e-3)
    assert found[3].item() == pytest.approx(c42, abs=1e-3)


def test_features_do_not_hang_on_the_carriers_phase() -> None:
    signals = draw(1, "train").signals
    z = (signals[:, 0] + 1j * signals[:, 1]) * np.exp(1.1j)
    turned = torch.from_numpy(np.stack([z.real, z.imag], 1)).float()
    assert torch.allclose(features(turned), features(torch.from_numpy(signals)), rtol=2e-2, atol=2e-2)
    assert features(turned).shape == (77, 24)
    assert torch.isfinite(features(turned)).all()


def test_the_forest_answers_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 20, (400, 5)).astype(np.float32)  # ties with thresholds abound
    labels = (inputs[:, 0] > 9).astype(int) + (inputs[:, 1] * inputs[:, 2] > 90)
    theirs = RandomForestClassifier(7, max_leaf_nodes=30, random_state=0).fit(inputs, labels)
    ours = as_tensors(theirs.estimators_)
    asked = rng.uniform(-1, 21, (300, 5)).astype(np.float32)
    asked[:150] = inputs[:150] + 0.5
    wanted = torch.from_numpy(theirs.predict_proba(asked)).float()
    assert torch.allclose(ours(torch.from_numpy(asked)), wanted, atol=1e-6)
    assert ours.leaves.shape == (7, 30, 3)


def test_a_number_next_to_a_threshold_goes_the_way_that_scikit_learn_says() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.uniform(size=(2_000, 1)).astype(np.float32)
    theirs = RandomForestClassifier(1, max_leaf_nodes=400, random_state=0).fit(inputs, rng.integers(2, size=2_000))
    thresholds = theirs.estimators_[0].tree_.threshold.astype(np.float32)
    asked = np.stack([thresholds, np.nextafter(thresholds, np.float32(9)), np.nextafter(thresholds, np.float32(-9))])
    wanted = torch.from_numpy(theirs.predict_proba(asked.reshape(-1, 1))).float()
    found = as_tensors(theirs.estimators_)(torch.from_numpy(asked.reshape(-1, 1)))
    assert torch.allclose(found, wanted, atol=1e-6)


def test_features_are_fitted_on_the_training_signals_and_fill_the_limit(recognition: Make) -> None:
    task = recognition(passes=248)
    assert Features().supports(task) is None
    model = Features().build(task)
    assert isinstance(model, FeatureClassifier)
    assert task.left("sample_passes") == 80_000 - 192  # whole batches of 64
    assert task.weigh(model)["parameters"] <= 12_000
    seen = task.signals(range(248))
    assert (model(seen.signals).argmax(-1) == seen.labels).float().mean() > 0.5
    large = recognition(parameters=4_000)
    leaves = Features().most_leaves(large)
    assert 4_000 - 16 * 15 < 16 * (4 * (leaves - 1) + 11 * leaves) <= 4_000
    assert "16 trees of 4 leaves" in str(Features().supports(recognition(parameters=100)))


def test_what_is_shipped_of_them_is_tensors_alone(recognition: Make) -> None:
    model = Features().build(recognition(passes=248))
    kept = io.BytesIO()
    torch.save(model, kept)
    assert b"sklearn" not in kept.getvalue()
    assert artefact.weight(model) < 60_000
    signals = torch.from_numpy(draw(1, "train").signals)
    again = torch.load(io.BytesIO(kept.getvalue()), weights_only=False)
    assert torch.equal(again(signals), model(signals))


def test_features_tell_modulations_apart_that_nobody_could_confuse() -> None:
    """At a high ratio, whatever the draw: the classes of an envelope that is constant, real, or neither."""
    found = draw(30, "train")
    loud = found.part(np.flatnonzero(found.snr == 16).tolist())
    values = features(torch.from_numpy(loud.signals))
    spread = {name: values[loud.labels == CLASSES.index(name), 8].mean() for name in ("CPFSK", "WBFM", "QAM16", "BPSK")}
    assert max(spread["CPFSK"], spread["WBFM"]) < min(spread["QAM16"], spread["BPSK"])
