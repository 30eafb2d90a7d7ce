#!/bin/sh
# Buildroot calls this when the target folder is complete.
exec "$LINNET_IMAGE" post-build "$1"
