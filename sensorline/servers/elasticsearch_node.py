"""Runs one Elasticsearch node inside this process until SIGTERM or SIGINT: `python -m ... PLAN.json`.

No launcher of Elasticsearch is published as a jar, so the node is built by hand, as its own bootstrap would.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import jpype

CLOSE_TIMEOUT_S = 20
SIGNALS = {signal.SIGTERM, signal.SIGINT}


def start_jvm(plan: dict[str, Any]) -> None:
    """-Xrs leaves the signals to us: blocked here, so in every thread of the JVM, and taken by sigwait."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    jpype.startJVM(
        "-Xrs", *plan["flags"], jvmpath=plan["jvm"], classpath=[f"{plan['jars']}/lib/*"], convertStrings=True
    )


def build_node(plan: dict[str, Any]) -> Any:
    """The node, not yet started. Logging is set up first: Elasticsearch's classes look for it as they load."""
    paths, java = jpype.JPackage("java").nio.file.Path, jpype.JPackage("java").util
    elastic = jpype.JPackage("org").elasticsearch
    builder = elastic.common.settings.Settings.builder()
    for key, value in plan["settings"].items():
        builder.put(key, value)
    settings = builder.build()
    elastic.common.logging.LogConfigurator.setNodeName(plan["settings"]["node.name"])
    elastic.common.logging.LogConfigurator.configureWithoutConfig(settings)
    environment = elastic.env.Environment(settings, paths.of(plan["settings"]["path.home"], "config"))
    modules = elastic.plugins.PluginsLoader.loadModulesBundles(paths.of(plan["jars"], "modules"))
    loader = elastic.plugins.PluginsLoader.createPluginsLoader(modules, java.Set.of(), java.Map.of(), False)
    return elastic.node.Node(environment, loader)


def close(node: Any) -> bool:
    node.close()
    return bool(node.awaitClose(CLOSE_TIMEOUT_S, jpype.JPackage("java").util.concurrent.TimeUnit.SECONDS))


def main(plan_path: str) -> int:
    plan = json.loads(Path(plan_path).read_text())
    start_jvm(plan)
    node = build_node(plan)
    node.start()
    print(f"started, http on {plan['settings']['http.port']}", flush=True)
    signal.sigwait(SIGNALS)
    closed = close(node)
    print("closed" if closed else f"not closed within {CLOSE_TIMEOUT_S} s", flush=True)
    return 0 if closed else 1


if __name__ == "__main__":
    status = 1
    try:
        status = main(sys.argv[1])
    except jpype.JException as failure:
        print(failure.stacktrace(), file=sys.stderr, flush=True)
    # Not sys.exit: a thread that Elasticsearch left behind would keep the JVM, and so this process, alive.
    os._exit(status)
