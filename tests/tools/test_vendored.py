"""The scripts of asv's pages, kept here so that the site asks no other host for anything."""

import hashlib
import re
from pathlib import Path

import pytest

from tools import vendor

README = (vendor.VENDORED / "README.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\S+\.(?:js|css)) \|.*\| (.+) \| `([0-9a-f]{64})` \|$", README, re.M)
PAGE = (
    '<script src="https://code.jquery.com/jquery-3.3.1.min.js" integrity="sha256-x=" '
    'crossorigin="anonymous" onerror="js_load_failure()"></script>\n'
    '<link rel="stylesheet" href="//cdn.example/bootstrap@3.1.1/dist/css/bootstrap.min.css" '
    'integrity="sha256-y=" crossorigin="anonymous">\n'
    '<script src="asv.js"></script> <a href="https://example.org/page">a link</a>'
)


def test_each_file_is_listed_with_its_licence_and_is_what_the_list_says():
    files = {path.name for path in vendor.VENDORED.iterdir() if path.suffix in (".js", ".css")}
    assert {name for name, _, _ in ROWS} == files
    for name, licence, digest in ROWS:
        content = (vendor.VENDORED / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest, name
        assert licence == "in the file" or (vendor.VENDORED / licence).exists(), licence
        assert licence != "in the file" or b"MIT license" in content


def test_a_page_loads_its_scripts_and_styles_from_beside_it(tmp_path):
    page = tmp_path / "index.html"
    page.write_text(PAGE)
    names = vendor.vendor(page)
    assert names == ["jquery-3.3.1.min.js", "bootstrap.min.css"]
    text = page.read_text()
    assert 'src="vendored/jquery-3.3.1.min.js" onerror' in text
    assert 'href="vendored/bootstrap.min.css">' in text
    assert "integrity" not in text
    assert '<script src="asv.js"></script> <a href="https://example.org/page">a link</a>' in text
    for name in names:
        kept = (tmp_path / "vendored" / name).read_bytes()
        assert kept == (vendor.VENDORED / name).read_bytes()


def test_a_file_that_is_not_kept_is_an_error_and_the_page_stays_as_it_was(tmp_path):
    page = tmp_path / "index.html"
    page.write_text('<script src="https://cdn.example/new.min.js"></script>')
    with pytest.raises(ValueError, match=r"asks other hosts for new\.min\.js.*add the file"):
        vendor.vendor(page)
    assert page.read_text() == '<script src="https://cdn.example/new.min.js"></script>'


@pytest.mark.parametrize(
    "asked",
    [
        "<script src='https://cdn.example/jquery-3.3.1.min.js'></script>",
        '<script src="https://cdn.example/jquery-3.3.1.min.js?v=2"></script>',
        '<img src="//cdn.example/swallow.png">',
        '<link rel="preload" href="https://fonts.example/a.woff2">',
        '<iframe src="https://example.org"></iframe>',
    ],
)
def test_whatever_else_a_page_asks_other_hosts_for_is_an_error_too(tmp_path, asked):
    page = tmp_path / "index.html"
    page.write_text(asked)
    with pytest.raises(ValueError, match=r"still asks other hosts for .*//.*vendor"):
        vendor.vendor(page)
    assert page.read_text() == asked


def test_asv_s_page_of_the_installed_version_needs_nothing_else(tmp_path):
    asv = pytest.importorskip("asv")
    page = tmp_path / "index.html"
    page.write_bytes((Path(asv.__file__).parent / "www" / "index.html").read_bytes())
    assert {name for name, _, _ in ROWS} == set(vendor.vendor(page))
    assert not re.search(r'<(script|link)[^>]*(src|href)="(https?:)?//', page.read_text())
