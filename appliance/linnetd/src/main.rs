//! The chat server: arguments, thread map, wiring.

fn main() {}
