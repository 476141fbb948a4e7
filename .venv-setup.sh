#!/usr/bin/env bash
# Make or repair the Python environment that the scripts run in. `--help` prints the text below.
# Written for bash 3.2 and the tools of both Linux and macOS. An environment is complete when its stamp is there:
# the stamp is written last and says what it was made from, so a broken-off or outdated set-up is done again.
set -u
unset CDPATH

usage() {
  cat <<'E'
usage: bash .venv-setup.sh [--shared]                    set up, print the interpreter's path
       bash .venv-setup.sh [--shared] demo [ARGUMENT...]  set up, then report on the runs in examples/
       bash .venv-setup.sh [--shared] test [ARGUMENT...]  set up with the test tools, then run pytest

Needs Python 3.11 or newer; uses uv when it is there, else venv and pip with your pip settings. Run it again at any
time: it does nothing when nothing changed. Only the result is written to stdout.

The environment is `.venv` in a checkout. In a client's plugin or skill folder, which updates replace, and with
--shared (for skill folders copied elsewhere without the repository) it is
${XDG_DATA_HOME:-~/.local/share}/wandb-toolkit/venv.

WANDB_TOOLKIT_VENV         folder of the environment, instead of the above
PYTHON                     Python to try first
WANDB_TOOLKIT_SETUP_WAIT   seconds to wait for another set-up of the same environment (900)
E
}

say() { printf 'wandb-toolkit: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P) || exit 1
if [ -z "${HOME:-}" ]; then
  unset HOME
  HOME=~ # bash then asks the user database
  export HOME
fi

SHARED='' EXTRA='' COMMAND=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --shared) SHARED=1; shift ;;
    demo) COMMAND=demo; shift; break ;;
    test) COMMAND=test EXTRA=test; shift; break ;;
    *) say "unknown argument: $1 (see bash .venv-setup.sh --help)"; exit 2 ;;
  esac
done

# ---- where ---------------------------------------------------------------------------------------------------------
client_folder() { # .claude/plugins, .codex/plugins/cache, .agents/skills, .gemini/extensions, .config/opencode/skills ...
  case $ROOT/ in
    */.*/plugins/* | */.*/plugin/* | */.*/skills/* | */.*/skill/* | */.*/extensions/* | */plugins/cache/*) return 0 ;;
  esac
  return 1
}

if [ -n "${WANDB_TOOLKIT_VENV:-}" ]; then
  VENV=$WANDB_TOOLKIT_VENV
  case $VENV in /*) ;; *) VENV=$PWD/$VENV ;; esac
elif [ -n "$SHARED" ] || client_folder; then
  case ${XDG_DATA_HOME:-} in
    /*) VENV=$XDG_DATA_HOME/wandb-toolkit/venv ;;
    *) VENV=$HOME/.local/share/wandb-toolkit/venv ;;
  esac
else
  VENV=$ROOT/.venv
fi
while [ "${VENV%/}" != "$VENV" ]; do VENV=${VENV%/}; done
PY=$VENV/bin/python
STAMP=$VENV/wandb-toolkit.stamp # scripts/_bootstrap.py looks for it
MARK=$VENV/wandb-toolkit.made   # only a folder that holds it is ever deleted
LOCK=$VENV.lock                 # also holds the log and the list of requirements
LOG=$LOCK/log

# ---- is it complete ------------------------------------------------------------------------------------------------
venv_version() { "$PY" -I -S -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

base() { # what the environment is made from; outside the checkout it also holds the core, for lone skill folders
  local core=-
  if [ "$VENV" != "$ROOT/.venv" ]; then
    core=$(cd "$ROOT/scripts/wandb_toolkit" && find . -type f ! -name '*.pyc' -exec cksum {} + | LC_ALL=C sort | cksum)
  fi
  echo "python $(venv_version) pyproject" $(cksum < "$ROOT/pyproject.toml") core $core
}

base_complete() { [ -f "$STAMP" ] && [ "$(sed -n 1p "$STAMP")" = "$(base)" ]; }
extra_complete() { [ -z "$EXTRA" ] || [ "$(sed -n 2p "$STAMP")" = "extra $EXTRA" ]; }
complete() { base_complete && extra_complete; }

# ---- one set-up at a time ------------------------------------------------------------------------------------------
HELD='' FRESH=''
finish() { # also after Ctrl-C and errors
  if [ -n "$FRESH" ] && [ ! -f "$STAMP" ]; then rm -rf "$VENV"; fi
  if [ -n "$HELD" ]; then rm -rf "$LOCK"; fi
  HELD='' FRESH=''
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

cannot_write() { die "cannot write to $1; set WANDB_TOOLKIT_VENV to a folder for the environment that can be written"; }

alive() { kill -0 "$1" 2>/dev/null || [ -d "/proc/$1" ] || ps -p "$1" >/dev/null 2>&1; }

abandoned() { # abandoned SECONDS: the lock's owner is gone, or never wrote its name
  local pid='' host=''
  if [ -f "$LOCK/owner" ]; then read -r pid host < "$LOCK/owner"; fi 2>/dev/null
  if [ -z "$pid" ]; then [ "$1" -ge 5 ]; else [ "$host" = "$(uname -n)" ] && ! alive "$pid"; fi
}

take_lock() {
  local waited=0 tries=0 limit=${WANDB_TOOLKIT_SETUP_WAIT:-900}
  mkdir -p "$(dirname "$VENV")" 2>/dev/null || cannot_write "$(dirname "$VENV")"
  until mkdir "$LOCK" 2>/dev/null; do
    if [ ! -d "$LOCK" ]; then # just released, or never to be made
      tries=$((tries + 1))
      [ $tries -lt 5 ] || cannot_write "$(dirname "$VENV")"
      continue
    fi
    if abandoned $waited; then # a second lock, so that of two waiters only one clears it
      if mkdir "$LOCK.break" 2>/dev/null; then
        if abandoned $waited; then rm -rf "$LOCK"; fi
        rmdir "$LOCK.break"
        continue
      fi
    fi
    [ $waited -lt "$limit" ] || die "gave up waiting for another set-up; if none is running: rm -r '$LOCK' '$LOCK.break'"
    [ $waited -gt 0 ] || say "another set-up of $VENV is running; waiting for it"
    sleep 1
    waited=$((waited + 1))
  done
  HELD=1
  echo "$$ $(uname -n)" > "$LOCK/owner"
}

# ---- making it -----------------------------------------------------------------------------------------------------
find_python() { # find_python any|venv: sets PYTHON_FOUND, or WHY_NOT; with `venv` it must be able to make one
  local name answer version path
  PYTHON_FOUND='' WHY_NOT=''
  for name in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python; do
    answer=$("$name" -c '
import sys
v = sys.version_info
print("%d.%d.%d %s %s" % (v[0], v[1], v[2], v >= (3, 11), sys.executable))' 2>/dev/null) || continue
    version=${answer%% *} path=${answer#* * }
    case $answer in
      *' True '*)
        if [ "$1" = any ] || "$path" -c 'import venv, ensurepip' 2>/dev/null; then PYTHON_FOUND=$path; return 0; fi
        WHY_NOT="Python $version ($path) cannot make environments; install its venv module (Debian, Ubuntu:"
        WHY_NOT="$WHY_NOT apt install python3-venv), or install uv" ;;
      *' False '*)
        [ -n "$WHY_NOT" ] || WHY_NOT="needs Python 3.11 or newer, found $version ($path); $CURE" ;;
    esac
  done
  [ -n "$WHY_NOT" ] || WHY_NOT="needs Python 3.11 or newer, found none; $CURE"
  return 1
}
CURE="install a newer one, or uv, or name one: PYTHON=/path/to/python3 bash .venv-setup.sh"

new_folder() { # an empty folder with our mark, in place of what an earlier set-up left
  if [ -f "$MARK" ]; then rm -rf "$VENV"; else rmdir "$VENV" 2>/dev/null; fi
  if [ -e "$VENV" ] || [ -L "$VENV" ]; then
    die "$VENV exists and is no environment with Python 3.11 or newer; remove it, or set WANDB_TOOLKIT_VENV to another folder"
  fi
  FRESH=1
  { mkdir "$VENV" && : > "$MARK"; } 2>/dev/null || cannot_write "$(dirname "$VENV")"
}

usable() { # the environment's Python starts and is new enough
  case $(venv_version) in 3.1[1-9] | 3.[2-9][0-9] | [4-9].*) return 0 ;; esac
  return 1
}

requirements() { # pyproject.toml's list, the only one there is, with the extra `parquet`: servers are read faster
  "$PY" -I -c '
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]
lines = project["dependencies"] + project.get("optional-dependencies", {}).get("parquet", [])
for extra in sys.argv[2:]:
    lines += project["optional-dependencies"][extra]
print("\n".join(lines))' "$ROOT/pyproject.toml" ${EXTRA:+"$EXTRA"} > "$LOCK/requirements.txt" 2>> "$LOG"
}

with_uv() {
  if ! usable; then
    find_python any
    new_folder
    (cd "$ROOT" && uv venv --quiet --allow-existing --python "${PYTHON_FOUND:->=3.11}" "$VENV") >> "$LOG" 2>&1 || return 1
  fi
  requirements && (cd "$ROOT" && uv pip install --quiet --python "$PY" -r "$LOCK/requirements.txt") >> "$LOG" 2>&1
}

with_pip() {
  if ! usable; then
    if ! find_python venv; then # when uv is there it has failed, and its words are in the log
      ! command -v uv >/dev/null 2>&1 || failed
      die "$WHY_NOT"
    fi
    new_folder
    "$PYTHON_FOUND" -I -m venv "$VENV" >> "$LOG" 2>&1 || return 1
  fi
  # An environment made by uv holds no pip. -P: no module of the current folder gets in between.
  "$PY" -I -c 'import pip' 2>/dev/null || "$PY" -I -m ensurepip >> "$LOG" 2>&1 || return 1
  requirements && "$PY" -P -m pip install --quiet --no-input --no-user --disable-pip-version-check --progress-bar off \
    -r "$LOCK/requirements.txt" >> "$LOG" 2>&1
}

copy_core() { # a finished copy takes the old one's place
  "$PY" -I -c '
import pathlib, shutil, sys, sysconfig
target = pathlib.Path(sysconfig.get_path("purelib"), "wandb_toolkit")
new, old = target.with_name("wandb_toolkit.new"), target.with_name("wandb_toolkit.old")
for folder in (new, old):
    shutil.rmtree(folder, ignore_errors=True)
shutil.copytree(sys.argv[1], new, ignore=shutil.ignore_patterns("__pycache__"))
if target.exists():
    target.rename(old)
new.rename(target)
shutil.rmtree(old, ignore_errors=True)' "$ROOT/scripts/wandb_toolkit" >> "$LOG" 2>&1
}

failed() {
  local reason="see the lines above"
  if grep -qiE 'establish a new connection|name resolution|resolve host|nodename nor servname|dns error|network is unreachable|timed out|error sending request|no matching distribution' "$LOG"; then
    reason="no network, or an index without these packages? Inside a sandbox, run this command outside of it, once"
  fi
  tail -n 12 "$LOG" >&2
  die "could not install the packages into $VENV ($reason)"
}

set_up() {
  complete && return
  take_lock
  complete && { finish; return; } # another set-up did it meanwhile
  base_complete || rm -f "$STAMP"
  say "setting up $VENV (about a minute the first time)"
  : > "$LOG"
  if ! command -v uv >/dev/null 2>&1 || { ! with_uv && say "uv failed ($(tail -n 1 "$LOG")); trying pip"; }; then
    with_pip || failed
  fi
  [ "$VENV" = "$ROOT/.venv" ] || copy_core || failed
  { base && echo "extra ${EXTRA:--}"; } > "$STAMP.new" && mv -f "$STAMP.new" "$STAMP" || cannot_write "$VENV"
  finish
}

set_up
case $COMMAND in
  demo) exec "$PY" "$ROOT/scripts/demo.py" ${1+"$@"} ;;
  test) # without arguments the whole suite, on all cores
    [ $# -gt 0 ] || set -- -n auto
    cd "$ROOT" && exec "$PY" -m pytest "$@" ;;
  *) printf '%s\n' "$PY" ;;
esac
