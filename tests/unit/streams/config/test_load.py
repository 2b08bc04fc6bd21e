from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent

import pytest

from streams.config.findings import FindingKind, FindingSeverity
from streams.config.load import MAX_FILE_BYTES, Loaded, load

GOOD = """\
apiVersion: zen.kube-zen.io/v1alpha1
kind: Ingester
metadata:
  name: deployments
spec:
  source: deployments
  ingester: informer
  informer:
    gvr: {group: apps, version: v1, resource: deployments}
  destinations:
  - type: crd
    value: observations
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str, *, name: str = "a.yaml") -> Loaded:
    Path(name).write_text(text, encoding="utf-8")
    return load([Path(name)], default_namespace="here")


def reported(text: str, *, name: str = "a.yaml") -> list[str]:
    return [str(finding) for finding in loaded(text, name=name).findings]


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_a_good_document_has_nothing_to_say() -> None:
    found = loaded(GOOD)

    assert found.findings == ()
    (ingester,) = found.ingesters
    assert ingester.key == "here/deployments"
    assert ingester.runnable


def test_a_namespace_that_is_named_stays() -> None:
    (ingester,) = loaded(changed("name: deployments", "name: a\n  namespace: b")).ingesters

    assert ingester.key == "b/a"


def test_an_unknown_field_is_a_warning_with_the_nearest_known_one() -> None:
    found = loaded(changed("    gvr:", "    labelselector: a=b\n    gvr:"))

    assert len(found.ingesters) == 1
    (finding,) = found.findings
    assert finding.kind is FindingKind.UNKNOWN_FIELD
    assert finding.severity is FindingSeverity.WARNING
    assert (finding.file, finding.line) == ("a.yaml", 9)
    assert str(finding) == (
        "a.yaml:9: warning: spec.informer.labelselector: unknown field; did you mean labelSelector?"
    )


def test_unknown_fields_are_found_wherever_they_stand() -> None:
    text = changed("    value: observations\n", "    value: observations\n    vale: 1\n")
    text = text.replace("kind: Ingester", "kind: Ingester\nzzz: 1").replace(
        "  source:", "  optimization:\n    processing:\n      a:\n        acton: warn\n  source:"
    )

    assert reported(text) == [
        "a.yaml:18: warning: spec.destinations[0].vale: unknown field; did you mean value?",
        (
            "a.yaml:10: warning: spec.optimization.processing.a.acton: unknown field;"
            " did you mean action?"
        ),
        "a.yaml:3: warning: zzz: unknown field; kubectl explain ingester lists the known fields",
    ]


def test_every_error_of_every_document_is_reported() -> None:
    wrong = (
        changed("  source: deployments", "  source: Bad_Source")
        .replace("ingester: informer", "ingester: configmap")
        .replace("version: v1, ", "")
        .replace("    value: observations\n", "    valve: x\n")
    )
    wrong += "  buffer: {capacity: 0, inFlight: none, capacityBytes: 5 MB}\n"

    assert reported(f"{GOOD}---\n{wrong}---\n{wrong}") == [
        f"a.yaml:{start + line}: {message}"
        for start in (13, 27)
        for line, message in (
            (
                6,
                'error: spec.source: found "Bad_Source", allowed: text that matches ^[a-z0-9-]+$; example: trivy',
            ),
            (
                7,
                (
                    'error: spec.ingester: found "configmap",'
                    " allowed: 'informer', 'webhook' or 'logs'"
                ),
            ),
            (9, "error: spec.informer.gvr.version: required, but missing; example: v1"),
            (11, "error: spec.destinations[0].value: required, but missing; example: observations"),
            (12, "warning: spec.destinations[0].valve: unknown field; did you mean value?"),
            (13, "error: spec.buffer.capacity: found 0, allowed: 1 or more"),
            (
                13,
                (
                    'error: spec.buffer.capacityBytes: found "5 MB",'
                    ' allowed: a quantity of bytes such as "64Mi" or 1000000; example: 256Mi'
                ),
            ),
            (
                13,
                (
                    'error: spec.buffer.inFlight: found "none",'
                    " allowed: a whole number from 1, or adaptive"
                ),
            ),
        )
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("  name: deployments", "  labels: {}", 3, "metadata.name: required, but missing"),
        (
            "name: deployments",
            "name: Upper",
            4,
            (
                'metadata.name: found "Upper", allowed: text that matches'
                r" ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
            ),
        ),
        (
            "name: deployments",
            "name: yes",
            4,
            "metadata.name: found true, allowed: text, in quotes",
        ),
        (
            "v1alpha1",
            "v2",
            1,
            (
                'apiVersion: found "zen.kube-zen.io/v2", allowed:'
                " 'zen.kube-zen.io/v1alpha1' or 'zen.kube-zen.io/v1'"
            ),
        ),
        ("metadata:\n  name: deployments\n", "", 1, "metadata: required, but missing"),
        ("  source: deployments\n", "", 5, "spec.source: required, but missing"),
        (
            "    gvr: {group: apps, version: v1, resource: deployments}\n",
            "",
            8,
            (
                "spec.informer.gvr: required, but missing;"
                " example: {group: apps, version: v1, resource: deployments}"
            ),
        ),
        (
            "group: apps, version: v1, resource: deployments",
            "group: zen.kube-zen.io, version: v1, resource: observations",
            9,
            (
                'spec.informer.gvr.resource: found "observations", allowed: any resource but'
                " zen.kube-zen.io's observations and ingesters:"
                " an Ingester that watches its own output would trigger itself endlessly; example: deployments"
            ),
        ),
        (
            "    gvr:",
            "    labelSelector: a in b\n    gvr:",
            9,
            (
                'spec.informer.labelSelector: found "a in b", allowed: label requirements such as'
                " a=b, a!=b, a in (b,c), a notin (b,c), a or !a; not 'a in b'"
            ),
        ),
        (
            "    gvr:",
            "    resyncPeriod: often\n    gvr:",
            9,
            (
                'spec.informer.resyncPeriod: found "often",'
                ' allowed: a duration such as "30s", "1h30m" or "0"'
            ),
        ),
        (
            "\n  - type: crd\n    value: observations",
            " []",
            10,
            "spec.destinations: found an empty list, allowed: a list with at least one entry",
        ),
        (
            "\n  - type: crd\n    value: observations",
            "\n    type: crd",
            10,
            "spec.destinations: found a mapping, allowed: a list",
        ),
        ("  ingester: informer", "  ingester: [a]", 7, "spec.ingester: found a list, allowed:"),
        (
            "  source:",
            "  filters: {minPriority: 2}\n  source:",
            6,
            "spec.filters.minPriority: found 2, allowed: 1 or less",
        ),
        (
            "  source:",
            "  deduplication: {windowSeconds: 31536001}\n  source:",
            6,
            "spec.deduplication.windowSeconds: found 31536001, allowed: 31536000 or less",
        ),
        (
            "  source:",
            "  filters: {minPriority: .nan}\n  source:",
            6,
            "spec.filters.minPriority: found nan, allowed: a finite number",
        ),
        (
            "  source:",
            "  filters: {enabled: 'no'}\n  source:",
            6,
            'spec.filters.enabled: found "no", allowed: true or false',
        ),
        ("  source:", "  throttle: {perSecond: 0}\n  source:", 6, "spec.throttle.perSecond: found"),
    ],
)
def test_an_error_has_line_path_value_and_what_is_allowed(
    old: str, new: str, line: int, message: str
) -> None:
    found = loaded(changed(old, new))

    assert found.ingesters == ()
    (error,) = [str(each) for each in found.findings if each.severity is FindingSeverity.ERROR]
    assert error.startswith(f"a.yaml:{line}: error: {message}")


def test_a_field_without_effect_is_a_warning() -> None:
    found = loaded(GOOD + "  filters:\n    expression: is_high\n  dedup: {}\n  deduplication: {}\n")

    assert len(found.ingesters) == 1
    assert [str(finding) for finding in found.findings] == [
        "a.yaml:14: warning: spec.filters.expression: has no effect in this version",
        "a.yaml:15: warning: spec.dedup: ignored: spec.deduplication is set, too, and is preferred",
    ]
    assert [finding.kind for finding in found.findings] == [
        FindingKind.NOT_BUILT,
        FindingKind.SHADOWED,
    ]


def test_a_kind_that_is_not_built_is_listed_but_does_not_run() -> None:
    found = loaded(changed("ingester: informer", "ingester: webhook"))

    (ingester,) = found.ingesters
    assert not ingester.runnable
    assert [str(finding) for finding in found.findings] == [
        (
            "a.yaml:7: warning: spec.ingester: not supported by this version:"
            " this Ingester is not run"
        )
    ]


def test_nulls_are_pruned_as_the_server_prunes_them() -> None:
    assert reported(GOOD + "  webhook:\n  deduplication:\n    enabled:\n    fields: null\n") == []
    assert reported(changed("source: deployments\n", "source:\n")) == [
        "a.yaml:6: error: spec.source: required, but missing; example: trivy"
    ]
    assert reported(GOOD + "  deduplication: {fields: [null]}\n") == [
        (
            "a.yaml:13: error: spec.deduplication.fields[0]: found null, allowed: text;"
            " example: [spec.image, status.phase]"
        )
    ]


def test_other_kinds_are_skipped_with_a_note() -> None:
    other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: b}\n"
    found = loaded(f"{other}---\n{GOOD}")

    assert len(found.ingesters) == 1
    assert [str(finding) for finding in found.findings] == [
        'a.yaml:2: note: kind: skipped: found "ConfigMap", only Ingester is read'
    ]


def test_a_misspelled_kind_is_a_warning() -> None:
    found = loaded(changed("kind: Ingester", "kind: Ingestor"))

    assert found.ingesters == ()
    assert [str(finding) for finding in found.findings] == [
        (
            'a.yaml:2: warning: kind: skipped: zen.kube-zen.io has no kind "Ingestor";'
            " did you mean Ingester?"
        )
    ]


def test_the_entries_of_a_list_are_read() -> None:
    entries = "".join(
        "- " + text.replace("\n", "\n  ").rstrip() + "\n"
        for text in (GOOD, GOOD.replace("name: deployments", "name: b\n  nmespace: c"))
    )
    found = loaded(f"apiVersion: v1\nkind: List\nitems:\n{entries}")

    assert [each.key for each in found.ingesters] == ["here/deployments", "here/b"]
    assert [str(finding) for finding in found.findings] == [
        "a.yaml:20: warning: items[1].metadata.nmespace: unknown field; did you mean namespace?"
    ]
    assert reported("kind: List\nitems: 5\n") == [
        "a.yaml:2: error: items: found 5, allowed: a list"
    ]
    assert reported("kind: List\nitems: [5]\n") == [
        "a.yaml:2: error: items[0]: found 5, allowed: a Kubernetes object with apiVersion and kind"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a.yaml:1: error: the file has no document; allowed: Ingesters"),
        ("# nothing\n---\n...\n", "a.yaml:1: error: the file has no document; allowed: Ingesters"),
        ("just text", 'a.yaml:1: error: found "just text", allowed: a Kubernetes object'),
        ("- a\n", "a.yaml:1: error: found a list, allowed: a Kubernetes object"),
        (
            "a: 1\n",
            (
                "a.yaml:1: error: kind: required, but missing;"
                " allowed: Ingester (documents of other kinds are skipped)"
            ),
        ),
        ("a: b: c\n", "a.yaml:1: error: not YAML: mapping values are not allowed in this context"),
        ("kind: ConfigMap\nkind: a", "a.yaml:2: error: found the key 'kind' a second time"),
    ],
)
def test_what_is_no_document_is_an_error_with_a_line(text: str, message: str) -> None:
    assert reported(text)[0].startswith(message)


def test_a_key_that_stands_twice_keeps_the_document_from_running() -> None:
    found = loaded(GOOD + "  source: other\n")

    assert found.ingesters == ()
    assert [str(finding) for finding in found.findings] == [
        "a.yaml:13: error: found the key 'source' a second time; the first is in line 6"
    ]


def test_two_documents_of_one_name_are_an_error_that_names_both_places() -> None:
    Path("a.yaml").write_text(GOOD)
    Path("b.yaml").write_text(f"# comment\n{GOOD}")
    found = load([Path("a.yaml"), Path("b.yaml")], default_namespace="here")

    assert [each.key for each in found.ingesters] == ["here/deployments"]
    assert [str(finding) for finding in found.findings] == [
        (
            "b.yaml:5: error: metadata.name: found a second Ingester here/deployments;"
            " the first is in a.yaml:1"
        )
    ]


def test_one_source_may_have_several_ingesters() -> None:
    found = loaded(f"{GOOD}---\n{changed('name: deployments', 'name: again')}")

    assert found.findings == ()
    assert [each.spec.source for each in found.ingesters] == ["deployments", "deployments"]


def test_a_directory_is_read_whole_in_order_without_what_is_hidden() -> None:
    def write(name: str) -> None:
        path = Path("d", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(changed("name: deployments", f"name: {path.name.lower()}"))

    for name in ("b.yaml", "a.yml", "sub/c.json.yaml", "z.txt", ".hidden/x.yaml", ".y.yaml"):
        write(name)
    # As kubelet mounts a ConfigMap: every name a link into ..data, itself a link.
    write("..2026/mounted.yaml")
    Path("d", "..data").symlink_to("..2026")
    Path("d", "mounted.yaml").symlink_to("..data/mounted.yaml")

    found = load([Path("d")], default_namespace="here")

    assert found.findings == ()
    assert [each.metadata.name for each in found.ingesters] == [
        "a.yml",
        "b.yaml",
        "mounted.yaml",
        "c.json.yaml",
    ]


def test_a_file_that_is_named_twice_is_read_once() -> None:
    Path("d").mkdir()
    Path("d/a.yaml").write_text(GOOD)

    found = load([Path("d"), Path("d/a.yaml"), Path("d/../d")], default_namespace="here")

    assert found.findings == ()
    assert len(found.ingesters) == 1


def test_json_is_read_with_its_lines() -> None:
    text = (
        '{\n\t"apiVersion": "zen.kube-zen.io/v1",\n\t"kind": "Ingester",\n'
        '\t"metadata": {"name": "a", "annotations": {"b": "\\ud83d\\ude00"}},\n'
        '\t"spec": {\n\t\t"source": "a", "ingester": "informer", "destinations": []\n\t}\n}'
    )

    assert reported(text, name="a.json") == [
        "a.json:6: error: spec.destinations: found an empty list, allowed: a list with at least one entry"
    ]


def test_what_cannot_be_read_is_an_error() -> None:
    Path("empty").mkdir()
    Path("latin.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    Path("large.yaml").write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    Path("bom.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    paths = [Path(name) for name in ("missing.yaml", "empty", "latin.yaml", "large.yaml", "\0")]

    found = load([*paths, Path("bom.yaml")], default_namespace="here")

    assert len(found.ingesters) == 1
    assert [str(finding) for finding in found.findings] == [
        "missing.yaml:1: error: cannot be read: No such file or directory",
        "empty:1: error: no .yaml, .yml or .json file in this directory",
        "latin.yaml:1: error: not UTF-8: invalid continuation byte in line 2",
        "large.yaml:1: error: larger than 4194304 bytes",
        "\0:1: error: cannot be read: embedded null byte",
    ]


def test_a_pipe_can_be_read() -> None:
    read, write = os.pipe()
    os.write(write, GOOD.encode())
    os.close(write)
    try:
        found = load([Path(f"/dev/fd/{read}")], default_namespace="here")
    finally:
        os.close(read)

    assert len(found.ingesters) == 1


def test_merged_and_aliased_parts_are_read() -> None:
    text = dedent("""\
        kind: List
        items:
        - &first
          apiVersion: zen.kube-zen.io/v1
          kind: Ingester
          metadata: {name: a, nmae: b}
          spec: &spec
            source: a
            ingester: informer
            informer: {gvr: &gvr {group: apps, version: v1, resource: deployments}}
            destinations: [{type: crd, value: observations}]
        - <<: *first
          metadata: {name: b}
        - <<: *first
          metadata: {name: c}
          spec:
            <<: *spec
            informer: {gvr: *gvr, resyncPeriod: 30m}
        """)
    found = loaded(text)

    assert [each.metadata.name for each in found.ingesters] == ["a", "b", "c"]
    assert [
        each.spec.informer.resync_period if each.spec.informer else None for each in found.ingesters
    ] == ["0", "0", "30m"]
    assert [str(finding) for finding in found.findings] == [
        "a.yaml:6: warning: items[0].metadata.nmae: unknown field; did you mean name?"
    ]
