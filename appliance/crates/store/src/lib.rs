//! The redb index: state changes, checkpoints, message index.
