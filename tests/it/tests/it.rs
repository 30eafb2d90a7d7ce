//! One binary for every test against a real `linnetd`.

#[path = "cases/chat.rs"]
mod chat;
