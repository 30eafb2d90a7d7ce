//! Developer verbs: test, sim, emulate, screenshots.

fn main() {}
