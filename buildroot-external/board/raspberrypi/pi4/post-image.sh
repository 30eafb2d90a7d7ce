#!/bin/sh
# Buildroot calls this when the kernel and the boot files are in place.
exec "$LINNET_IMAGE" post-image "$1"
