//! tokio-uring: history reads and backup streaming.
