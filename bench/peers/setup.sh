#!/bin/sh
# Installs the brokers that the suite compares with, where they are missing, and says which are there.
# See README.md beside this file. Usage: setup.sh [--check] [PEER...]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
MILLRACE_PEERS_DIR=${MILLRACE_PEERS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace-peers}
export MILLRACE_PEERS_DIR
# Server programs stand in sbin folders, which are not in everyone's PATH. The folder's own come first.
PATH=$MILLRACE_PEERS_DIR/bin:$PATH:$HOME/go/bin:/usr/local/sbin:/usr/sbin
export PATH

check=no
peers=
for argument in "$@"; do
  case $argument in
    --check) check=yes ;;
    -h | --help)
      echo "usage: $0 [--check] [PEER...]"
      echo "  --check  only looks, installs nothing"
      printf '  PEER    '
      for file in "$here"/install/*.sh; do printf ' %s' "$(basename "$file" .sh)"; done
      printf '\n  Programs go to %s (MILLRACE_PEERS_DIR).\n' "$MILLRACE_PEERS_DIR"
      exit 0
      ;;
    -*)
      echo "unknown option: $argument" >&2
      exit 2
      ;;
    *)
      if [ ! -f "$here/install/$argument.sh" ]; then
        echo "unknown peer: $argument" >&2
        exit 2
      fi
      peers="$peers $argument"
      ;;
  esac
done
if [ -z "$peers" ]; then
  for file in "$here"/install/*.sh; do peers="$peers $(basename "$file" .sh)"; done
fi

# What follows is for the files in install/. Each of them defines
#   find_peer     prints one line with versions and licence and returns 0, or prints what is missing and returns 1
#   install_peer  installs what find_peer missed; prints why it cannot and returns 1
# and runs in a shell of its own, with `set -u` but without `set -e`.

has() { command -v "$1" >/dev/null 2>&1; }

# debian_packages PACKAGE...: as root, and without starting the services that they bring along.
debian_packages() {
  if ! has apt-get; then echo "not a Debian system: install $* yourself"; return 1; fi
  if [ "$(id -u)" != 0 ]; then echo "not root: apt-get install $*"; return 1; fi
  policy=/usr/sbin/policy-rc.d
  own_policy=no
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && own_policy=yes
  fi
  apt_output=$(
    { apt-get update -q || true; } 2>&1
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" 2>&1
  )
  apt_status=$?
  if [ "$own_policy" = yes ]; then rm -f "$policy"; fi
  if [ "$apt_status" != 0 ]; then
    echo "apt-get failed: $(printf '%s' "$apt_output" | tail -n 1)"
    return 1
  fi
  # Nor when the machine starts the next time.
  if has systemctl; then
    for package in "$@"; do systemctl disable "$package" >/dev/null 2>&1 || true; done
  fi
}

# go_program PACKAGE VERSION: builds one program into MILLRACE_PEERS_DIR/bin.
go_program() {
  if ! has go; then echo "go is missing"; return 1; fi
  mkdir -p "$MILLRACE_PEERS_DIR/bin"
  if ! go_output=$(GOBIN="$MILLRACE_PEERS_DIR/bin" go install "$1@$2" 2>&1); then
    echo "go install $1@$2 failed: $(printf '%s' "$go_output" | tail -n 1)"
    return 1
  fi
}

ready=0
for peer in $peers; do
  found=$(
    set +e
    . "$here/install/$peer.sh"
    missing=$(find_peer) && { echo "$missing"; exit 0; }
    if [ "$check" = yes ]; then echo "$missing"; exit 1; fi
    install_peer || exit 1
    find_peer
  ) && status=ready || status=skipped
  if [ "$status" = ready ]; then ready=$((ready + 1)); fi
  printf '%-10s %s: %s\n' "$peer" "$status" "$found"
done
# Nothing at all to compare with is an error, one missing peer is not.
[ "$ready" -gt 0 ]
