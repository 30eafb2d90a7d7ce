//! pid 1: mounts, first boot, network, supervision, LED, watchdog.

fn main() {}
