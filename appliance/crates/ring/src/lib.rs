//! The io_uring loop: connections, WebSocket and native framing, TLS records.
