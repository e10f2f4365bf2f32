# Sourced by scripts/demo and scripts/test: a virtual environment in the checkout with the locked
# dependencies.  `setup run` or `setup dev`; quick when nothing changed since the last time.
setup() {
  local lock="locks/$1.txt" stamp
  stamp=".venv/.locked-$(cat "$lock" pyproject.toml | sha256sum | cut -c1-16)-$1"
  if [ -e "$stamp" ] && [ -x .venv/bin/sensorline ]; then return 0; fi
  local python=${PYTHON:-python3}
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
    || { echo "Sensorline needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; return 2; }
  echo "Setting up .venv (once; a second run is quick) ..." >&2
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
  rm -f .venv/.locked-*-"$1"
  touch "$stamp"
}
