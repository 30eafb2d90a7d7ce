//! Integration tests: the server through real sockets.
