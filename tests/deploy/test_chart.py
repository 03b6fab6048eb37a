"""The Helm chart, rendered by helm: the manifests, and that invalid values are rejected."""

from __future__ import annotations

import base64
import functools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from exporter import __version__
from exporter.cli import main
from exporter.config.loader import loads
from tests.deploy import chart_values, kubetools
from tests.deploy.chart_values import CHART, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VALUES: Final = Path(__file__).parent / "testdata" / "values"
CASES: Final = sorted(file.stem for file in VALUES.glob("*.yaml"))
RULES: Final = sorted((ROOT / "deploy" / "prometheus" / "rules").glob("*.yml"))
DASHBOARDS: Final = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
# The oldest supported version, and the newest one of the validator.
KUBERNETES: Final = ("1.29", "latest")
OPERATORS: Final = ("monitoring.coreos.com/", "operator.victoriametrics.com/")
Document = dict[str, Any]


@pytest.fixture(autouse=True)
def _helm_is_here() -> None:
    if kubetools.helm() is None:
        missing = "needs helm: python -m tests.deploy.kubetools"
        if os.environ.get("REQUIRE_TOOLS") == "1":
            pytest.fail(missing)
        pytest.skip(missing)


def helm(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([kubetools.helm() or "helm", *argv], capture_output=True, text=True, check=False)


@functools.cache
def manifests(case: str, *more: str, chart: Path = CHART) -> tuple[Document, ...]:
    """The documents of `helm template` for a values file and `--set` arguments."""
    sets = [word for value in more for word in ("--set-json", value)]
    ran = helm("template", "vod", str(chart), "--namespace=video", f"--values={VALUES / case}.yaml", *sets)
    assert ran.returncode == 0, ran.stderr
    return tuple(document for document in yaml.safe_load_all(ran.stdout) if document)


def refused(*sets: str, chart: Path = CHART) -> str:
    """The error of helm with these `--set` arguments."""
    ran = helm("template", "vod", str(chart), *(word for value in sets for word in ("--set-json", value)))
    assert ran.returncode != 0, ran.stdout
    return ran.stderr


def kinds(documents: Iterable[Document], *wanted: str) -> list[Document]:
    return [document for document in documents if document["kind"] in wanted]


def one(documents: Iterable[Document], kind: str, name: str = "") -> Document:
    """The one of a kind whose name ends so."""
    (found,) = (each for each in kinds(documents, kind) if each["metadata"]["name"].endswith(name))
    return found


def workload(documents: Iterable[Document]) -> Document:
    (found,) = kinds(documents, "Deployment", "StatefulSet")
    return found


def pod(documents: Iterable[Document]) -> Document:
    """The template of the exporter's pod."""
    template: Document = workload(documents)["spec"]["template"]
    return template


def exporter(documents: Iterable[Document]) -> Document:
    (container,) = (each for each in pod(documents)["spec"]["containers"] if each["name"] == "exporter")
    assert isinstance(container, dict)
    return container


def pods(documents: Iterable[Document]) -> Iterator[Document]:
    """The spec of every pod, the test's too."""
    for document in kinds(documents, "Deployment", "StatefulSet"):
        yield document["spec"]["template"]["spec"]
    for document in kinds(documents, "Pod"):
        yield document["spec"]


def containers(spec: Document) -> list[Document]:
    """The chart's own containers of a pod."""
    every = spec.get("initContainers", []) + spec["containers"]
    return [each for each in every if each["name"] in {"exporter", "simulator", "check-healthy"}]


def configuration(documents: Iterable[Document]) -> str:
    (text,) = (each["data"]["config.yaml"] for each in kinds(documents, "ConfigMap") if "config.yaml" in each["data"])
    return str(text)


def volume(documents: Iterable[Document], name: str) -> tuple[Document, str]:
    """A volume of the pod, and where the exporter sees it."""
    documents = tuple(documents)
    (source,) = (each for each in pod(documents)["spec"]["volumes"] if each["name"] == name)
    (mount,) = (each for each in exporter(documents)["volumeMounts"] if each["name"] == name)
    return source, mount["mountPath"]


# ------------------------------------------------------------------------------------------------------- every option


@pytest.mark.parametrize("case", CASES)
def test_lint_finds_nothing(case: str) -> None:
    ran = helm("lint", "--strict", str(CHART), f"--values={VALUES / case}.yaml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "[WARNING]" not in ran.stdout


@pytest.mark.package("kubernetes_validate")
@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("case", CASES)
def test_every_document_is_what_kubernetes_knows(case: str, version: str) -> None:
    # Importing it takes seconds that the other tests need not wait; it ships no types.
    import kubernetes_validate  # type: ignore[import-untyped]  # noqa: PLC0415

    known = kubernetes_validate.latest_version() if version == "latest" else version
    documents = [each for each in manifests(case) if not each["apiVersion"].startswith(OPERATORS)]
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, known, strict=True)


@pytest.mark.parametrize("case", CASES)
def test_every_object_is_named_and_labelled_as_one_of_the_release(case: str) -> None:
    documents = manifests(case)
    names = [(each["kind"], each["metadata"]["name"]) for each in documents]
    assert len(set(names)) == len(names)
    for document in documents:
        metadata = document["metadata"]
        assert len(metadata["name"]) <= 63
        assert metadata["namespace"]
        assert metadata["labels"]["app.kubernetes.io/instance"] == "vod"
        assert metadata["labels"]["app.kubernetes.io/version"] == __version__


def test_some_values_file_sets_each_value_to_something_else_than_its_default() -> None:
    everything = [yaml.safe_load((VALUES / f"{case}.yaml").read_text()) or {} for case in CASES]
    for path, leaf in chart_values.leaves(chart_values.schema()):
        given = [functools.reduce(_entered, path.split("."), values) for values in everything]
        assert any(value not in (_ABSENT, leaf["default"]) for value in given), path


_ABSENT: Final = object()


def _entered(values: Any, name: str) -> Any:
    return values.get(name, _ABSENT) if isinstance(values, dict) else _ABSENT


def test_values_yaml_and_the_table_of_the_readme_are_what_the_schema_says() -> None:
    schema = chart_values.schema()
    readme = (CHART / "README.md").read_text()
    assert (CHART / "values.yaml").read_text() == chart_values.values_text(schema)
    assert chart_values.table(schema) in readme
    assert chart_values.readme_text(readme, schema) == readme
    assert yaml.safe_load((CHART / "values.yaml").read_text())["image"]["repository"] == "aliyun-vod-exporter"


def test_the_schema_allows_nothing_else_and_says_what_everything_means() -> None:
    def sections(node: Document) -> Iterator[Document]:
        yield node
        for inner in node.get("properties", {}).values():
            yield from sections(inner) if "properties" in inner else ()

    schema = chart_values.schema()
    assert all(section["additionalProperties"] is False for section in sections(schema))
    for path, leaf in chart_values.leaves(schema):
        assert leaf["description"].endswith("."), path


def test_versions_are_the_program_s() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__
    assert exporter(manifests("defaults"))["image"] == f"aliyun-vod-exporter:{__version__}"


def test_the_packed_chart_renders_the_same(tmp_path: Path) -> None:
    assert helm("package", str(CHART), f"--destination={tmp_path}").returncode == 0
    (packed,) = tmp_path.glob("*.tgz")
    assert manifests("monitoring", chart=packed) == manifests("monitoring")


# ------------------------------------------------------------------------------------------------------ configuration


def test_check_config_takes_the_default_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(configuration(manifests("defaults")))
    assert main(["check-config", "--syntax-only", f"--config.file={file}"], {}) == 0
    assert "config.yaml: valid" in capsys.readouterr().out


@pytest.mark.parametrize("case", [case for case in CASES if case != "existing"])
def test_the_exporter_takes_every_configuration(case: str) -> None:
    documents = manifests(case)
    assert loads(configuration(documents), file="config.yaml", environ={}).queries


def test_the_configuration_is_passed_on_unchanged() -> None:
    given = yaml.safe_load((VALUES / "key.yaml").read_text())["config"]
    rendered = yaml.safe_load(configuration(manifests("key")))
    folder = "/run/secrets/aliyun-vod-exporter"
    given["accounts"][0]["credentials"] = {
        "access_key_id_file": f"{folder}/id",
        "access_key_secret_file": f"{folder}/secret",
        "security_token_file": f"{folder}/token",
    }
    assert rendered == given


def test_top_level_settings_are_those_of_the_exporter() -> None:
    from exporter.config.schema import Config  # noqa: PLC0415 - only this test needs it

    assert set(chart_values.schema()["properties"]["config"]["properties"]) == set(Config.model_fields)


def test_sections_of_the_web_configuration_are_those_of_the_exporter() -> None:
    from exporter.web.access.parser import SECTIONS  # noqa: PLC0415 - only this test needs it

    sections = chart_values.schema()["properties"]["webConfig"]["properties"]["config"]["properties"]
    assert set(sections) == set(SECTIONS)


def test_another_configuration_restarts_the_exporter_and_another_key_does_not() -> None:
    def checksum(*sets: str) -> str:
        return str(pod(manifests("defaults", *sets))["metadata"]["annotations"]["checksum/config"])

    with_a_key = checksum('credentials={"accessKeyId": "a", "accessKeySecret": "b"}')
    assert checksum("config.series_limit=5") != checksum()
    assert with_a_key != checksum()
    assert with_a_key == checksum('credentials={"accessKeyId": "c", "accessKeySecret": "d"}')
    assert "checksum/config" not in pod(manifests("existing"))["metadata"]["annotations"]


# ---------------------------------------------------------------------------------------------------------- the pod


@pytest.mark.parametrize("case", CASES)
def test_the_program_takes_the_flags(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    started = [each for spec in pods(manifests(case)) for each in containers(spec)]
    assert len(started) == {"demo": 3, "mutual": 1, "routed": 1}.get(case, 2)
    probed = [
        handler["command"][1:]
        for container in started
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
        if (handler := container.get(probe, {}).get("exec"))
    ]
    assert bool(probed) == (case in {"mutual", "probes"})
    for argv in [*(container["args"] for container in started), *probed]:
        command, *flags = (arg.replace("$(SHARD)", "0") for arg in argv)
        assert main([command, *flags, "--help"], {}) == 0
        known = set(re.findall(r"--[a-z][\w.-]+", capsys.readouterr().out))
        assert {flag.partition("=")[0] for flag in flags} <= known


@pytest.mark.parametrize("case", [case for case in CASES if case != "pod"])
def test_every_pod_can_do_nothing_but_its_work(case: str) -> None:
    for spec in pods(manifests(case)):
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        for container in containers(spec):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_openshift_may_choose_the_user() -> None:
    context = pod(manifests("pod"))["spec"]["securityContext"]
    assert context == {
        "runAsNonRoot": True,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_one_replica_and_never_two_at_a_time() -> None:
    documents = manifests("defaults")
    assert workload(documents)["kind"] == "Deployment"
    assert workload(documents)["spec"]["replicas"] == 1
    assert workload(documents)["spec"]["strategy"] == {"type": "Recreate"}
    assert not any(arg.startswith("--storage.path") for arg in exporter(documents)["args"])


def test_with_storage_it_is_a_stateful_set_with_a_claim() -> None:
    documents = manifests("storage")
    found = workload(documents)
    assert found["kind"] == "StatefulSet"
    assert found["spec"]["serviceName"] == one(documents, "Service")["metadata"]["name"]
    assert found["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Delete"}
    (claim,) = found["spec"]["volumeClaimTemplates"]
    assert claim["metadata"] == {"name": "data", "annotations": {"example.com/backup": "daily"}}
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOncePod"],
        "storageClassName": "alicloud-disk-essd",
        "resources": {"requests": {"storage": "20Gi"}},
    }
    assert "--storage.path=/data/state.db" in exporter(documents)["args"]
    assert {"name": "data", "mountPath": "/data"} in exporter(documents)["volumeMounts"]


def test_a_long_name_leaves_room_for_the_hash_that_pods_of_a_stateful_set_are_labelled_with() -> None:
    documents = manifests("storage", f'nameOverride="{"n" * 52}"')
    assert len(workload(documents)["metadata"]["name"]) == 52


def test_an_existing_claim_is_used() -> None:
    documents = manifests("existing")
    assert "volumeClaimTemplates" not in workload(documents)["spec"]
    source, path = volume(documents, "data")
    assert source["persistentVolumeClaim"] == {"claimName": "my-claim"}
    assert path == "/data"


def test_each_shard_gets_its_number() -> None:
    documents = manifests("shards")
    assert workload(documents)["kind"] == "StatefulSet"
    assert workload(documents)["spec"]["replicas"] == 3
    assert exporter(documents)["args"][-2:] == ["--shard=$(SHARD)", "--total-shards=3"]
    (variable,) = exporter(documents)["env"]
    assert variable["name"] == "SHARD"
    assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"
    assert workload(manifests("defaults", "shards=2"))["kind"] == "StatefulSet"


def test_probes_ask_what_each_is_for_and_can_be_left_out() -> None:
    container = exporter(manifests("defaults"))
    probes = {kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert probes == {"startup": "/-/healthy", "liveness": "/-/healthy", "readiness": "/-/ready"}
    other = exporter(manifests("pod"))
    assert "livenessProbe" not in other
    assert other["startupProbe"]["failureThreshold"] == 300
    assert other["readinessProbe"]["periodSeconds"] == 10


HANDLERS: Final = {"exec", "grpc", "httpGet", "tcpSocket"}


@pytest.mark.parametrize("case", CASES)
def test_a_probe_asks_in_one_way(case: str) -> None:
    given = yaml.safe_load((VALUES / f"{case}.yaml").read_text()) or {}
    container = exporter(manifests(case))
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        own = HANDLERS & (given.get(kind) or {}).keys()
        if kind in container:
            assert HANDLERS & container[kind].keys() == (own or {"httpGet"})
            assert all(container[kind][handler] == given[kind][handler] for handler in own)


def test_a_handler_of_one_s_own_keeps_the_chart_s_patience() -> None:
    assert exporter(manifests("mutual"))["livenessProbe"].items() >= {"periodSeconds": 30, "timeoutSeconds": 5}.items()


def test_with_required_client_certificates_there_is_no_helm_test() -> None:
    assert not kinds(manifests("mutual"), "Pod")
    assert kinds(manifests("probes"), "Pod")


def test_the_readme_shows_the_probes_of_a_server_that_demands_certificates() -> None:
    (shown,) = (
        block
        for block in re.findall(r"```yaml\n(.*?)```", (CHART / "README.md").read_text(), re.DOTALL)
        if "exec:" in block
    )
    given = yaml.safe_load((VALUES / "mutual.yaml").read_text())
    assert yaml.safe_load(shown).items() <= given.items()


def test_of_duplicate_labels_the_more_specific_one_counts() -> None:
    documents = manifests("mutual")
    labels = {each["kind"]: each["metadata"]["labels"]["tier"] for each in documents}
    assert labels.pop("Service") == "service"
    assert set(labels.values()) == {"common"}
    assert pod(documents)["metadata"]["labels"]["tier"] == "pod"


OWN_NAMES: Final = ("name", "instance", "version", "managed-by", "component")
LABELS: Final = (
    "commonLabels",
    "podLabels",
    *(f"{who}.labels" for who in ("service", "serviceMonitor", "prometheusRule", "dashboards")),
)


@pytest.mark.parametrize("where", LABELS)
@pytest.mark.parametrize("key", ["helm.sh/chart", "app.kubernetes.io/name", "app.kubernetes.io/component"])
def test_the_chart_s_own_labels_cannot_be_overridden(where: str, key: str) -> None:
    assert f"{where}: the label {key} is the chart's own" in refused(f'{where}={{"{key}": "a"}}')


def test_no_labels_at_all_are_none_but_the_chart_s_own() -> None:
    nothing = [f"{where}=null" for where in (*LABELS, "webConfig.config")]
    everything = [f"{kind}.enabled=true" for kind in ("serviceMonitor", "prometheusRule", "dashboards")]
    for document in manifests("defaults", *everything, *nothing):
        own = {"helm.sh/chart", *(f"app.kubernetes.io/{name}" for name in OWN_NAMES)}
        assert set(document["metadata"]["labels"]) <= own


@pytest.mark.parametrize("case", CASES)
def test_no_key_is_there_twice(case: str) -> None:
    ran = helm("template", "vod", str(CHART), f"--values={VALUES / case}.yaml")
    assert ran.returncode == 0, ran.stderr
    for document in yaml.compose_all(ran.stdout, yaml.SafeLoader):
        assert list(_twice(document)) == []


def _twice(node: yaml.Node | None) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        yield from (key for key in set(keys) if keys.count(key) > 1)
        for _, value in node.value:
            yield from _twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _twice(value)


@pytest.mark.parametrize("case", CASES)
def test_the_service_and_the_monitors_select_the_exporter_and_not_the_test(case: str) -> None:
    documents = manifests(case)
    labels = pod(documents)["metadata"]["labels"].items()
    service = one(documents, "Service")
    tests = [each["metadata"]["labels"].items() for each in kinds(documents, "Pod")]
    for selector in [
        service["spec"]["selector"],
        workload(documents)["spec"]["selector"]["matchLabels"],
        *(each["spec"]["podSelector"]["matchLabels"] for each in kinds(documents, "NetworkPolicy")),
    ]:
        assert selector.items() <= labels
        assert not any(selector.items() <= labels_of_test for labels_of_test in tests)
    for monitor in kinds(documents, "ServiceMonitor"):
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert monitor["spec"]["namespaceSelector"] == {"matchNames": ["video"]}


def test_where_and_how_the_pod_runs_is_handed_on() -> None:
    given = yaml.safe_load((VALUES / "pod.yaml").read_text())
    documents = manifests("pod")
    spec = pod(documents)["spec"]
    for name in ("nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "priorityClassName"):
        assert spec[name] == given[name]
    assert spec["terminationGracePeriodSeconds"] == 30
    assert pod(documents)["metadata"]["annotations"]["example.com/zone"] == "a"
    assert pod(documents)["metadata"]["labels"]["example.com/zone"] == "a"
    assert exporter(documents)["resources"] == given["resources"]
    assert exporter(documents)["args"][-1] == "--web.telemetry-path=/metrics"
    service = one(documents, "Service")
    assert service["spec"]["ports"] == [{"name": "metrics", "port": 80, "targetPort": "metrics"}]
    assert service["spec"]["ipFamilies"] == ["IPv4", "IPv6"]


# -------------------------------------------------------------------------------------------------------------- keys


def test_secrets_are_in_secrets_alone() -> None:
    for case, secret in (("key", 'se"cret: of the values'), ("web", "$2b$10$")):
        for document in manifests(case):
            contained = secret in repr(document) or secret.replace('"', '\\"') in repr(document)
            assert not contained or document["kind"] == "Secret", document["metadata"]["name"]
        assert any(secret in str(each["stringData"]) for each in kinds(manifests(case), "Secret"))


def test_a_secret_of_the_environment_stands_in_the_configuration_by_its_name() -> None:
    account = '{"name": "main", "credentials": {"access_key_id": "${ID}", "access_key_secret": "${SECRET}"}}'
    assert "${SECRET}" in configuration(manifests("defaults", f"config.accounts={account}"))


def test_a_key_of_the_values_becomes_files() -> None:
    documents = manifests("key")
    source, path = volume(documents, "credentials")
    assert source["secret"] == {"secretName": "vod-aliyun-vod-exporter-credentials", "defaultMode": 0o440}
    assert path == "/run/secrets/aliyun-vod-exporter"
    secret = one(documents, "Secret", "-credentials")
    assert secret["stringData"] == {"id": "LTAI-of-the-values", "secret": 'se"cret: of the values'}


def test_an_existing_secret_becomes_files() -> None:
    documents = manifests("storage")
    assert not kinds(documents, "Secret")
    assert volume(documents, "credentials")[0]["secret"]["secretName"] == "vod-key"
    (account,) = yaml.safe_load(configuration(documents))["accounts"]
    assert account == {
        "name": "default",
        "credentials": {
            "access_key_id_file": "/run/secrets/aliyun-vod-exporter/access_key_id",
            "access_key_secret_file": "/run/secrets/aliyun-vod-exporter/access_key_secret",
        },
    }


@pytest.mark.parametrize("case", CASES)
def test_mounted_files_follow_their_secret(case: str) -> None:
    for spec in pods(manifests(case)):
        for container in spec["containers"]:
            assert not any("subPath" in mount for mount in container.get("volumeMounts", []))


def test_a_role_of_ack_is_named_where_its_webhook_looks() -> None:
    documents = manifests("rrsa")
    account = one(documents, "ServiceAccount")
    assert account["metadata"]["annotations"] == {
        "pod-identity.alibabacloud.com/role-name": "vod-exporter",
        "example.com/owner": "video",
    }
    assert pod(documents)["spec"]["serviceAccountName"] == account["metadata"]["name"] == "vod"
    assert pod(documents)["metadata"]["labels"]["pod-identity.alibabacloud.com/injection"] == "on"
    assert yaml.safe_load(configuration(documents))["accounts"] == [
        {"name": "default", "credentials": {"provider": "oidc_role_arn"}}
    ]


def test_a_file_for_the_web_server_is_used_by_all_who_speak_to_it() -> None:
    documents = manifests("web")
    source, path = volume(documents, "web")
    assert f"--web.config.file={path}/web-config.yml" in exporter(documents)["args"]
    given = yaml.safe_load((VALUES / "web.yaml").read_text())
    secret = one(documents, "Secret", source["secret"]["secretName"])
    assert yaml.safe_load(secret["stringData"]["web-config.yml"]) == given["webConfig"]["config"]
    assert exporter(documents)["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
    (endpoint,) = one(documents, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["scheme"] == "https"
    assert endpoint["basicAuth"] == given["serviceMonitor"]["basicAuth"]
    assert endpoint["tlsConfig"] == given["serviceMonitor"]["tlsConfig"]
    assert one(documents, "Pod")["spec"]["containers"][0]["args"] == [
        "check-healthy",
        "--url=https://vod-aliyun-vod-exporter:9985",
        "--tls.insecure-skip-verify",
    ]
    assert "--web.config.file=/etc/aliyun-vod-exporter-web/web.yml" in exporter(manifests("existing"))["args"]


def test_the_demo_asks_the_simulator_beside_it() -> None:
    documents = manifests("demo")
    (simulator,) = pod(documents)["spec"]["initContainers"]
    assert simulator["restartPolicy"] == "Always"
    assert simulator["image"] == exporter(documents)["image"]
    (port,) = (each["containerPort"] for each in simulator["ports"])
    assert f"--web.listen-address=:{port}" in simulator["args"]
    (account,) = loads(configuration(documents), file="config.yaml", environ={}).accounts
    assert (account.name, account.endpoint) == ("demo", f"http://127.0.0.1:{port}")


# -------------------------------------------------------------------------------------------------------- monitoring


def test_the_job_has_its_name() -> None:
    (endpoint,) = one(manifests("web"), "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": "aliyun-vod"}]
    monitor = one(manifests("monitoring"), "ServiceMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"] == [
        {
            "port": "metrics",
            "path": "/metrics",
            "honorLabels": True,
            "interval": "30s",
            "scrapeTimeout": "20s",
            "scheme": "http",
            "relabelings": [
                {"targetLabel": "job", "replacement": "video-aliyun-vod"},
                {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"},
            ],
            "metricRelabelings": [{"sourceLabels": ["__name__"], "regex": "python_.*", "action": "drop"}],
        }
    ]


def rules(documents: Iterable[Document]) -> list[Document]:
    return [
        rule
        for each in kinds(documents, "PrometheusRule")
        for group in each["spec"]["groups"]
        for rule in group["rules"]
    ]


def test_rules_are_the_files() -> None:
    documents = manifests("defaults", "prometheusRule.enabled=true")
    assert [each["spec"] for each in kinds(documents, "PrometheusRule")] == [
        yaml.safe_load(file.read_text()) for file in RULES
    ]
    assert any(rule.get("alert") == "AliyunVodMediaPlaysGone" for rule in rules(documents))


def test_what_the_values_change_of_the_rules_and_nothing_else() -> None:
    shipped = rules(manifests("defaults", "prometheusRule.enabled=true"))
    thresholds = {"aliyun_vod:media_plays_ratio:threshold": 0.25, "aliyun_vod:plays:threshold": 1000000}
    expected = []
    for rule in shipped:
        if rule.get("record") in thresholds:
            expected.append({**rule, "expr": f"vector({thresholds[rule['record']]})"})
        elif "alert" in rule and rule["alert"] != "AliyunVodMediaShareDropped":
            texts = rule["annotations"]
            base, link = "https://vod.example.com/", "https://video.example.net/vod/"
            assert texts["runbook_url"].startswith(f"{base}docs/runbooks.md#")
            annotations = texts | {
                "summary": texts["summary_zh"],
                "description": texts["description_zh"],
                "runbook_url": texts["runbook_url"].replace(f"{base}docs/", f"{link}docs/zh-CN/"),
                "dashboard_url": texts["dashboard_url"].replace(base, link),
            }
            expected.append({**rule, "labels": {**rule["labels"], "team": "video"}, "annotations": annotations})
        elif "record" in rule:
            expected.append(rule)
    assert rules(manifests("monitoring")) == expected


def test_runbooks_may_be_elsewhere() -> None:
    elsewhere = 'prometheusRule.runbookBaseUrl="https://wiki.example.com/vod/runbooks"'
    for rule in rules(manifests("defaults", "prometheusRule.enabled=true", elsewhere)):
        if "alert" in rule:
            anchor = f"#{rule['alert'].lower()}"
            assert rule["annotations"]["runbook_url"] == f"https://wiki.example.com/vod/runbooks{anchor}"
            assert rule["annotations"]["dashboard_url"].startswith("https://vod.example.com/d/aliyun-vod-")


@pytest.mark.parametrize(
    ("sets", "exporters"),
    [
        ((), 3),
        (("shards=1",), 1),
        (('prometheusRule.thresholds={"aliyun_vod:exporters:threshold": 0}',), 0),
        (('prometheusRule.thresholds={"aliyun_vod:exporters:threshold": 7}',), 7),
    ],
)
def test_as_many_exporters_as_there_are_shards_have_to_be_scraped(sets: tuple[str, ...], exporters: int) -> None:
    rendered = rules(manifests("shards", "prometheusRule.enabled=true", *sets))
    (threshold,) = (rule for rule in rendered if rule.get("record") == "aliyun_vod:exporters:threshold")
    assert threshold["expr"] == f"vector({exporters})"


@pytest.mark.tool("promtool")
@pytest.mark.parametrize("case", ["monitoring"])
def test_prometheus_takes_the_rules(case: str, tmp_path: Path) -> None:
    for number, document in enumerate(kinds(manifests(case), "PrometheusRule")):
        file = tmp_path / f"{number}.yml"
        file.write_text(yaml.safe_dump(document["spec"]))
        ran = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr


def test_dashboards_are_the_files() -> None:
    found = [each for each in kinds(manifests("monitoring"), "ConfigMap") if "config.yaml" not in each["data"]]
    assert {name: text for each in found for name, text in each["data"].items()} == {
        file.name: file.read_text() for file in DASHBOARDS
    }
    assert found
    for each in found:
        assert each["metadata"]["namespace"] == "grafana"
        assert each["metadata"]["labels"].items() >= {"grafana_dashboard": "1", "dashboards": "yes"}.items()
        assert each["metadata"]["annotations"]["k8s-sidecar-target-directory"] == "Video on demand"


def test_the_network_policy_allows_only_prometheus_in_and_dns_and_https_out() -> None:
    spec = one(manifests("rrsa"), "NetworkPolicy")["spec"]
    given = yaml.safe_load((VALUES / "rrsa.yaml").read_text())["networkPolicy"]
    (ingress,) = spec["ingress"]
    tests = one(manifests("rrsa"), "Pod")["metadata"]["labels"]
    assert ingress["from"][:-1] == given["from"]
    assert ingress["from"][-1]["podSelector"]["matchLabels"].items() <= tests.items()
    assert ingress["ports"] == [{"port": "metrics"}]
    dns = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    assert spec["egress"] == [dns, {"ports": [{"port": 443, "protocol": "TCP"}]}, *given["extraEgress"]]
    assert one(manifests("demo"), "NetworkPolicy")["spec"]["egress"] == [dns]


def test_without_a_named_client_the_network_policy_admits_only_the_test() -> None:
    (ingress,) = one(manifests("mutual"), "NetworkPolicy")["spec"]["ingress"]
    (peer,) = ingress["from"]
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "test"


@pytest.mark.parametrize(
    ("sets", "what"), [("prometheusRule.enabled=true", "rules"), ("dashboards.enabled=true", "dashboards")]
)
@pytest.mark.parametrize("as_text", [False, True])
def test_links_that_were_not_followed_are_not_rules_and_dashboards_that_are_not_there(
    sets: str, what: str, *, as_text: bool, tmp_path: Path
) -> None:
    """Flux's source archive drops links; Git on Windows writes them as text."""
    chart = tmp_path / "aliyun-vod-exporter"
    shutil.copytree(CHART, chart, symlinks=True)
    for link in (chart / "files").iterdir():
        target = link.readlink()
        link.unlink()
        if as_text:
            link.write_text(str(target))
    assert manifests("defaults", chart=chart) == manifests("defaults")
    error = refused(sets, chart=chart)
    assert f"the chart has no files/{what}" in error
    assert "helm package deploy/helm/aliyun-vod-exporter" in error


# -------------------------------------------------------------------------------------------------------- odd values


def rendered(*argv: str, **values: Any) -> list[Document]:
    """The documents of `helm template ARGV` with these values."""
    sets = [word for name, value in values.items() for word in ("--set-json", f"{name}={json.dumps(value)}")]
    ran = helm("template", argv[0], str(CHART), *argv[1:], *sets)
    assert ran.returncode == 0, ran.stderr
    return [document for document in yaml.safe_load_all(ran.stdout) if document]


EVERYTHING: Final = {
    **{
        kind: {"enabled": True}
        for kind in ("networkPolicy", "serviceMonitor", "podMonitor", "vmServiceScrape", "prometheusRule", "dashboards")
    },
    "alertmanagerConfig": {"enabled": True, "receivers": [{"name": "1e3"}]},
    "webConfig": {"key": "on", "config": {"basic_auth_users": {"prometheus": "$2y$10$x"}}},
}


@pytest.mark.package("kubernetes_validate")
@pytest.mark.parametrize("name", ["123", "1e3", "true", "null", "2026-11-27"])
def test_a_name_that_yaml_would_take_for_something_else_is_a_text(name: str) -> None:
    """Of the release, the namespace, the objects, and of what is there already."""
    import kubernetes_validate  # noqa: PLC0415 - as above

    own = {"fullnameOverride": name, "nameOverride": name, "serviceAccount": {"name": name}}
    keys = {"accessKeyId": "on", "accessKeySecret": name}
    key = {"credentials": {"accessKeyId": "a", "accessKeySecret": "b", "keys": keys}}
    existing = {
        "existingConfigMap": name,
        "credentials": {"existingSecret": name},
        "storage": {"enabled": True, "existingClaim": name},
        "priorityClassName": name,
    }
    for values in (EVERYTHING | own | key, existing):
        documents = rendered(name, f"--namespace={name}", **values)
        for document in documents:
            metadata = document["metadata"]
            texts = [
                metadata["name"],
                metadata["namespace"],
                *metadata["labels"].values(),
                *document.get("stringData", {}),
            ]
            assert all(isinstance(text, str) for text in texts), (document["kind"], texts)
            if not document["apiVersion"].startswith(OPERATORS):
                kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("values", [{}, {"fullnameOverride": "vod.prod"}, {"nameOverride": "vod"}])
def test_a_service_has_no_dot_of_the_release_in_its_name(values: dict[str, str]) -> None:
    documents = rendered("vod.prod", **values)

    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", one(documents, "Service")["metadata"]["name"])
    assert one(documents, "Service")["metadata"]["labels"]["app.kubernetes.io/instance"] == "vod.prod"


def test_annotations_of_the_values_win_over_the_chart_s() -> None:
    values: dict[str, Any] = {
        "podAnnotations": {"kubectl.kubernetes.io/default-container": "proxy", "checksum/config": "mine"},
        "rrsa": {"roleName": "chart"},
        "serviceAccount": {"annotations": {"pod-identity.alibabacloud.com/role-name": "mine"}},
        "dashboards": {"enabled": True, "folder": "chart", "annotations": {"grafana_folder": "mine"}},
    }
    sets = [word for name, value in values.items() for word in ("--set-json", f"{name}={json.dumps(value)}")]
    for document in yaml.compose_all(helm("template", "vod", str(CHART), *sets).stdout, yaml.SafeLoader):
        assert list(_twice(document)) == []
    documents = rendered("vod", **values)
    assert one(documents, "ServiceAccount")["metadata"]["annotations"] == values["serviceAccount"]["annotations"]
    assert one(documents, "ConfigMap", "-dashboard-media")["metadata"]["annotations"] == {"grafana_folder": "mine"}
    annotations = pod(documents)["metadata"]["annotations"]
    assert annotations["kubectl.kubernetes.io/default-container"] == "proxy"
    assert annotations["checksum/config"] != "mine", "or a new configuration would restart nothing"


def test_a_list_or_map_without_content_is_empty() -> None:
    """`imagePullSecrets:` with all lines below it commented out is null, and helm takes the default away."""
    every = [(path, leaf) for path, leaf in chart_values.leaves(chart_values.schema()) if path != "config"]
    emptied = [
        path for path, leaf in every if isinstance(leaf["default"], list | dict) and not path.endswith("receivers")
    ]
    assert {"imagePullSecrets", "extraEnv", "updateStrategy", "prometheusRule.thresholds"} <= {*emptied}
    sets = [word for path in emptied for word in ("--set-json", f"{path}=null")]
    enabled = [f"--set={kind}.enabled=true" for kind in ("prometheusRule", "dashboards", "serviceMonitor", "storage")]
    ran = helm("install", "vod", str(CHART), "--dry-run=client", *sets, *enabled)
    assert ran.returncode == 0, ran.stderr


# -------------------------------------------------------------------------------------------------------- bad values

TLS: Final = '{"tls_server_config": {"cert_file": "c", "key_file": "k", "client_auth_type": "%s"}}'
NEEDS_CERTIFICATE: Final = (
    "{kind}: with client_auth_type {demands} every request needs a certificate, and the kubelet has none: give the "
    "probe an exec of aliyun-vod-exporter check-healthy --url=https://127.0.0.1:9985 --tls.insecure-skip-verify "
    "--tls.cert-file=... --tls.key-file=..., or tcpSocket"
)
SOCKET: Final = '{"tcpSocket": {"port": "metrics"}}'


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["demo.enable=true"], "additional properties 'enable' not allowed"),
        (["replicas=2"], "additional properties 'replicas' not allowed"),
        (["service.port=70000"], "at '/service/port': maximum"),
        (['service.port="http"'], "at '/service/port': got string, want integer"),
        (['log.level="loud"'], "at '/log/level': value must be one of 'debug', 'info', 'warn', 'error'"),
        (['image.digest="latest"'], "at '/image/digest': 'latest' does not match pattern"),
        (['serviceMonitor.interval="1 minute"'], "at '/serviceMonitor/interval': '1 minute' does not match pattern"),
        # Messages would leave these links out.
        (['prometheusRule.externalUrl="https://e.example/a b"'], "at '/prometheusRule/externalUrl'"),
        (['prometheusRule.externalUrl="https://e.example\\n"'], "at '/prometheusRule/externalUrl'"),
        (['prometheusRule.externalUrl="https://e.example/{{ x }}"'], "at '/prometheusRule/externalUrl'"),
        (['storage.accessModes=["ReadWriteMany"]'], "value must be one of 'ReadWriteOnce', 'ReadWriteOncePod'"),
        (["config.querys=[]"], "additional properties 'querys' not allowed"),
        (['extraArgs=["web.telemetry-path"]'], "at '/extraArgs/0'"),
        (['credentials={"accessKeyId": "a"}'], "accessKeyId and accessKeySecret belong together"),
        (
            ['credentials={"accessKeyId": "a", "accessKeySecret": "b", "existingSecret": "c"}'],
            "give either existingSecret",
        ),
        (['rrsa.roleName="r"', 'credentials.existingSecret="c"'], "leave credentials empty"),
        (['rrsa.roleName="r"', "serviceAccount.create=false"], "leave serviceAccount.create at true"),
        (["demo.enabled=true", 'existingConfigMap="c"'], "cannot put the simulator's address into existingConfigMap"),
        (
            ['config.accounts={"name": "main", "credentials": {"access_key_id": "a", "access_key_secret": "b"}}'],
            "access_key_secret of account main would be in a ConfigMap; use credentials, access_key_secret_file or",
        ),
        (
            ['config.accounts=[{"name": "main", "credentials": {"security_token": "t"}}]'],
            "security_token of account main would be in a ConfigMap",
        ),
        (
            ['webConfig={"existingSecret": "s", "config": {"rate_limit": {}}}'],
            "webConfig: give either config or existingSecret",
        ),
        (["webConfig.config.tls_sever_config={}"], "additional properties 'tls_sever_config' not allowed"),
        ([f"webConfig.config={TLS % 'NoClientCert'}"], "has tls_server_config: set webConfig.scheme to https"),
        (['webConfig.scheme="https"'], "nothing switches TLS on"),
        (['webConfig={"scheme": "https", "config": {"basic_auth_users": {}}}'], "nothing switches TLS on"),
        (
            ['livenessProbe={"exec": {"command": ["true"]}, "tcpSocket": {"port": "metrics"}}'],
            "livenessProbe: give one of exec, tcpSocket, not both",
        ),
        *(
            (
                ['webConfig.scheme="https"', f"webConfig.config={TLS % demands}", *extra],
                NEEDS_CERTIFICATE.format(kind=kind, demands=demands),
            )
            for demands in ("RequireAnyClientCert", "RequireAndVerifyClientCert", "RequireClientCert")
            for kind, extra in (
                ("startupProbe", []),
                ("livenessProbe", [f"startupProbe={SOCKET}", f"readinessProbe={SOCKET}"]),
                ("readinessProbe", [f"startupProbe={SOCKET}", "livenessProbe=null"]),
                ("readinessProbe", ["startupProbe=null", "livenessProbe=null", 'readinessProbe={"grpc": {"port": 1}}']),
            )
        ),
        (['storage.existingClaim="c"'], "not used without a volume"),
        (
            ['updateStrategy={"type": "RollingUpdate"}'],
            "two exporters make every call twice for a while; add rollingUpdate: {maxSurge: 0, maxUnavailable: 1}",
        ),
        (
            [
                'serviceMonitor.basicAuth={"username": {"name": "a", "key": "b"}}',
                'serviceMonitor.authorization={"type": "x"}',
            ],
            "give either basicAuth or authorization",
        ),
        (["alertmanagerConfig.enabled=true"], "so no alert would be sent; add a receiver"),
        (
            [
                "alertmanagerConfig.enabled=true",
                'alertmanagerConfig.receivers=[{"name": "a"}]',
                'alertmanagerConfig.receiver="b"',
            ],
            "receivers has no b",
        ),
        (['extraEnv=[{"name": "LIMIT", "value": 5}]'], "at '/extraEnv/0/value': got number, want string"),
        (["credentials=null"], "missing property 'credentials'"),
        (["image.repository=null"], "missing property 'repository'"),
        (["shards=2", 'storage={"enabled": true, "existingClaim": "c"}'], "each needs a claim of its own"),
        (["prometheusRule.enabled=true", 'prometheusRule.disabledAlerts=["Typo"]'], "is called Typo"),
        (["prometheusRule.enabled=true", 'prometheusRule.thresholds={"a:b": 1}'], "no threshold is called a:b"),
    ],
)
def test_invalid_values_are_rejected_with_the_reason(sets: list[str], message: str) -> None:
    assert message in refused(*sets)


def test_notes_say_what_to_do_next() -> None:
    def notes(*sets: str) -> str:
        ran = helm("install", "vod", str(CHART), "--dry-run=client", *(f"--set={value}" for value in sets))
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.partition("\nNOTES:\n")[2]

    assert "nothing says which AccessKey" in notes()
    with_a_key = notes("credentials.existingSecret=vod-key", "storage.enabled=true")
    assert "nothing says" not in with_a_key
    assert "statefulset/vod-aliyun-vod-exporter" in with_a_key
    assert "made up by a simulated service" in notes("demo.enabled=true")


# ---------------------------------------------------------------------------------------------- as in other charts


def test_names_that_other_charts_use_are_taken() -> None:
    documents = manifests("more")
    spec = pod(documents)["spec"]
    assert [each["name"] for each in spec["imagePullSecrets"]] == ["of-the-parent", "registry", "second"]
    assert [each["name"] for each in spec["initContainers"]] == ["wait"]
    assert [each["name"] for each in spec["containers"]] == ["exporter", "proxy"]
    assert exporter(documents)["args"][-2:] == ["--config.enable-auto-reload", "--web.telemetry-path=/metrics"]
    assert {each["name"]: each["value"] for each in exporter(documents)["env"]} == {
        "HTTPS_PROXY": "http://proxy.example.com:3128",
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "id",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret",
    }
    assert (spec["dnsPolicy"], spec["dnsConfig"]["nameservers"]) == ("None", ["192.0.2.1"])
    assert spec["hostAliases"] == [{"ip": "192.0.2.2", "hostnames": ["vod.cn-shanghai.aliyuncs.com"]}]
    assert workload(documents)["spec"]["revisionHistoryLimit"] == 0
    assert workload(documents)["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert one(documents, "ConfigMap", "-extra")["metadata"]["name"] == "vod-aliyun-vod-exporter-extra"


@pytest.mark.parametrize("flag", ["on", "on=false", "on=7"])
def test_a_flag_without_a_value_is_true(flag: str) -> None:
    name, _, value = flag.partition("=")
    documents = manifests("defaults", f'extraArgs={{"{name}": {value or "true"}}}')
    assert exporter(documents)["args"][-1] == f"--{flag}"


def test_the_pod_of_helm_test_is_placed_like_the_exporter() -> None:
    documents = manifests("more")
    (test,) = kinds(documents, "Pod")
    for setting in ("imagePullSecrets", "nodeSelector", "tolerations"):
        assert test["spec"][setting] == pod(documents)["spec"][setting]
    assert test["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1m", "memory": "32Mi"}


@pytest.mark.parametrize("case", sorted(file.stem for file in VALUES.glob("*.yaml")))
def test_no_line_ends_in_blanks(case: str) -> None:
    """As of a template that adds nothing; a diff of two releases shows it."""
    ran = helm("template", "vod", str(CHART), f"--values={VALUES / case}.yaml")
    # Scripts and queries in dashboards and rules have their own ways.
    ours = [each for each in ran.stdout.split("\n---\n") if "templates/dashboards" not in each[:200]]
    assert [line for each in ours for line in each.splitlines() if line != line.rstrip()] == []


def test_three_operators_find_the_exporter_by_the_same_settings() -> None:
    documents = manifests("more", "serviceMonitor.enabled=true")
    service, by_pod, victoria = (
        one(documents, kind)["spec"] for kind in ("ServiceMonitor", "PodMonitor", "VMServiceScrape")
    )
    assert service["sampleLimit"] == by_pod["sampleLimit"] == victoria["sampleLimit"] == 2000000
    assert service["targetLabels"] == victoria["targetLabels"] == by_pod["podTargetLabels"] == ["team"]
    (endpoint,) = service["endpoints"]
    assert endpoint == {
        "port": "metrics",
        "path": "/metrics",
        "honorLabels": False,
        "interval": "2m",
        "scrapeTimeout": "50s",
        "scheme": "http",
        "authorization": {"credentials": {"name": "token", "key": "token"}},
        "relabelings": [{"targetLabel": "job", "replacement": "aliyun-vod"}],
        "metricRelabelings": [{"sourceLabels": ["__name__"], "regex": "python_.*", "action": "drop"}],
    }
    assert by_pod["podMetricsEndpoints"] == [endpoint]
    # VictoriaMetrics calls two of them otherwise.
    names = {"relabelings": "relabelConfigs", "metricRelabelings": "metricRelabelConfigs"}
    assert victoria["endpoints"] == [{names.get(name, name): value for name, value in endpoint.items()}]
    assert one(documents, "VMServiceScrape")["metadata"]["namespace"] == "victoria"


def test_by_default_labels_of_the_metrics_win() -> None:
    (endpoint,) = one(manifests("defaults", "podMonitor.enabled=true"), "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True


@pytest.mark.parametrize(
    ("sets", "kind"),
    [
        ([], "Deployment"),
        (["prometheusRule.enabled=true"], "StatefulSet"),
        (["prometheusRule.enabled=true", "storage.enabled=false"], "Deployment"),
        (["storage.enabled=true"], "StatefulSet"),
    ],
)
def test_drop_alerts_bring_a_volume_unless_it_is_declined(sets: list[str], kind: str) -> None:
    documents = manifests("defaults", *sets)
    assert workload(documents)["kind"] == kind
    assert ("--storage.path=/data/state.db" in exporter(documents)["args"]) == (kind == "StatefulSet")


def test_an_update_strategy_is_also_that_of_a_stateful_set() -> None:
    assert workload(manifests("routed"))["spec"]["updateStrategy"] == {"type": "OnDelete"}


def test_alerts_are_routed_and_inhibited_as_the_shipped_alertmanager_does() -> None:
    shipped = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text())
    receivers = {"dingtalk": "chat", "dingtalk-drops": "drops", "mail": "pager", "mail-drops": "pager"}
    spec = one(manifests("routed"), "AlertmanagerConfig")["spec"]

    def route(of: Document, inherited: Document) -> Document:
        own = {
            key: of.get(key, inherited.get(key))
            for key in ("receiver", "group_by", "group_interval", "repeat_interval")
        }
        routes = [route(each, own) for each in of.get("routes", [])]
        keeps = {"receiver": receivers[str(own["receiver"])], **{key: own[key] for key in own if key != "receiver"}}
        return {**keeps, "matchers": of.get("matchers", []), "continue": of.get("continue", False), "routes": routes}

    def written(matchers: list[Document]) -> list[str]:
        return [f'{each["name"]}{each["matchType"]}"{each["value"]}"' for each in matchers]

    def converted(of: Document, inherited: Document) -> Document:
        own = {
            "receiver": of.get("receiver", inherited.get("receiver")),
            "group_by": of.get("groupBy", inherited.get("group_by")),
            "group_interval": of.get("groupInterval", inherited.get("group_interval")),
            "repeat_interval": of.get("repeatInterval", inherited.get("repeat_interval")),
        }
        routes = [converted(each, own) for each in of.get("routes", [])]
        return {
            **own,
            "matchers": written(of.get("matchers", [])),
            "continue": of.get("continue", False),
            "routes": routes,
        }

    expected = route(shipped["route"], {})
    assert converted({**spec["route"], "matchers": []}, {}) == expected
    assert written(spec["route"]["matchers"]) == ['alertname=~"AliyunVod.+"']
    assert spec["route"]["groupWait"] == shipped["route"]["group_wait"]
    assert [
        {
            "source_matchers": written(each["sourceMatch"]),
            "target_matchers": written(each["targetMatch"]),
            "equal": each["equal"],
        }
        for each in spec["inhibitRules"]
    ] == shipped["inhibit_rules"]


def test_routed_alerts_carry_the_namespace_that_the_operator_matches() -> None:
    for case, namespace in (("routed", "video"), ("monitoring", None)):
        labels = [
            rule["labels"].get("namespace")
            for document in kinds(manifests(case), "PrometheusRule")
            for group in document["spec"]["groups"]
            for rule in group["rules"]
            if "alert" in rule
        ]
        assert set(labels) == {namespace}


def test_the_icon_is_that_of_the_documentation() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    kind, _, data = chart["icon"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(data) == (ROOT / "docs" / "images" / "icon.svg").read_bytes()
    yaml.safe_load(chart["annotations"]["artifacthub.io/links"])


def notes(*sets: str) -> str:
    words = [word for value in sets for word in ("--set-json", value)]
    ran = helm("install", "vod", str(CHART), "--dry-run=client", *words)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.partition("NOTES:")[2]


KEYS: Final = (
    '[{"name": "ALIBABA_CLOUD_ACCESS_KEY_ID", "value": "a"}, {"name": "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "value": "b"}]'
)


@pytest.mark.parametrize(
    ("sets", "warned"),
    [
        ([], True),
        (['extraEnv={"HTTPS_PROXY": "http://proxy"}'], True),
        (['config.accounts=[{"name": "a"}]'], True),
        ([f"extraEnv={KEYS}"], False),
        ([f"env={KEYS}"], False),
        (['envFrom=[{"secretRef": {"name": "key"}}]'], False),
        (['credentials.existingSecret="key"'], False),
        (['config.accounts=[{"name": "a", "credentials": {"provider": "ecs_ram_role"}}]'], False),
        (['rrsa.roleName="vod"'], False),
        (["demo.enabled=true"], False),
    ],
)
def test_the_notes_warn_where_no_account_has_a_key(sets: list[str], warned: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert ("nothing says which AccessKey to use" in notes(*sets)) == warned


def test_old_names_are_taken_with_a_notice() -> None:
    old = notes(f"env={KEYS}", 'image.pullSecrets=["registry"]')
    assert "env is now called extraEnv" in old
    assert "image.pullSecrets is now called imagePullSecrets" in old
    assert "now called" not in notes(f"extraEnv={KEYS}")
    assert exporter(manifests("defaults", f"env={KEYS}"))["env"][0]["name"] == "ALIBABA_CLOUD_ACCESS_KEY_ID"


def test_every_value_of_0_1_0_is_taken_and_makes_the_same_kind_of_workload() -> None:
    documents = manifests("upgraded")
    assert workload(documents)["kind"] == "Deployment"
    assert "--log.level=warning" in exporter(documents)["args"]
    assert exporter(documents)["env"][0]["name"] == "ALIBABA_CLOUD_ACCESS_KEY_ID"
    assert pod(documents)["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert "log.level: warning is now called warn; the old name still works." in notes('log.level="warning"')
    assert "warning is now" not in notes('log.level="warn"')


def test_alerts_and_thresholds_of_0_1_0_are_taken_with_a_notice() -> None:
    sets = (
        "prometheusRule.enabled=true",
        'prometheusRule.disabledAlerts=["AliyunVodPlaysGone", "AliyunVodThrottled"]',
        'prometheusRule.thresholds={"aliyun_vod:viewers:threshold": 3, "aliyun_vod:plays:threshold": 2}',
    )
    alerts = {rule.get("alert") for rule in rules(manifests("defaults", *sets))}
    assert alerts - {None} == {rule["alert"] for rule in rules(manifests("defaults", sets[0])) if "alert" in rule} - {
        "AliyunVodMediaPlaysGone"
    }
    printed = notes(*sets)
    assert "AliyunVodPlaysGone is now called AliyunVodMediaPlaysGone; the old name still works." in printed
    assert "AliyunVodThrottled is gone and can be left out." in printed
    assert "aliyun_vod:viewers:threshold is gone and can be left out." in printed
