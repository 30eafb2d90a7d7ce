//! The emulated Pi: VideoCore stand-in, QEMU harness, power cuts.
