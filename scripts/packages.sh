#!/bin/sh
# packages.sh run|test|bench - make sure that what packages.txt names for that purpose is installed.
#
# As root: installs what is missing. Else: prints the one command that would, and fails.
# (apt-get update is run only when something is missing.)
set -u
cd "$(dirname "$0")/.." || exit 1
purpose=${1:?usage: packages.sh run|test|bench}
missing=
while read -r package file uses; do
	case $package in ''|'#'*) continue ;; esac
	case " $uses " in *" $purpose "*) ;; *) continue ;; esac
	case $file in
	/*) [ -e "$file" ] && continue ;;
	*) command -v "$file" >/dev/null 2>&1 && continue ;;
	esac
	missing="$missing $package"
done <packages.txt
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
	echo "quire: packages are missing: sudo apt-get install --no-install-recommends$missing" >&2
	exit 125
fi
echo "quire: installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if apt-get -q update >"$log" 2>&1 &&
	apt-get -q install -y --no-install-recommends $missing >>"$log" 2>&1; then
	rm -f "$log"
else
	tail -20 "$log" >&2
	echo "quire: could not install; the command was: apt-get install --no-install-recommends$missing" >&2
	exit 125
fi
