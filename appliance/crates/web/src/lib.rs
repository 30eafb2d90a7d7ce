//! axum: claim, login, web client, REST, WebSocket hand-over, certificates.
