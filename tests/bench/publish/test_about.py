"""What the site says of itself, and that a fork says its own."""

import subprocess
import zipfile
from pathlib import Path

import pytest
from pyarrow import parquet  # type: ignore[import-untyped]

from bench.publish.about import BadSite, read_about
from bench.publish.glossary import explain
from bench.publish.pages import ticked
from bench.publish.site import build_site
from bench.registry.costs import derived_costs
from bench.registry.metrics import Metric, WorkloadInfo
from tests.bench.analyse.record_factory import make_record
from tests.bench.publish.site_factory import RECORDS, REGISTRY, Page, build, losses, pages, save


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "file").write_text("1")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one")
    return folder


@pytest.mark.parametrize(
    ("origin", "shown"),
    [
        ("https://example.org/fork/effbench.git", "https://example.org/fork/effbench"),
        ("git@example.org:fork/effbench.git", "https://example.org/fork/effbench"),
        ("ssh://git@example.org/fork/effbench", "https://example.org/fork/effbench"),
        ("https://me:secret@example.org/fork/effbench", "https://example.org/fork/effbench"),
        ("/srv/git/effbench", None),
        ("javascript:alert(1)", None),
    ],
)
def test_without_a_repository_in_the_settings_the_origin_is_named(
    checkout: Path, tmp_path: Path, origin: str, shown: str | None
) -> None:
    git(checkout, "remote", "add", "origin", origin)
    settings = tmp_path / "site.toml"
    settings.write_text('name = "ours"\nrepository = ""\n')
    about = read_about(checkout, settings=settings)
    assert (about.name, about.repository, about.changed) == ("ours", shown, False)
    assert len(about.commit) >= 7
    settings.write_text('repository = "https://example.org/named"\n')
    assert read_about(checkout, settings=settings).repository == "https://example.org/named"


@pytest.mark.parametrize(
    ("subject", "number"),
    [("A method (#12)", 12), ("Merge pull request #7 from fork/a-method", 7), ("A method, as in #3", None)],
)
def test_the_pull_request_that_brought_a_method_is_found_in_the_history(
    checkout: Path, tmp_path: Path, subject: str, number: int | None
) -> None:
    for text, message in (("1", subject), ("2", "Mended (#99)")):
        path = checkout / "methods/demo/test_site/alpha.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        git(checkout, "add", ".")
        git(checkout, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", message)
    git(checkout, "remote", "add", "origin", "https://example.org/fork/effbench")
    site = build_site(
        [save(RECORDS, tmp_path / "results")], REGISTRY, tmp_path / "site", checkout=checkout
    ).index.parent
    page = Page(site / "methods/demo/alpha.html")
    shown = [attrs["href"] for tag, attrs in page.tags if tag == "a" and "/pull/" in (attrs.get("href") or "")]
    assert shown == ([f"https://example.org/fork/effbench/pull/{number}"] if number else [])
    assert "/pull/" not in Page(site / "methods/demo/beta.html").source


def test_settings_that_cannot_be_read_are_told(checkout: Path, tmp_path: Path) -> None:
    settings = tmp_path / "site.toml"
    for text, said in (
        ("name = ", "site.toml"), ("nmae = 'x'", "it has the keys name"), ("name = 1", "all are texts"),
        ("repository = 'ftp://x'", "no http"),
    ):  # fmt: skip
        settings.write_text(text)
        with pytest.raises(BadSite, match=said):
            read_about(checkout, settings=settings)
    with pytest.raises(BadSite, match=r"site\.toml"):
        read_about(checkout, settings=tmp_path / "absent" / "site.toml")


def test_every_page_names_repository_licence_citation_and_commit(checkout: Path, tmp_path: Path) -> None:
    git(checkout, "remote", "add", "origin", "https://example.org/fork/effbench")
    (checkout / "file").write_text("2")
    results = save(RECORDS, tmp_path / "results")
    site = build_site([results], REGISTRY, tmp_path / "site", "https://example.org/pages/", checkout).index.parent
    commit = read_about(checkout).commit
    for path in pages(site):
        page = Page(path)
        links = [attrs.get("href") for tag, attrs in page.tags if tag == "a"]
        assert "https://example.org/fork/effbench" in links
        assert f"https://example.org/fork/effbench/commit/{commit}" in links
        for part in ("Licence: Apache-2.0", "Cite", "Glossary", "with changes"):
            assert part in page.text, path
        meta = {
            attrs.get("property") or attrs.get("name"): attrs.get("content")
            for tag, attrs in page.tags
            if tag == "meta"
        }
        assert meta["description"]
        assert meta["og:url"] == f"https://example.org/pages/{path.relative_to(site).as_posix()}"
        assert meta["og:image"] == "https://example.org/pages/assets/card.png"
        assert (meta["og:title"] or "?") in page.text
    assert (site / "assets/card.png").read_bytes()[:4] == b"\x89PNG"
    clone = Page(site / "submit.html").text
    assert "git clone https://example.org/fork/effbench" in clone
    assert "effbench new method" in clone
    assert "effbench check --changed" in clone


def test_without_address_and_origin_nothing_is_made_up(checkout: Path, tmp_path: Path) -> None:
    site = build_site([save(RECORDS, tmp_path / "r")], REGISTRY, tmp_path / "s", checkout=checkout).index.parent
    page = Page(site / "index.html")
    assert not [attrs for tag, attrs in page.tags if tag == "meta" and attrs.get("property") == "og:image"]
    assert "names no repository" in Page(site / "submit.html").text


def test_all_records_are_in_one_table_and_one_zip(tmp_path: Path) -> None:
    site = build(
        [*RECORDS, make_record("alpha", hardware="cpu-other", losses=losses(1))], REGISTRY, tmp_path
    ).index.parent
    whole = parquet.read_table(site / "data/records.parquet")
    assert whole.num_rows == len(RECORDS) + 1
    single = {
        path.relative_to(site / "data").as_posix(): path.read_bytes() for path in site.rglob("records/**/*.parquet")
    }
    with zipfile.ZipFile(site / "data/records.zip") as bundle:
        assert {name: bundle.read(name) for name in bundle.namelist()} == single
    before = (site / "data/records.zip").read_bytes()
    (site / "data/records.parquet").write_bytes(b"broken")
    build([make_record("beta", losses=losses(2), age=-1)], REGISTRY, tmp_path)
    assert parquet.read_table(site / "data/records.parquet").num_rows == len(RECORDS) + 2
    assert (site / "data/records.zip").read_bytes() != before


def test_words_between_backticks_are_code_and_all_else_stays_text() -> None:
    assert str(ticked("Sets `x` and ``y`` to <b> `<i>`.")) == (
        "Sets <code>x</code> and <code>y</code> to &lt;b&gt; <code>&lt;i&gt;</code>."
    )
    assert str(ticked("one ` alone")) == "one ` alone"


def test_every_metric_is_explained() -> None:
    decode = WorkloadInfo("decode", "Decoding", phases={"tpot": "Time per token"}, batch=True)
    costs = derived_costs([decode], "token", "dense", True)
    assert explain(costs["decode.tpot.ratio"]) == (
        "Time per token against dense. Its time divided by the baseline's, run in turn on the same processors: below 1 "
        "is faster. Lower is better."
    )
    assert all(metric.about for name, metric in costs.items() if name.endswith("ratio"))
    assert explain(Metric("own", "Own score", "nats", "higher")) == "Own score. In nats. Higher is better."
