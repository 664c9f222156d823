"""`junit.xml`: one test case per entry of `when` and of `then`, so that any CI shows the story.

An outcome that did not hold is a failure; a harness or service error is an error: a gate must be able to tell them apart. The format
is the one that CI servers read (https://github.com/testmoapp/junitxml).
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

from lifecycle.reports.journal import read_journal
from lifecycle.reports.summary import Summary, summarise

# what XML 1.0 cannot hold at all, escaped or not
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(run_dir: Path) -> Path:
    """Write it beside the journal; returns its path."""
    path = run_dir / "junit.xml"
    tree = ET.ElementTree(_suite(summarise(read_journal(run_dir))))
    ET.indent(tree)
    tree.write(path, encoding="utf-8", xml_declaration=True)
    return path


def _suite(summary: Summary) -> ET.Element:
    started = summary.started
    suite = ET.Element("testsuite", name=started.scenario)
    properties = ET.SubElement(suite, "properties")
    facts = {
        "run": started.run_id,
        "tier": started.tier,
        "seed": str(started.seed),
        "verdict": summary.verdict,
        **started.versions,
    }
    facts |= {f"service.{service.service}": service.detail for service in summary.services if service.detail}
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=_text(value))
    for verb in summary.verbs:
        case = _case(suite, f"{started.scenario}.when", f"{verb.index}. {verb.text}", verb.seconds or 0.0)
        if verb.seconds is None:
            _child(case, "error", "the run ended in the middle of it", _why(summary))
        elif verb.stopped:
            ET.SubElement(case, "system-out").text = _text(f"the flow stopped itself: {verb.stopped}")
    for outcome in summary.outcomes:
        case = _case(suite, f"{started.scenario}.then", f"{outcome.index}. {outcome.text}", 0.0)
        detail = f"expected: {outcome.expected}\nfound: {outcome.found}\nread from: {outcome.read_from}\nevidence: {outcome.evidence}"
        if outcome.held:
            ET.SubElement(case, "system-out").text = _text(detail)
        else:
            _child(
                case,
                "failure",
                f"expected {outcome.expected}, found {outcome.found}",
                f"{detail}\nlook next: {outcome.look_next}",
            )
    if summary.failures or summary.finished is None:
        _child(
            _case(suite, started.scenario, "the harness and its services", 0.0), "error", _why(summary), _why(summary)
        )
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    suite.set("time", f"{summary.finished.seconds if summary.finished else 0.0:.3f}")
    return suite


def _case(suite: ET.Element, classname: str, name: str, seconds: float) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=classname, name=_text(name), time=f"{seconds:.3f}")


def _child(case: ET.Element, kind: str, message: str, text: str) -> None:
    ET.SubElement(case, kind, message=_text(message)).text = _text(text)


def _why(summary: Summary) -> str:
    if summary.failures:
        return "\n".join(f"{failure.error}\nfix: {failure.fix}" for failure in summary.failures)
    return "the run was stopped half way: its journal has no end"


def _text(value: str) -> str:
    return _NOT_XML.sub("\ufffd", value)
