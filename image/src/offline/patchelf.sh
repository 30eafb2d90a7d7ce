#!/bin/sh
# Debian's patchelf with the one option that Buildroot's own adds to it.
[ "$1" = --make-rpath-relative ] || exec /usr/bin/patchelf "$@"
for file; do :; done # the last word
[ -n "$(/usr/bin/patchelf --print-rpath "$file")" ] || exit 0
case " $* " in
*" --relative-to-file "*) exec /usr/bin/patchelf --set-rpath '$ORIGIN/../lib' "$file" ;;
*) exec /usr/bin/patchelf --remove-rpath "$file" ;;
esac
