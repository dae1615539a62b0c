"""RadioML's pickle: what is read of it, and that nothing in it is ever run."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from bench.contract import MissingAsset
from suites.signal_recognition import data, radioml
from suites.signal_recognition.modulations import CLASSES
from suites.signal_recognition.signals import BadSignals


def table(count: int = 8) -> dict[tuple[str, int], np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        (modulation, snr): rng.standard_normal((count, 2, 128)).astype(np.float32) * 0.005
        for modulation in CLASSES
        for snr in (-2, 10)
    }


def written(folder: Path, found: object, protocol: int = 2) -> Path:
    path = folder / "RML2016.10a_dict.pkl"
    path.write_bytes(pickle.dumps(found, protocol))
    return path


def by_python_2(found: dict[tuple[str, int], np.ndarray]) -> bytes:
    """As Python 2 writes it: bytes and texts are one type, NumPy's modules have their old names."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    parts = [b"\x80\x02}"]
    for (modulation, snr), each in found.items():
        shape = b"(" + b"".join(map(number, each.shape)) + b"t"
        dtype = (
            b"cnumpy\ndtype\n("
            + text(b"f4")
            + b"K\x00K\x01tR(K\x03"
            + text(b"<")
            + b"NNN"
            + number(-1) * 2
            + b"K\x00tb"
        )
        array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + text(b"b") + b"tR"
        state = b"(K\x01" + shape + dtype + b"\x89" + text(each.tobytes()) + b"tb"
        parts.append(b"(" + text(modulation.encode()) + number(snr) + b"t" + array + state + b"s")
    return b"".join([*parts, b"."])


@pytest.mark.parametrize("protocol", [2, 4])
def test_what_is_read_is_what_was_written_at_unit_power(tmp_path: Path, protocol: int) -> None:
    found = radioml.read(written(tmp_path, table(), protocol))
    assert found.keys() == table().keys()
    for key, each in table().items():
        assert np.corrcoef(found[key].ravel(), each.ravel())[0, 1] > 0.99
        assert np.mean(found[key] ** 2, axis=(1, 2)) * 2 == pytest.approx(1)


def test_a_file_of_python_2_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pkl"
    path.write_bytes(by_python_2(table()))
    found, same = radioml.read(path), radioml.read(written(tmp_path, table()))
    assert all(np.array_equal(found[key], same[key]) for key in table())


class Runs:
    def __init__(self, what: tuple) -> None:
        self.what = what

    def __reduce__(self) -> tuple:
        return self.what


@pytest.mark.parametrize(
    "reached", [(os.system, ("touch {}",)), (eval, ("open('{}', 'w')",)), (Path.touch, (Path("{}"),))]
)
def test_a_program_in_the_pickle_is_refused_and_not_run(tmp_path: Path, reached: tuple) -> None:
    ran = tmp_path / "ran"
    call = (reached[0], tuple(type(each)(str(each).format(ran)) for each in reached[1]))
    path = written(tmp_path, {**table(), ("BPSK", -2): Runs(call)})
    with pytest.raises(BadSignals, match="which is no part of an array: it is not read"):
        radioml.read(path)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([1, 2], "holds a list"),
        ({}, "holds a dict"),
        ({"BPSK": np.zeros((1, 2, 128), np.float32)}, "holds an entry 'BPSK'"),
        ({**table(), ("MSK", 0): np.zeros((1, 2, 128), np.float32)}, r"holds an entry \('MSK', 0\)"),
        ({("BPSK", 0): np.ones((1, 2, 128), int)}, "no array of real numbers"),
        ({("BPSK", 0): np.full((1, 2, 128), None)}, "no array of real numbers"),
        ({key: each for key, each in table().items() if key[0] != "QAM16"}, "has no signals of QAM16"),
        ({**table(), ("BPSK", 10): table()["BPSK", 10][:, :, :64]}, r"signals are \(n, 2, 128\)"),
        ({**table(), ("BPSK", 10): np.sign(table()["BPSK", 10])}, r"\('BPSK', 10\): signal 0 is clipped"),
    ],
)
def test_a_file_that_is_something_else_is_said(tmp_path: Path, found: object, says: str) -> None:
    with pytest.raises(BadSignals, match=says):
        radioml.read(written(tmp_path, found))


def test_a_file_that_is_no_pickle_is_said(tmp_path: Path) -> None:
    path = tmp_path / "RML2016.10a.tar.bz2"
    path.write_bytes(b"BZh9 and so on")
    with pytest.raises(BadSignals, match="is no pickle of RadioML"):
        radioml.read(path)


def test_the_parts_share_nothing_and_are_balanced() -> None:
    parts = radioml.split_up(table())
    assert (len(parts["train"]), len(parts["test"])) == (22 * 6, 22 * 2)
    assert set(zip(*np.unique(parts["test"].labels, return_counts=True), strict=True)) == {(k, 4) for k in range(11)}
    assert not {each.tobytes() for each in parts["train"].signals} & {each.tobytes() for each in parts["test"].signals}
    again = radioml.split_up(table())
    assert np.array_equal(parts["test"].signals, again["test"].signals)


def test_without_a_file_it_is_said_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(radioml.VARIABLE, raising=False)
    assert "set EFFBENCH_RADIOML to the path of RML2016.10a_dict.pkl" in str(data.missing(radioml.NAME))
    monkeypatch.setenv(radioml.VARIABLE, str(tmp_path / "none.pkl"))
    assert "there is no such file" in str(data.missing(radioml.NAME))
    with pytest.raises(MissingAsset, match="no such file"):
        radioml.signals("train")


def test_signals_of_the_file_are_kept_without_pickles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EFFBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(radioml.VARIABLE, str(written(tmp_path, table())))
    first = radioml.signals("train")
    monkeypatch.setattr(radioml, "read", None)
    assert np.array_equal(radioml.signals("train").signals, first.signals)
    assert set(radioml.signals("test").snr) == {-2, 10}
