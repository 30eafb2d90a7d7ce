#!/bin/sh
# Debian's cross compiler as Buildroot wants a toolchain: with a folder of its own for headers and
# libraries, and without the build option that would tell it apart as a distribution's.
here="$(dirname "$(readlink -f "$0")")"
if [ "$*" = "-v" ]; then
    "$here/.@TOOL@-real" -v 2>&1 | sed 's# --with-sysroot=/ # #' >&2
    exit 0
fi
case " $* " in
*" --sysroot"*) exec "$here/.@TOOL@-real" "$@" ;;
*) exec "$here/.@TOOL@-real" --sysroot="$here/../sysroot" "$@" ;;
esac
