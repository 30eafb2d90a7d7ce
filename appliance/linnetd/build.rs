//! Embeds the built web client. A release without it is refused; a debug build serves a plain page
//! that says how to build it. `LINNET_CLIENT_DIST` names another folder than `../client/dist`.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Files in the client's folder, far above what Vite writes: catches a wrong folder.
const FILES_MAX: usize = 500;

const MISSING_PAGE: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Linnet</title>\
<p>linnetd is running, but this debug build has no web client in it. Build it with \
<code>npm run build</code> in appliance/client, then build linnetd again.</p></html>";

/// One file to embed.
struct Source {
    web_path: String,
    path: PathBuf,
}

fn main() -> ExitCode {
    println!("cargo::rerun-if-env-changed=LINNET_CLIENT_DIST");
    let folder = client_folder();
    println!("cargo::rerun-if-changed={}", folder.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let files = if folder.join("index.html").is_file() {
        collect(&folder)
    } else if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!(
            "cargo::error=the web client is not built: {} has no index.html. Run `npm ci` and \
             `npm run build` in appliance/client, or set LINNET_CLIENT_DIST to a folder with the \
             built client.",
            folder.display()
        );
        return ExitCode::FAILURE;
    } else {
        let path = out.join("missing.html");
        fs::write(&path, MISSING_PAGE).expect("OUT_DIR is writable");
        vec![Source { web_path: "/index.html".into(), path }]
    };
    let text = table(&files, &out);
    fs::write(out.join("site.rs"), text).expect("OUT_DIR is writable");
    ExitCode::SUCCESS
}

fn client_folder() -> PathBuf {
    let own = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    env::var_os("LINNET_CLIENT_DIST")
        .map_or_else(|| Path::new(&own).join("../client/dist"), PathBuf::from)
}

/// Every file below the folder, in a stable order.
fn collect(folder: &Path) -> Vec<Source> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        println!("cargo::rerun-if-changed={}", next.display());
        for entry in fs::read_dir(&next).expect("the client's folder can be read") {
            let path = entry.expect("the client's folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                println!("cargo::rerun-if-changed={}", path.display());
                files.push(Source { web_path: web_path(folder, &path), path });
            }
        }
        assert!(files.len() <= FILES_MAX, "{} holds too many files", folder.display());
    }
    files.sort_by(|one, other| one.web_path.cmp(&other.web_path));
    files
}

fn web_path(folder: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(folder).expect("it was found there");
    format!("/{}", inside.to_str().expect("the client's file names are ASCII"))
}

/// The static table of files; copies, plain and packed, land in OUT_DIR.
fn table(files: &[Source], out: &Path) -> String {
    let mut text = String::from("&[\n");
    for (number, file) in files.iter().enumerate() {
        let bytes = fs::read(&file.path).expect("it was just listed");
        // A copy, because the client may be built anew while the compiler runs.
        let path = out.join(format!("{number}.file"));
        fs::write(&path, &bytes).expect("OUT_DIR is writable");
        let etag = blake3::hash(&bytes).to_hex();
        let gzip = packed(&bytes).map(|packed| {
            let path = out.join(format!("{number}.gz"));
            fs::write(&path, packed).expect("OUT_DIR is writable");
            path
        });
        let gzip = gzip.map_or("None".into(), |path| format!("Some(include_bytes!({path:?}))"));
        writeln!(
            text,
            "web::StaticFile {{ path: {:?}, mime: {:?}, bytes: include_bytes!({path:?}), \
             gzip: {gzip}, etag: {:?}, immutable: {} }},",
            file.web_path,
            mime(&file.web_path),
            &etag[..32],
            file.web_path.starts_with("/assets/"),
        )
        .expect("a String never fails");
    }
    text.push_str("]\n");
    text
}

/// The bytes in gzip when that is smaller.
fn packed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("a Vec never fails");
    let packed = encoder.finish().expect("a Vec never fails");
    (packed.len() < bytes.len()).then_some(packed)
}

fn mime(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json; charset=utf-8",
        "webmanifest" => "application/manifest+json; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
