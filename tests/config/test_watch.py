"""Alarms, rules and dashboard use only existing metrics, labels and log events."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from subscriber.control.overrides import MODES
from subscriber.observe.metrics import Metrics
from testkit.aws.localstack import PYTHON as LOCALSTACK_PYTHON
from tests.config.ecs_files import WATCH, from_yaml
from tests.repo.source import sources

FUNCTIONS = {"absent", "histogram_quantile", "increase", "max", "min", "rate", "sum"}
"""The functions that our queries use; look a new one up in Prometheus's manual before adding it."""
SCRAPED = {"job", "le"}
"""Labels that are not in the catalog: Prometheus's own, and a histogram's."""
AWS_METRICS = {
    "AWS/SQS": {
        "ApproximateAgeOfOldestMessage",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesVisible",
        "NumberOfMessagesReceived",
    },
    "AWS/ECS": {"CPUUtilization", "MemoryUtilization"},
    "ECS/ContainerInsights": {"RunningTaskCount"},
    "AWS/RDS": {"CPUUtilization"},
}
"""From the documentation of the CloudWatch metrics of SQS, ECS, Container Insights and Aurora."""
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_SELECTOR = re.compile(r"(subscriber_\w+)(?:\{([^}]*)\})?")


def series() -> Mapping[str, set[str]]:
    """Every series of the daemon by its name, and its labels."""
    found: dict[str, set[str]] = {}
    for metric in Metrics().registry._collector_to_names:
        kind, name, labels = (getattr(metric, attribute) for attribute in ("_type", "_name", "_labelnames"))
        found |= {name + suffix: set(labels) for suffix in SUFFIXES[kind]}
    return found


def rules() -> list[dict[str, Any]]:
    """The Prometheus rules."""
    (group,) = from_yaml("config/watch/prometheus-rules.yaml")["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def dashboard() -> dict[str, Any]:
    """The Grafana dashboard."""
    found: dict[str, Any] = json.loads((WATCH / "dashboard.json").read_text())
    return found


def template() -> dict[str, Any]:
    """The CloudFormation resources of the alarms."""
    found: dict[str, Any] = from_yaml("config/watch/alarms.yaml")["Resources"]
    return found


def queries() -> Iterator[str]:
    """Every PromQL expression of rules and dashboard."""
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in dashboard()["panels"] for target in panel["targets"])


def flaws(query: str) -> Iterator[str]:
    """The errors of an expression that can be found without Prometheus."""
    known = series()
    for name, matchers in _SELECTOR.findall(query):
        labels = set(re.findall(r"(\w+)\s*[=!]", matchers))
        if name not in known:
            yield f"{name} does not exist"
        elif unknown := labels - known[name] - SCRAPED:
            yield f"{name} has no label {', '.join(unknown)}"
    for grouping in re.findall(r"by \(([^)]*)\)", query):
        labels = set(re.findall(r"\w+", grouping)) - SCRAPED
        used = [known.get(name, set()) for name, _ in _SELECTOR.findall(query)]
        if not all(labels <= each for each in used):
            yield f"by ({grouping}) is not of every series"
    plain = re.sub(r'"[^"]*"', "", query)
    if unknown := set(re.findall(r"([a-z_]\w*)\s*\(", plain)) - FUNCTIONS - {"by"}:
        yield f"{', '.join(unknown)} is not a function we use"
    if any(plain.count(left) != plain.count(right) for left, right in ("()", "[]", "{}")):
        yield "brackets do not match"
    counters = re.findall(r"(?:rate|increase)\((subscriber_\w+)", query)
    if gauges := [name for name in counters if not name.endswith(("_total", "_bucket", "_sum", "_count"))]:
        yield f"{', '.join(gauges)} is a gauge"


def test_every_query_uses_existing_series() -> None:
    """No rule and no panel uses a metric or a label that the daemon does not have."""
    found = [f"{query}: {flaw}" for query in queries() for flaw in flaws(query)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "query",
    [
        "subscriber_rows_total",
        'max(subscriber_polls{color="red"})',
        "sum by (color) (subscriber_polls)",
        "summ(subscriber_polls)",
        "sum(subscriber_polls",
        "rate(subscriber_polls[5m])",
    ],
)
def test_a_wrong_query_is_detected(query: str) -> None:
    """The check finds each kind of error."""
    assert len(list(flaws(query))) == 1


def test_every_alert_says_what_to_do() -> None:
    """Each has a summary, an action, a severity and a unique name."""
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({alert["alert"] for alert in alerts}) == len(alerts) >= 8
    assert all(set(alert["annotations"]) == {"summary", "action"} for alert in alerts)
    assert {alert["labels"]["severity"] for alert in alerts} == {"page", "ticket"}


def test_every_override_has_an_alert() -> None:
    """One that is left on; the mode of a daemon without an override raises none."""
    (rule,) = [each for each in rules() if "subscriber_control_mode" in each["expr"]]
    (_, matcher), *others = _SELECTOR.findall(rule["expr"])
    assert (matcher, others) == ('mode!="auto"', [])
    assert set(MODES) == {"auto", "fixed", "paused"}
    assert rule["for"] == "1h"


def test_lag_that_is_held_up_has_an_alert() -> None:
    """Also where no message was ever acknowledged: then there is no series to compare with."""
    (rule,) = [each for each in rules() if each.get("alert") == "SubscriberHeldUp"]
    late, unless, acknowledged = rule["expr"].partition(" unless ")
    assert late == "max(subscriber_lag_seconds) > 60"
    assert unless
    assert acknowledged == "sum(rate(subscriber_acknowledged_messages_total[5m])) > 0"


def test_annotations_use_labels_of_the_alert() -> None:
    """{{ $labels.x }} is a label by which the expression is grouped."""
    for rule in rules():
        named = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule.get("annotations", {}))))
        grouped = set(re.findall(r"\w+", "".join(re.findall(r"by \(([^)]*)\)", rule["expr"]))))
        assert named <= grouped, rule.get("alert")


def test_the_dashboard_is_consistent() -> None:
    """Panels have unique ids and positions; the variables they use exist."""
    panels = dashboard()["panels"]
    positions = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(positions) == len({panel["id"] for panel in panels}) == len(panels)
    variables = {variable["name"] for variable in dashboard()["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", json.dumps(panels)))
    assert used <= variables


def alarms() -> Iterator[tuple[str, dict[str, Any]]]:
    """The CloudWatch alarms by name."""
    for name, resource in template().items():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            yield name, resource["Properties"]


def metrics_of(alarm: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Namespace and name of the metrics of an alarm."""
    stats = [query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query]
    for metric in stats or [alarm]:
        yield metric["Namespace"], metric["MetricName"]


def filters() -> list[dict[str, Any]]:
    """The metric filters over the log."""
    return [one["Properties"] for one in template().values() if one["Type"] == "AWS::Logs::MetricFilter"]


def test_every_alarm_uses_an_existing_metric() -> None:
    """It is one of AWS, or one that a filter of the same template creates."""
    made = {
        (change["MetricNamespace"], change["MetricName"])
        for each in filters()
        for change in each["MetricTransformations"]
    }
    asked = {metric for _, alarm in alarms() for metric in metrics_of(alarm)}
    ours = {metric for metric in asked if metric[0] not in AWS_METRICS}
    assert ours == made
    assert all(name in AWS_METRICS[namespace] for namespace, name in asked - ours)


def test_every_filter_matches_an_existing_event() -> None:
    """Each event named in a filter is logged, with the field that the filter uses."""
    code = "\n".join(source.text for source in sources() if source.path.startswith("subscriber/"))
    patterns = [each["FilterPattern"] for each in filters()]
    events = {event for pattern in patterns for event in re.findall(r'\$\.event = "([^"]+)"', pattern)}
    assert len(events) >= 5
    assert [event for event in sorted(events) if f'"{event}"' not in code] == []
    assert all(re.fullmatch(r"\{ (\$\.\w+ !?= \S+)( (&&|\|\|) \$\.\w+ !?= \S+)* \}", pattern) for pattern in patterns)
    assert '_log.info("daemon.ended", exit_code=' in code
    assert 'get_logger().error("daemon.ended", exit_code=' in code


def test_every_alarm_has_an_action_and_a_description() -> None:
    """It has an action, a treatment of missing data, and a description of some length."""
    for name, alarm in alarms():
        assert alarm["AlarmActions"] == [{"Ref": "Topic"}], name
        assert alarm["TreatMissingData"] in {"breaching", "notBreaching"}, name
        assert len(alarm["AlarmDescription"]) > 40, name


def test_the_template_is_valid_cloudformation() -> None:
    """AWS's linter for templates, which comes with LocalStack, finds nothing."""
    linter = LOCALSTACK_PYTHON.parent / "cfn-lint"
    done = subprocess.run([linter, WATCH / "alarms.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
