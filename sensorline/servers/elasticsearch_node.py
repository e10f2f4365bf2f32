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


def java_class(name: str) -> Any:
    """By its full name: a walk through JPackage opens the jars as file systems, and Elasticsearch then cannot."""
    return jpype.JClass(name)


def build_settings(values: dict[str, str]) -> Any:
    builder = java_class("org.elasticsearch.common.settings.Settings").builder()
    for key, value in values.items():
        builder.put(key, value)
    return builder.build()


def build_node(plan: dict[str, Any]) -> Any:
    """The node, not yet started. Logging is set up first: Elasticsearch's classes look for it as they load."""
    path = java_class("java.nio.file.Path")
    settings = build_settings(plan["settings"])
    logging = java_class("org.elasticsearch.common.logging.LogConfigurator")
    logging.setNodeName(plan["settings"]["node.name"])
    logging.configureWithoutConfig(settings)
    environment = java_class("org.elasticsearch.env.Environment")(
        settings, path.of(plan["settings"]["path.home"], "config")
    )
    plugins = java_class("org.elasticsearch.plugins.PluginsLoader")
    modules = plugins.loadModulesBundles(path.of(plan["jars"], "modules"))
    none, no_exports = java_class("java.util.Set").of(), java_class("java.util.Map").of()
    loader = plugins.createPluginsLoader(modules, none, no_exports, False)
    return java_class("org.elasticsearch.node.Node")(environment, loader)


def close(node: Any) -> bool:
    node.close()
    return bool(node.awaitClose(CLOSE_TIMEOUT_S, java_class("java.util.concurrent.TimeUnit").SECONDS))


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
