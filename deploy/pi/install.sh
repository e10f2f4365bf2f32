#!/usr/bin/env bash
# Install the edge agent on a Raspberry Pi (64-bit) or any Debian-like machine with systemd.  Safe to run again: it upgrades.
set -euo pipefail
umask 022  # the agent's user must be able to read the program, whatever root's is

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SOURCE=$(cd "$HERE/../.." && pwd)
LOCK=
PYTHON=${PYTHON:-/usr/bin/python3}  # not a version manager's: the service sees no home folder
DRY=
DEVICE=
URL=
PLAIN=
VENV=/opt/sensorline
CONFIG=/etc/sensorline
STATE=/var/lib/sensorline
UNITS=/etc/systemd/system
ACCOUNT=sensorline

usage() {
  cat <<TEXT
Usage: sudo deploy/pi/install.sh [--from CHECKOUT-OR-WHEEL] [--lock FILE] [--device NAME] [--url URL] [--plain] [--dry-run]

  --from     what to install: a checkout (default: the one this script lies in) or a wheel
  --lock     the hashed versions of everything else (default: locks/edge.txt of the checkout)
  --device   this device's name (default: the machine's), --url  the gateway or broker: for a first edge.toml
  --plain    the token may travel without TLS: on a network of your own only
  --dry-run  print what would be done

Python 3.11 or newer; another than /usr/bin/python3: PYTHON=/usr/bin/python3.12.
TEXT
}

die() { echo "error: $*" >&2; exit 1; }
say() { echo "==> $*"; }

# Everything that changes this machine goes through here.
run() {
  if [ -n "$DRY" ]; then printf '+'; printf ' %q' "$@"; printf '\n'; else "$@"; fi
}

while [ $# -gt 0 ]; do
  case $1 in
    --from) SOURCE=${2:?--from needs a checkout or a wheel}; shift 2 ;;
    --lock) LOCK=${2:?--lock needs a file}; shift 2 ;;
    --device) DEVICE=${2:?--device needs a name}; shift 2 ;;
    --url) URL=${2:?--url needs an address}; shift 2 ;;
    --plain) PLAIN=1; shift ;;
    --dry-run) DRY=1; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; die "unknown option $1" ;;
  esac
done
LOCK=${LOCK:-$HERE/../../locks/edge.txt}

check() {
  [ -n "$DRY" ] || [ "$(id -u)" = 0 ] || die "run it as root: sudo $0"
  [ -e "$SOURCE" ] || die "there is no $SOURCE"
  [ -f "$LOCK" ] || die "there is no $LOCK: give it with --lock"
  case $(uname -m) in
    aarch64 | x86_64) ;;
    *) die "$(uname -m) is not served: a 64-bit system is needed (Raspberry Pi OS 64-bit)" ;;
  esac
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
    || die "$PYTHON is not there, or older than 3.11: set PYTHON=/usr/bin/python3.11 or newer"
  case $("$PYTHON" -c 'import sys; print(sys.base_prefix)') in
    /home/* | /root/* | /run/user/*) die "$PYTHON lies in a home folder, which the service cannot see: take the system's" ;;
  esac
  "$PYTHON" -c 'import ensurepip' 2>/dev/null || die "no venv module: apt-get install python3-venv"
  command -v systemctl >/dev/null || die "no systemd here: run \`sensorline edge run\` under what you have"
}

account() {
  say "user $ACCOUNT, folders"
  if ! getent passwd "$ACCOUNT" >/dev/null; then
    run useradd --system --user-group --home-dir "$STATE" --no-create-home --shell /usr/sbin/nologin "$ACCOUNT"
  fi
  run install -d -m 0750 -o "$ACCOUNT" -g "$ACCOUNT" "$CONFIG"
  run install -d -m 0700 -o "$ACCOUNT" -g "$ACCOUNT" "$STATE"
}

program() {
  say "the program in $VENV"
  [ -x "$VENV/bin/python" ] || run "$PYTHON" -m venv "$VENV"
  local pip=("$VENV/bin/python" -I -m pip install --quiet --disable-pip-version-check --no-input)
  run "${pip[@]}" --require-hashes -r "$LOCK"
  # Of the same version again, too: a checkout changes without changing its number.
  run "${pip[@]}" --no-deps --no-build-isolation --force-reinstall "$SOURCE"
  run install -d /usr/local/bin
  run ln -sfn "$VENV/bin/sensorline" /usr/local/bin/sensorline
}

as_agent() { run runuser -u "$ACCOUNT" -- "$@"; }

settings() {
  if [ -e "$CONFIG/edge.toml" ]; then
    say "$CONFIG/edge.toml is kept"
    return
  fi
  say "$CONFIG/edge.toml"
  local made=(edge init --yes --config "$CONFIG/edge.toml" --token-file "$STATE/edge.token" --data-dir "$STATE/data")
  [ -z "$DEVICE" ] || made+=(--device "$DEVICE")
  [ -z "$URL" ] || made+=(--url "$URL")
  [ -z "$PLAIN" ] || made+=(--plain)
  as_agent "$VENV/bin/sensorline" "${made[@]}"
  run chmod 0640 "$CONFIG/edge.toml"
}

service() {
  say "the service"
  run install -D -m 0644 "$HERE/sensorline-edge.service" "$UNITS/sensorline-edge.service"
  if [ "$(systemctl --version | awk 'NR == 1 {print $2}')" -ge 254 ]; then
    run install -D -m 0644 "$HERE/restart.conf" "$UNITS/sensorline-edge.service.d/restart.conf"
  fi
  if [ ! -e "$UNITS/sensorline-edge.service.d/devices.conf" ]; then
    run install -D -m 0644 "$HERE/devices.conf" "$UNITS/sensorline-edge.service.d/devices.conf.example"
  fi
  run systemctl enable --quiet sensorline-edge.service
  if [ ! -d /run/systemd/system ]; then
    say "systemd does not run here (an image is being made?): the service starts at the next boot"
    return
  fi
  run systemctl daemon-reload
  if [ -e "$STATE/edge.token" ]; then
    run systemctl restart sensorline-edge.service
  else
    next
  fi
}

next() {
  cat <<TEXT

Next: on the station \`sensorline device code NAME\` gives a code; then here

  sudo -u $ACCOUNT sensorline edge enroll URL CODE --config $CONFIG/edge.toml
  sudo -u $ACCOUNT sensorline edge check --config $CONFIG/edge.toml
  sudo systemctl start sensorline-edge

Sensors: cp $UNITS/sensorline-edge.service.d/devices.conf.example $UNITS/sensorline-edge.service.d/devices.conf and
uncomment what you have; for \`edge check\` the user needs the groups, too: sudo usermod -aG i2c,dialout $ACCOUNT
TEXT
}

check
account
program
settings
service
