"""Figures of the page as files."""

import json
from urllib.parse import quote

import pytest

STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
PLOT = "plot:" + json.dumps({"x": "f1", "y": "2*A1", "log_x": True, "colour": "ra", "size": "dec", "reversed_y": True})


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("rows/3/light_curve", "png"),
        ("rows/3/folded?period=0.7", "svg"),
        ("rows/0/folded?period=0.7&together=true&subtract=1.2&harmonics=2", "pdf"),
        ("rows/3/periodogram?band=g", "svg"),
        ("diagrams/equatorial?class=ROT", "svg"),
        ("diagrams/hr?view=[0,null,0,10]", "pdf"),
        ("diagrams/f1_a1?most=10", "svg"),
        ("histogram?column=f1&f1__lt=3", "pdf"),
        ("histogram?column=f1&class=nothing", "svg"),
        ("crosstab?y=status", "svg"),
        ("crosstab?x=status&y=class&search=00001", "png"),
        ("crosstab?y=label&class=nothing", "pdf"),
        (f"diagrams/{quote(PLOT, safe='')}", "png"),
    ],
)
def test_every_figure_is_a_file(client, path, kind):
    answer = client.get(f"/api/figures/{path}{'&' if '?' in path else '?'}format={kind}")
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(STARTS[kind])
    assert answer.headers["content-disposition"].endswith(f'.{kind}"')
    assert answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("rows/3/light_curve?format=exe", 422),
        ("rows/3/secrets", 422),
        ("rows/99999/light_curve", 404),
        ("rows/3/history", 404),
        ("diagrams/nothing", 400),
        ("histogram?column=class", 400),
        ("histogram?column=nothing", 400),
        ("crosstab?x=class", 422),
        ("diagrams/sky?format=../x", 422),
    ],
)
def test_what_is_no_figure_is_refused(client, path, status):
    assert client.get(f"/api/figures/{path}").status_code == status
