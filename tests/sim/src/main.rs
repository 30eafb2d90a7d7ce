//! The seeded simulator.

fn main() {}
