"""What operators read is stable and explained: every key of a log line and every metric stands in docs/operating.md."""

from __future__ import annotations

import ast
import re
from collections import Counter

from tests.house.log_lines import LOGGERS, log_lines
from tests.house.reading import HOUSE, dotted, name, product, tree

LINES = list(log_lines())
PAGE = (HOUSE / "docs" / "operating.md").read_text("utf-8")
METRICS = {"Counter", "Gauge", "Histogram"}


def table(heading: str) -> list[str]:
    """The names in the first column of the table below a heading; each row has three cells that are not empty."""
    section = re.split(r"^## ", PAGE.partition(f"\n## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in section.splitlines()
        if line.startswith("| `")
    ]
    assert rows
    assert [row for row in rows if len(row) != 3 or not all(row)] == []
    return [row[0].strip("`") for row in rows]


def metrics() -> set[str]:
    """The names of the metrics that the product counts."""
    return {
        call.args[0].value
        for path in product()
        for call in ast.walk(tree(path))
        if isinstance(call, ast.Call) and dotted(call.func) in METRICS and call.args
        if isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }


def test_every_log_line_has_an_event_key():
    assert [line.where for line in LINES if not line.events] == []
    for line in LINES:
        for key in line.events:
            assert re.fullmatch(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*", key), line


def test_every_log_line_is_a_plain_sentence_that_is_known_before_it_is_written():
    for line in LINES:
        assert line.sentence, line
        assert not line.sentence.endswith((".", "!")), line
        assert "{" not in line.sentence, line


def test_every_logger_has_a_name_by_which_its_lines_are_found():
    named = {
        f"{name(path)}: {target.id}"
        for path in product()
        for node in tree(path).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if dotted(node.value.func) == "logging.getLogger"
        for target in node.targets
        if isinstance(target, ast.Name) and target.id not in LOGGERS
    }

    assert named == set()


def test_the_table_of_log_events_has_each_key_once_and_no_other():
    explained = table("Log events")

    assert [key for key, times in Counter(explained).items() if times > 1] == []
    assert set(explained) == {key for line in LINES for key in line.events}
    assert explained == sorted(explained)


def test_the_table_of_metrics_has_each_metric_once_and_no_other():
    explained = table("Metrics")

    assert [each for each, times in Counter(explained).items() if times > 1] == []
    assert set(explained) == metrics()
    assert explained == sorted(explained)
