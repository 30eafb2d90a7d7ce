//! The web client's files, embedded by build.rs.

/// Every file, with its packed copy.
pub(crate) static FILES: &[web::StaticFile] = include!(concat!(env!("OUT_DIR"), "/site.rs"));
