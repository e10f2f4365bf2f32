"""The manifests: as kustomize renders them, valid to Kubernetes and KEDA, restricted, closed, and true."""

import ipaddress
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from sensorline import roster
from telemetry import adapters
from telemetry.errors import Misconfigured
from telemetry.settings import load
from tests.deploy.files import KUBERNETES, Tree, environment_of, keda_schemas, rendered
from tests.deploy.test_compose import parsed

VERSION = "1.34"
FOLDERS = ["base", "overlays/example"]
CONSUMERS = set(roster.ROLES)
SECRETS = {"sensorline-kafka", "sensorline-elasticsearch", "sensorline-alerts", "sensorline-tls"}
every = pytest.mark.parametrize("folder", FOLDERS)


def kinds(folder: str, kind: str) -> dict[str, Tree]:
    found = {each["metadata"]["name"]: each for each in rendered(folder) if each["kind"] == kind}
    assert found, f"there is no {kind} in {folder}"
    return found


def running(folder: str) -> dict[str, Tree]:
    """The Deployments that run at least one pod."""
    return {name: each for name, each in kinds(folder, "Deployment").items() if each["spec"].get("replicas") != 0}


def pod(deployment: Tree) -> Tree:
    spec: Tree = deployment["spec"]["template"]["spec"]
    return spec


def container(deployment: Tree) -> Tree:
    (only,) = pod(deployment)["containers"]
    assert isinstance(only, dict)
    return only


def settings_of(folder: str) -> Tree:
    (made,) = kinds(folder, "ConfigMap").values()
    return tomllib.loads(made["data"]["sensorline.toml"])


def without_unknown(schema: Any, tree: Any, path: str = "") -> Iterator[str]:
    """Fields that the schema does not name: a cluster would drop them without a word."""
    if isinstance(tree, dict) and isinstance(schema, dict) and (known := schema.get("properties")):
        for name, value in tree.items():
            if name not in known and not schema.get("additionalProperties"):
                yield f"{path}.{name}"
            else:
                yield from without_unknown(known.get(name), value, f"{path}.{name}")
    elif isinstance(tree, list) and isinstance(schema, dict):
        for i, value in enumerate(tree):
            yield from without_unknown(schema.get("items"), value, f"{path}[{i}]")


@every
def test_every_manifest_fits_its_schema(folder: str) -> None:
    checked = 0
    for each in rendered(folder):
        if each["apiVersion"].startswith("keda.sh/"):
            continue
        kubernetes_validate.validate(each, VERSION, strict=True)
        checked += 1
    assert checked >= 20


def test_the_schemas_refuse_a_word_they_do_not_know() -> None:
    gateway = kinds("base", "Deployment")["gateway"]
    broken = gateway | {"spec": gateway["spec"] | {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)


@every
def test_every_scaler_fits_kedas_schema(folder: str) -> None:
    schemas = keda_schemas()
    for each in rendered(folder):
        if each["apiVersion"].startswith("keda.sh/"):
            schema = schemas[each["kind"]]
            jsonschema.validate(each, schema)
            assert not list(without_unknown(schema, each | {"metadata": {}}))
    broken = next(each for each in rendered(folder) if each["kind"] == "ScaledObject")
    assert list(without_unknown(schemas["ScaledObject"], broken | {"spec": broken["spec"] | {"minReplicas": 1}}))


@every
def test_every_pod_fits_the_restricted_profile(folder: str) -> None:
    (namespace,) = kinds(folder, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, each in kinds(folder, "Deployment").items():
        spec, only = pod(each), container(each)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] >= 1000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert spec["automountServiceAccountToken"] is False
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        assert {"configMap", "secret", "emptyDir"} >= {next(iter(v.keys() - {"name"})) for v in spec["volumes"]}, name


@every
def test_every_pod_has_limits_probes_and_a_place(folder: str) -> None:
    for name, each in kinds(folder, "Deployment").items():
        only = container(each)
        assert only["resources"]["limits"].keys() == only["resources"]["requests"].keys() == {"cpu", "memory"}
        ports = {port["name"]: port["containerPort"] for port in only["ports"]}
        probes = {probe: only[f"{probe}Probe"]["httpGet"] for probe in ("startup", "liveness", "readiness")}
        assert [probes[p]["path"] for p in probes] == ["/healthz", "/healthz", "/readyz"], name
        assert {probe["port"] for probe in probes.values()} <= ports.keys()
        settings = settings_of(folder)
        served = settings["gateway"]["port"] if name == "gateway" else settings["consumers"]["health_port"]
        assert ports["http"] == served
        spread = pod(each)["topologySpreadConstraints"]
        own = each["spec"]["template"]["metadata"]["labels"]
        assert all(s["labelSelector"]["matchLabels"].items() <= own.items() for s in spread)
        assert only["image"].rpartition(":")[2] == "0.1.0"


def test_the_probes_are_of_routes_that_are_there() -> None:
    from consumers.health import create_app
    from gateway.routes import health

    probed = {"/healthz", "/readyz"}
    assert probed <= {getattr(route, "path", None) for route in health.router.routes}
    assert probed <= {getattr(route, "path", None) for route in create_app([]).routes}


@every
def test_the_program_knows_each_command_line(folder: str) -> None:
    lines = {name: container(each)["args"] for name, each in kinds(folder, "Deployment").items()}
    assert {tuple(parsed(words)) for words in lines.values()} == {("gateway",), ("consume",)}
    assert {name: words for name, words in lines.items() if name != "gateway"} == {
        name: ["consume", name] for name in CONSUMERS
    }
    off = kinds(folder, "Deployment").keys() - running(folder).keys()
    assert off == ({"windows", "alert"} if folder == "base" else set()), "a component switches each on"


@every
def test_the_settings_are_valid_and_hold_no_secret(folder: str, tmp_path: Path) -> None:
    file = tmp_path / "sensorline.toml"
    (made,) = kinds(folder, "ConfigMap").values()
    file.write_text(made["data"]["sensorline.toml"])
    for each in kinds(folder, "Deployment").values():
        variables = {v["name"]: v["value"] for v in container(each)["env"]}
        assert variables.pop("SENSORLINE_CONFIG") == "/etc/sensorline/sensorline.toml"
        with environment_of(variables):
            settings = load(file).settings
    for port, name in (("telemetry.logs", settings.log), ("telemetry.stores", settings.store)):
        adapters.configure(adapters.load(port, name), name, settings.adapter(name))
    assert not re.search(r"(?m)^(sasl_password|api_key|password|secret) ", file.read_text())
    assert settings.windows.enabled == ("windows" in running(folder))
    assert bool(settings.alerts.channels) == ("alert" in running(folder))
    assert settings.gateway.public_url.startswith("https://")
    file.write_text(file.read_text().replace("store_days", "store_dais"))
    with pytest.raises(Misconfigured), environment_of({}):
        load(file)


@every
def test_every_file_that_settings_name_is_mounted_from_a_secret(folder: str) -> None:
    text = next(iter(kinds(folder, "ConfigMap").values()))["data"]["sensorline.toml"]
    named = set(re.findall(r'"(/secrets/[^"]+)"', text))
    assert len(named) >= 4
    keys = expected_keys()
    for name, each in running(folder).items():
        secrets = {v["name"]: v["secret"]["secretName"] for v in pod(each)["volumes"] if "secret" in v}
        mounts = {m["mountPath"]: m for m in container(each)["volumeMounts"]}
        assert {m["name"] for m in mounts.values()} == {v["name"] for v in pod(each)["volumes"]}, name
        for path in named:
            place, _, key = path.rpartition("/")
            if place not in mounts:
                assert (place, name == "alert") == ("/secrets/alerts", False), f"{name} has no {path}"
                continue
            assert mounts[place]["readOnly"] is True
            assert key in keys[secrets[mounts[place]["name"]]], path


def expected_keys() -> dict[str, set[str]]:
    """Secret -> its keys, as the README says that they are made."""
    readme = (KUBERNETES.parent / "README.md").read_text().replace("\\\n", " ")
    made = re.findall(r"create secret generic (\S+)(.*)", readme)
    keys = {name: set(re.findall(r"--from-(?:file|literal)=([\w.-]+)=", rest)) for name, rest in made}
    assert SECRETS - {"sensorline-tls"} == keys.keys()
    return keys


def test_the_readme_looks_for_the_first_key_in_every_gateways_log() -> None:
    """`logs deployment/gateway` reads one pod's, and `--selector` ten lines of each unless told."""
    readme = (KUBERNETES.parent / "README.md").read_text().replace("\\\n", " ")
    (asked,) = re.findall(r"logs (.+?)\|", readme)
    assert "--tail=-1" in asked
    (selector,) = re.findall(r"--selector (\S+)", asked)
    name, _, value = selector.partition("=")
    found = {n for n, d in running("base").items() if d["spec"]["template"]["metadata"]["labels"].get(name) == value}
    assert found == {"gateway"}


@every
def test_every_reference_exists_and_no_secret_is_committed(folder: str) -> None:
    assert not [each for each in rendered(folder) if each["kind"] == "Secret"]
    maps, accounts = kinds(folder, "ConfigMap"), kinds(folder, "ServiceAccount")
    for each in kinds(folder, "Deployment").values():
        for volume in pod(each)["volumes"]:
            assert "configMap" not in volume or volume["configMap"]["name"] in maps
            assert "secret" not in volume or volume["secret"]["secretName"] in SECRETS
        assert pod(each)["serviceAccountName"] in accounts
    (auth,) = kinds(folder, "TriggerAuthentication").values()
    keys = expected_keys()
    assert all(ref["key"] in keys[ref["name"]] for ref in auth["spec"]["secretTargetRef"])
    for file in KUBERNETES.rglob("*"):
        assert not file.is_file() or not re.search(r"kind: Secret\b(?!.*Ref)", file.read_text()), file


@every
def test_scaling_follows_each_consumers_own_group(folder: str) -> None:
    settings = settings_of(folder)
    kafka = adapters.configure(adapters.load("telemetry.logs", "kafka"), "kafka", settings["adapters"]["kafka"])
    scalers = kinds(folder, "ScaledObject")
    assert scalers.keys() == running(folder).keys() - {"alert"}, "the limits of alerts are a process's own"
    for name, each in scalers.items():
        assert each["spec"]["scaleTargetRef"]["name"] == name
        assert "replicas" not in kinds(folder, "Deployment")[name]["spec"], "two would give the number"
        (trigger,) = each["spec"]["triggers"]
        if name == "gateway":
            assert trigger["type"] == "cpu"
            assert each["spec"]["minReplicaCount"] >= 2
            continue
        told = trigger["metadata"]
        assert told["consumerGroup"] == kafka.topic(name)  # type: ignore[attr-defined]
        assert told["topic"] == kafka.topic(roster.ROLES[name].topic.name)  # type: ignore[attr-defined]
        assert told["bootstrapServers"] == kafka.bootstrap  # type: ignore[attr-defined]
        assert each["spec"]["maxReplicaCount"] == kafka.partitions  # type: ignore[attr-defined]
        assert each["spec"]["minReplicaCount"] >= 1, "the retention and the watch of lag need one"
        assert trigger["authenticationRef"]["name"] in kinds(folder, "TriggerAuthentication")
    budgets = kinds(folder, "PodDisruptionBudget")
    assert budgets.keys() == scalers.keys()
    for name, each in budgets.items():
        own = kinds(folder, "Deployment")[name]["spec"]["template"]["metadata"]["labels"]
        assert each["spec"]["selector"]["matchLabels"].items() <= own.items()
        assert own["app.kubernetes.io/component"] == name


def policies(folder: str) -> dict[str, Tree]:
    return kinds(folder, "NetworkPolicy")


def namespaced_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("https://").rpartition(":")
    return (host.split(".")[1] if host.endswith(".svc") else "", int(port))


@every
def test_nothing_talks_to_anything_but_what_is_named(folder: str) -> None:
    found = policies(folder)
    assert found["deny-all"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} or (
        found["deny-all"]["spec"]["policyTypes"] == ["Ingress", "Egress"]
        and not found["deny-all"]["spec"].keys() & {"ingress", "egress"}
    )
    settings = settings_of(folder)["adapters"]
    wanted = {
        namespaced_port(settings["kafka"]["bootstrap"]),
        *(namespaced_port(url) for url in settings["elasticsearch"]["urls"]),
    }
    allowed = set()
    for rule in found["log-and-store"]["spec"]["egress"]:
        for to in rule["to"]:
            labels = to.get("namespaceSelector", {}).get("matchLabels", {})
            if "ipBlock" in to:
                ipaddress.ip_network(to["ipBlock"]["cidr"])
            allowed |= {(labels.get("kubernetes.io/metadata.name", ""), port["port"]) for port in rule["ports"]}
    assert allowed == wanted
    (rule,) = found["ingress-to-gateway"]["spec"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == [settings_of(folder)["gateway"]["port"]]
    components = {each["metadata"]["labels"]["app.kubernetes.io/component"] for each in running(folder).values()}
    for name, each in found.items():
        chosen = each["spec"]["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/component")
        assert chosen is None or chosen in components, name
        assert name == "deny-all" or all(
            rule.get("ports") for key in ("ingress", "egress") for rule in each["spec"].get(key, ())
        )
    assert ("alert-to-people" in found) == ("alert" in running(folder))


Pod = tuple[str, dict[str, str]]
"""Namespace and labels."""


def matches(selector: Tree | None, labels: dict[str, str]) -> bool:
    """As Kubernetes does: no selector takes none, an empty one all; these files use `matchLabels` alone."""
    if selector is None:
        return False
    assert selector.keys() <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= labels.items()


def is_let(folder: str, direction: str, ours: Pod, peer: Pod, port: int | str) -> bool:
    """Whether the policies let one of our pods talk to a peer ("egress") or be talked to ("ingress"); "53/UDP"."""
    number, _, protocol = str(port).partition("/")
    wanted = {"protocol": protocol or "TCP", "port": int(number)}
    rules = [
        rule
        for each in policies(folder).values()
        if each["metadata"]["namespace"] == ours[0] and matches(each["spec"]["podSelector"], ours[1])
        for rule in each["spec"].get(direction, ())
    ]
    return any(
        wanted in rule["ports"] and any(_is_peer(to, ours, peer) for to in rule[side])
        for rule in rules
        for side in ("to", "from")
        if side in rule
    )


def _is_peer(peer_rule: Tree, ours: Pod, peer: Pod) -> bool:
    namespace, labels = peer
    if "namespaceSelector" in peer_rule:
        in_namespace = matches(peer_rule["namespaceSelector"], {"kubernetes.io/metadata.name": namespace})
    else:
        in_namespace = namespace == ours[0] and "podSelector" in peer_rule
    return in_namespace and matches(peer_rule.get("podSelector", {}), labels)


@every
def test_every_pod_can_ask_for_a_name_and_only_there(folder: str) -> None:
    """The labels that kubeadm, GKE, EKS and AKS give their DNS: none of ours is among them."""
    dns = ("kube-system", {"k8s-app": "kube-dns", "pod-template-hash": "5d78c9869d"})
    other = ("kube-system", {"k8s-app": "metrics-server"})
    for name, each in running(folder).items():
        ours = ("sensorline", each["spec"]["template"]["metadata"]["labels"])
        assert is_let(folder, "egress", ours, dns, "53/UDP"), name
        assert is_let(folder, "egress", ours, dns, "53/TCP"), name
        assert not is_let(folder, "egress", ours, other, "53/UDP"), name
        assert not is_let(folder, "egress", ours, dns, 443), name


@every
def test_only_the_ingress_controller_reaches_a_gateway_and_nobody_a_consumer(folder: str) -> None:
    controller: Pod = ("ingress-nginx", {"app.kubernetes.io/name": "ingress-nginx"})
    for name, each in running(folder).items():
        ours = ("sensorline", each["spec"]["template"]["metadata"]["labels"])
        port = settings_of(folder)["gateway"]["port"]
        assert is_let(folder, "ingress", ours, controller, port) is (name == "gateway"), name
        assert not is_let(folder, "ingress", ours, ("elsewhere", {}), port), name


def test_the_pod_that_proves_the_host_to_a_certificate_authority_is_reached() -> None:
    """cert-manager's solver of HTTP-01 runs in the namespace of the ingress, which denies everything else."""
    solver: Pod = (
        "sensorline",
        {"acme.cert-manager.io/http01-solver": "true", "acme.cert-manager.io/http-domain": "1"},
    )
    controller: Pod = ("ingress-nginx", {"app.kubernetes.io/name": "ingress-nginx"})
    assert is_let("overlays/example", "ingress", solver, controller, 8089)
    assert not is_let("overlays/example", "ingress", solver, ("elsewhere", {}), 8089)


def test_the_ingress_has_tls_and_ends_at_the_gateway() -> None:
    (each,) = kinds("overlays/example", "Ingress").values()
    settings = settings_of("overlays/example")
    (tls,), (rule,) = each["spec"]["tls"], each["spec"]["rules"]
    assert tls == {"hosts": [rule["host"]], "secretName": "sensorline-tls"}
    assert settings["gateway"]["public_url"] == f"https://{rule['host']}"
    (path,) = rule["http"]["paths"]
    service = kinds("overlays/example", "Service")[path["backend"]["service"]["name"]]
    (port,) = service["spec"]["ports"]
    assert path["backend"]["service"]["port"]["name"] == port["name"]
    gateway = kinds("overlays/example", "Deployment")["gateway"]
    assert service["spec"]["selector"].items() <= gateway["spec"]["template"]["metadata"]["labels"].items()
    assert port["targetPort"] in {p["name"] for p in container(gateway)["ports"]}
    assert each["metadata"]["annotations"]["nginx.ingress.kubernetes.io/force-ssl-redirect"] == "true"


def test_a_pod_ends_in_time() -> None:
    from sensorline.station import STOP_WAIT_S
    from telemetry.settings import Gateway

    gateway = kinds("base", "Deployment")["gateway"]
    before_s = container(gateway)["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace_s = pod(gateway)["terminationGracePeriodSeconds"]
    assert before_s + Gateway().stop_wait_s + STOP_WAIT_S < grace_s


def test_no_manifest_is_forgotten() -> None:
    for file in KUBERNETES.rglob("kustomization.yaml"):
        told = yaml.safe_load(file.read_text())
        listed = {*told.get("resources", ()), *(p["path"] for p in told.get("patches", ()) if "path" in p)}
        assert {each.name for each in file.parent.glob("*.yaml")} - listed == {file.name}
