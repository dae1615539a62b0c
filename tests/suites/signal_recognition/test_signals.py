"""The signals: what each modulation is by its formula, what the channel adds, and that splits share nothing."""

import numpy as np
import pytest

from bench.contract import ExamRead
from bench.contract import exam as contract_exam
from suites.signal_recognition import channel, generated
from suites.signal_recognition.generated import SNR, draw
from suites.signal_recognition.modulations import (
    CPFSK_INDEX,
    MESSAGE_BAND,
    MODULATIONS,
    SAMPLES_PER_SYMBOL,
    pam,
    psk,
    qam,
    root_raised_cosine,
)
from suites.signal_recognition.signals import LENGTH, BadSignals, checked

MODULATED = list(MODULATIONS)


def signals(name: str, count: int = 40, length: int = LENGTH, seed: int = 0) -> np.ndarray:
    return MODULATIONS[name](count, length, np.random.default_rng(seed))


def test_a_pulse_through_its_own_filter_leaves_other_symbols_alone() -> None:
    pulse = root_raised_cosine()
    assert np.sum(pulse**2) == pytest.approx(1)
    both = np.convolve(pulse, pulse)
    middle = len(both) // 2
    others = both[middle % SAMPLES_PER_SYMBOL :: SAMPLES_PER_SYMBOL]
    assert both[middle] == pytest.approx(1)
    assert np.sort(np.abs(others))[:-1].max() < 0.01


@pytest.mark.parametrize("name", MODULATED)
def test_each_has_about_unit_power_and_the_same_bits_again(name: str) -> None:
    found = signals(name, 400)
    assert found.shape == (400, LENGTH)
    assert np.mean(np.abs(found) ** 2) == pytest.approx(1, rel=0.6 if name == "AM-DSB" else 0.15)
    assert np.array_equal(found, signals(name, 400))
    assert not np.array_equal(found, signals(name, 400, seed=1))


@pytest.mark.parametrize(
    ("name", "points"),
    [("BPSK", psk(2)), ("QPSK", psk(4)), ("8PSK", psk(8)), ("PAM4", pam(4)), ("QAM16", qam(16)), ("QAM64", qam(64))],
)
def test_behind_a_matched_filter_stand_the_points_of_the_constellation(name: str, points: np.ndarray) -> None:
    assert np.mean(np.abs(points) ** 2) == pytest.approx(1)
    assert len({complex(np.round(each, 6)) for each in points}) == len(points)
    (signal,) = signals(name, 1, 4_000)
    filtered = np.convolve(signal, root_raised_cosine(), mode="same")[200:-200] / np.sqrt(SAMPLES_PER_SYMBOL)
    clocks = [filtered[start::SAMPLES_PER_SYMBOL] for start in range(SAMPLES_PER_SYMBOL)]
    errors = [np.abs(clock[:, None] - points).min(1).max() for clock in clocks]
    best = clocks[int(np.argmin(errors))]
    assert min(errors) < 0.03
    assert set(np.abs(best[:, None] - points).argmin(1)) == set(range(len(points)))


def test_frequency_modulation_has_a_constant_envelope_and_phase_runs_by_its_index() -> None:
    for name in ("CPFSK", "GFSK", "WBFM"):
        assert np.abs(signals(name)) == pytest.approx(1)
    steps = np.abs(np.angle(signals("CPFSK")[:, 1:] * signals("CPFSK")[:, :-1].conj()))
    assert steps == pytest.approx(np.pi * CPFSK_INDEX / SAMPLES_PER_SYMBOL)


def test_amplitude_modulation_has_a_carrier_and_two_sidebands_or_one_and_none() -> None:
    both, one = (np.abs(np.fft.fft(signals(name, 40, 4_096) * np.hanning(4_096))) ** 2 for name in ("AM-DSB", "AM-SSB"))
    frequency = np.fft.fftfreq(4_096)
    assert (both.argmax(1) == 0).all()
    above, below = (frequency > 0.002) & (frequency < MESSAGE_BAND), (frequency < -0.002) & (frequency > -MESSAGE_BAND)
    assert both[:, above].sum() == pytest.approx(both[:, below].sum())
    assert one[:, below].sum() < 0.01 * one[:, above].sum()
    assert one[:, np.abs(frequency) > 1.2 * MESSAGE_BAND].sum() < 0.01 * one.sum()


def test_the_channel_adds_noise_of_the_ratio_that_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "OFFSET", 0.0)
    monkeypatch.setattr(channel, "ECHO", 0.0)
    for level in (-8, 0, 16):
        snr = np.full(300, level)
        sent = np.full((300, LENGTH), 3.0, dtype=complex)
        found = channel.received(sent, snr, np.random.default_rng(0))
        heard = found[:, 0] + 1j * found[:, 1]
        assert np.mean(np.abs(heard) ** 2, axis=1) == pytest.approx(1, abs=1e-5)
        signal = np.mean(np.abs(heard.mean(axis=1)) ** 2) - (1 - np.mean(np.abs(heard.mean(axis=1)) ** 2)) / LENGTH
        assert 10 * np.log10(signal / (1 - signal)) == pytest.approx(level, abs=0.5)


def test_an_echo_is_late_and_under_a_symbol(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = np.zeros((200, 32), dtype=complex)
    sent[:, 4] = 1
    heard = channel.echoed(sent, np.random.default_rng(0))
    assert np.array_equal(heard[:, :5], sent[:, :5])
    late = [np.flatnonzero(each[5:])[0] + 1 for each in heard]
    assert set(late) == set(range(1, channel.ECHO_DELAY + 1))
    assert channel.ECHO_DELAY < SAMPLES_PER_SYMBOL


def test_splits_are_drawn_again_with_the_same_bits_and_share_no_signal() -> None:
    train, test = draw(6, "train"), draw(6, "test")
    again = draw(6, "train")
    assert np.array_equal(train.signals, again.signals)
    assert np.array_equal(train.labels, again.labels)
    assert not {each.tobytes() for each in train.signals} & {each.tobytes() for each in test.signals}
    pairs, counts = np.unique(np.stack([train.labels, train.snr]), axis=1, return_counts=True)
    assert (pairs.shape[1], set(counts)) == (11 * len(SNR), {6})
    assert train.signals.dtype == np.float32
    assert len(np.unique(train.labels[:40])) > 5  # in a random order


def test_the_same_noise_is_in_no_two_signals() -> None:
    found = draw(2, "train").signals.reshape(154, -1)
    likeness = np.abs(np.corrcoef(found)) - np.eye(154)
    noisy = draw(2, "train").snr == -8
    assert likeness[np.ix_(noisy, noisy)].max() < 0.5


def test_test_signals_are_closed_where_a_method_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_exam, "_closed", True)
    generated.signals("generated-tiny", "train")
    with pytest.raises(ExamRead):
        generated.signals("generated-tiny", "test")


def good() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((5, 2, LENGTH)).astype(np.float32) * 0.01


def test_good_signals_come_to_unit_power() -> None:
    assert np.mean(checked(good(), "here") ** 2, axis=(1, 2)) * 2 == pytest.approx(1)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda found: found[:, :, :100], r"here: signals are \(n, 2, 128\), I and Q; these are \(5, 2, 100\)"),
        (lambda found: found[0], r"these are \(2, 128\)"),
        (lambda found: np.where(np.arange(5)[:, None, None] == 3, np.nan, found), "signal 3 has samples that are no"),
        (lambda found: found * (np.arange(5) != 2)[:, None, None], "signal 2 is silent"),
        (lambda found: np.clip(found, -0.01, 0.01), "signal 0 is clipped, .*% of its numbers lie at its largest"),
    ],
)
def test_bad_signals_are_said(spoil, says: str) -> None:
    with pytest.raises(BadSignals, match=says):
        checked(spoil(good()).astype(np.float32), "here")
