//! `linnet backup FILE`: everything on the box, checked against the box's checksum twice: as it
//! came in, and as it lies on the disk. The file appears under its name only when both fit.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use indicatif::{ProgressBar, ProgressStyle};
use linnet::client::{ClientError, Http};
use linnet::profile::Profile;
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use update::hex;

use super::print;

/// A slow card reads a chunk within a second.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Bytes read at once when the file is checked.
const CHUNK_BYTES: usize = 256 * 1024;

#[derive(Args)]
pub(crate) struct Backup {
    /// Where to write it.
    file: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    force: bool,
}

impl Backup {
    pub(crate) async fn run(self, profile: &Profile) -> Result<()> {
        if !self.force && self.file.try_exists()? {
            bail!("{} is there already; pass --force to replace it", self.file.display());
        }
        let part = part_of(&self.file);
        let result = save(profile, &part, &self.file).await;
        if result.is_err() {
            // What came in is worth nothing; a failure to remove it changes nothing either.
            let _ = fs::remove_file(&part);
        }
        let bytes = result?;
        print::line(&format!("{bytes} bytes in {}, checksum right", self.file.display()))
    }
}

fn part_of(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    file.with_file_name(name)
}

async fn save(profile: &Profile, part: &Path, file: &Path) -> Result<u64> {
    let mut http = Http::connect(&profile.host, &profile.trust()?).await?;
    let response = http.stream("/api/backup", Some(&profile.token)).await?;
    let (expected, bytes) = receive(response, part).await?;
    if hash_of_file(part)? != expected {
        bail!("{} does not read back as it was written; is the disk well?", part.display());
    }
    fs::rename(part, file).with_context(|| file.display().to_string())?;
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(bytes)
}

/// Writes the stream to `part`; its hash, equal to the one that the box names at the end, and
/// length.
async fn receive(response: Response<Incoming>, part: &Path) -> Result<([u8; 32], u64)> {
    let total = response.headers().get("x-linnet-bytes");
    let bar = progress(total.and_then(|total| total.to_str().ok()?.parse().ok()))?;
    // Everybody's messages and password hashes: not for other users of this computer.
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = options.open(part).with_context(|| part.display().to_string())?;
    let (mut hash, mut bytes, mut named) = (Sha256::new(), 0_u64, None);
    let mut body = response.into_body();
    while let Some(frame) = timeout(SILENCE_MAX, body.frame()).await.map_err(|_| silent())? {
        let frame = frame.map_err(ClientError::from)?;
        if let Some(trailers) = frame.trailers_ref() {
            named = trailers.get("x-linnet-sha256").cloned();
        }
        let chunk: Bytes = frame.into_data().unwrap_or_default();
        file.write_all(&chunk).with_context(|| part.display().to_string())?;
        hash.update(&chunk);
        bytes += u64::try_from(chunk.len())?;
        bar.set_position(bytes);
    }
    file.sync_all()?;
    bar.finish_and_clear();
    let hash: [u8; 32] = hash.finalize().into();
    let named = named.and_then(|it| hex::decode(it.to_str().ok()?));
    match named {
        Some(named) if named == hash => Ok((hash, bytes)),
        Some(_) => bail!("the backup arrived damaged; try again"),
        None => bail!("the backup ended before its end; try again"),
    }
}

fn silent() -> ClientError {
    ClientError::Broken("the box stopped sending; try again".to_owned())
}

fn progress(total: Option<u64>) -> Result<ProgressBar> {
    Ok(match total {
        Some(total) => ProgressBar::new(total).with_style(ProgressStyle::with_template(
            "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        )?),
        None => ProgressBar::new_spinner()
            .with_style(ProgressStyle::with_template("{spinner} {bytes} {bytes_per_sec}")?),
    })
}

fn hash_of_file(path: &Path) -> Result<[u8; 32]> {
    let (mut file, mut hash) = (File::open(path)?, Sha256::new());
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hash.finalize().into()),
            count => hash.update(&chunk[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unfinished_file_lies_beside_the_finished_one() {
        assert_eq!(part_of(Path::new("a/b.linnet")), Path::new("a/b.linnet.part"));
        assert_eq!(part_of(Path::new("b")), Path::new("b.part"));
    }

    #[test]
    fn a_file_is_hashed_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let bytes = vec![7; CHUNK_BYTES + 1];
        fs::write(&path, &bytes).unwrap();
        let expected: [u8; 32] = Sha256::digest(&bytes).into();
        assert_eq!(hash_of_file(&path).unwrap(), expected);
    }
}
