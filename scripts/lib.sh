# shellcheck shell=bash
# What the scripts in this folder share; sourced, not run.
#
# All they download or unpack lies under $TOOLS and all that runs for them under $RUN, so removing those two
# folders leaves nothing behind but installed packages. $RUN is short: a Unix socket's path has 108 bytes.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TOOLS=${DOCKMASTER_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/dockmaster-tools}
RUN=$TOOLS/run
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
mkdir -p "$RUN"

say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND...: runs it as root, by sudo where this is another user.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif have sudo; then sudo -- "$@"
  else die "needs root for: $* (become root, or install sudo)"; fi
}
can_be_root() { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }

# apt_install PACKAGE...: installs what is missing, quietly; says what. The package lists are refreshed only when
# a first try fails. A policy file keeps packages from starting services: the scripts start what they need.
apt_install() {
  local package missing=() policy=/usr/sbin/policy-rc.d made='' log=$RUN/apt.log rc=0
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  have apt-get || die "missing: ${missing[*]}; this script installs by apt only, so install them yourself first"
  say "installing ${missing[*]}"
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod +x "$policy" && made=1
  fi
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300
    -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-unsafe-io install "${missing[@]}")
  as_root "${install[@]}" >"$log" 2>&1 || {
    as_root apt-get -qq -o DPkg::Lock::Timeout=300 update >>"$log" 2>&1 || true
    as_root "${install[@]}" >>"$log" 2>&1 || rc=$?
  }
  [ -z "$made" ] || as_root rm -f "$policy"
  [ $rc = 0 ] || { tail -5 "$log" >&2; die "cannot install ${missing[*]}; the whole log is $log"; }
}

# distribution: debian, ubuntu, ...; codename: bookworm, noble, ...
distribution() { (. /etc/os-release && echo "${ID:-unknown}"); }
codename() { (. /etc/os-release && echo "${VERSION_CODENAME:-unknown}"); }

alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

# stop_pidfile FILE: ends that process and waits for it (10 s, then by force).
stop_pidfile() {
  local pid _
  alive "$1" || { rm -f "$1"; return 0; }
  pid=$(cat "$1")
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep .1; done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$1"
}

# drop_cgroups NAME: removes the (now empty) control groups below the parent /NAME, version 1 and 2 alike.
drop_cgroups() {
  local group _
  for group in /sys/fs/cgroup/"$1" /sys/fs/cgroup/*/"$1"; do
    [ -d "$group" ] || continue
    for _ in $(seq 20); do
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
      sleep .1
    done
  done
}

# engine_answers [ENDPOINT]: whether an engine answers there; unix:// and tcp://, default as the docker client's.
engine_answers() {
  local endpoint=${1:-${DOCKER_HOST:-unix:///var/run/docker.sock}}
  case $endpoint in
    unix://*) curl -fs --max-time 3 --unix-socket "${endpoint#unix://}" http://localhost/_ping >/dev/null 2>&1 ;;
    tcp://*) curl -fs --max-time 3 "http://${endpoint#tcp://}/_ping" >/dev/null 2>&1 ;;
    *) return 1 ;;
  esac
}

# wait_engine ENDPOINT LOG: until the engine there answers, at most 60 s.
wait_engine() {
  local _
  for _ in $(seq 600); do engine_answers "$1" && return 0; sleep .1; done
  tail -5 "$2" >&2
  die "no engine answers on $1 after 60 s; its log is $2"
}

# need_engine machine|default: an engine that this user may talk to; starts one where none runs (see `engine`).
need_engine() {
  have curl || apt_install curl ca-certificates
  engine_answers && return 0
  "$HERE/scripts/engine" up "$1"
  engine_answers || die "an engine runs, but $(id -un) may not use its socket: add yourself to its group
(sudo usermod -aG docker $(id -un); mind that this is as good as root), log in anew, and run this again"
}

# target_folder: where cargo puts what it builds.
target_folder() {
  cargo metadata --no-deps --offline --format-version 1 --manifest-path "$HERE/Cargo.toml" |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}
