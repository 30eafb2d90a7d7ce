//! linnet: the command-line tool for owners.

fn main() {}
