//! What must hold for the root of every card, looked up in the staged folder itself: no shell, no
//! setuid file, nothing that anybody may write, nothing that the manifest does not list, and every
//! library that a program asks for.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::read::elf::{Dyn, ElfFile64, FileHeader, ProgramHeader};
use object::{Endianness, elf};

/// Names under which a shell or a box of tools would be found.
const SHELLS: &[&str] =
    &["sh", "ash", "bash", "dash", "busybox", "toybox", "getty", "login", "su", "sudo", "sshd"];

/// Where the dynamic loader of a merged root looks.
const LIBRARY_FOLDERS: &[&str] = &["usr/lib", "usr/lib/aarch64-linux-gnu"];

/// Set-user-id, set-group-id, and writable for everybody.
const SPECIAL_BITS: u32 = 0o6000;
const WRITABLE_BITS: u32 = 0o022;

/// Checks a staged root; the error names every offence. Only an image for development may have a
/// shell.
pub fn check(root: &Path, allowed: &BTreeSet<String>, dev: bool) -> Result<()> {
    let mut files = Vec::new();
    collect(root, "", &mut files)?;
    let mut offences = Vec::new();
    for file in &files {
        let name = file.rsplit('/').next().unwrap_or(file);
        if !dev && SHELLS.contains(&name) {
            offences.push(format!("{file} is a shell or a way to one"));
        }
        offences.extend(offence(root, file, allowed)?);
    }
    if offences.is_empty() {
        return Ok(());
    }
    bail!("the root breaks its rules:\n  {}", offences.join("\n  "))
}

/// Every file and link below `folder`, as paths of the root.
pub fn collect(root: &Path, folder: &str, files: &mut Vec<String>) -> Result<()> {
    let place = root.join(folder);
    let entries = fs::read_dir(&place).with_context(|| place.display().to_string())?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        match entry.file_type()?.is_dir() {
            true => collect(root, &path, files)?,
            false => files.push(path),
        }
    }
    files.sort();
    Ok(())
}

fn offence(root: &Path, file: &str, allowed: &BTreeSet<String>) -> Result<Option<String>> {
    let path = root.join(file);
    let facts = path.symlink_metadata()?;
    let bits = facts.permissions().mode();
    Ok(if !allowed.contains(file) {
        Some(format!("{file} is not listed in image.toml or the overlay"))
    } else if facts.is_symlink() {
        None
    } else if bits & SPECIAL_BITS != 0 {
        Some(format!("{file} runs with other rights than its caller's"))
    } else if bits & WRITABLE_BITS != 0 {
        Some(format!("{file} can be written by others than root"))
    } else {
        missing_library(root, &path)?.map(|library| format!("{file} asks for {library}"))
    })
}

/// A library that a program or library names and that the root lacks.
fn missing_library(root: &Path, path: &Path) -> Result<Option<String>> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let Ok(needed) = needed(&bytes) else { return Ok(None) };
    let lacks = |library: &String| {
        !LIBRARY_FOLDERS.iter().any(|folder| root.join(folder).join(library).exists())
    };
    Ok(needed.into_iter().find(lacks))
}

/// `DT_NEEDED` of an ELF file; an error for anything else.
fn needed(bytes: &[u8]) -> object::Result<Vec<String>> {
    let file = ElfFile64::<Endianness>::parse(bytes)?;
    let (endian, header) = (file.endian(), file.elf_header());
    let mut strings = None;
    let mut names = Vec::new();
    for segment in header.program_headers(endian, bytes)? {
        let Some(entries) = segment.dynamic(endian, bytes)? else { continue };
        for entry in entries {
            match u32::try_from(entry.d_tag(endian)) {
                Ok(elf::DT_NEEDED) => names.push(entry.d_val(endian)),
                Ok(elf::DT_STRTAB) => strings = Some(entry.d_val(endian)),
                _ => {}
            }
        }
    }
    let Some(strings) = strings else { return Ok(Vec::new()) };
    let text = |offset| text_at(&file, bytes, strings + offset);
    Ok(names.into_iter().filter_map(text).collect())
}

/// The string at an address of the loaded program.
fn text_at(file: &ElfFile64<'_, Endianness>, bytes: &[u8], address: u64) -> Option<String> {
    let (endian, header) = (file.endian(), file.elf_header());
    let segments = header.program_headers(endian, bytes).ok()?;
    let holder = segments.iter().find_map(|segment| {
        let start = segment.p_vaddr(endian);
        let inside = address >= start && address < start + segment.p_filesz(endian);
        inside.then(|| segment.p_offset(endian) + (address - start))
    })?;
    let rest = bytes.get(usize::try_from(holder).ok()?..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, u32)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (file, mode) in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
        }
        folder
    }

    fn allowed(files: &[&str]) -> BTreeSet<String> {
        files.iter().map(|file| (*file).to_owned()).collect()
    }

    #[test]
    fn a_root_by_the_rules_passes() {
        let root = root(&[("etc/hosts", 0o644), ("usr/bin/linnetd", 0o755)]);
        check(root.path(), &allowed(&["etc/hosts", "usr/bin/linnetd"]), false).unwrap();
    }

    #[test]
    fn every_kind_of_offence_is_named() {
        for (file, mode, word) in [
            ("usr/bin/sh", 0o755, "shell"),
            ("usr/bin/tool", 0o4755, "other rights"),
            ("usr/bin/tool", 0o2755, "other rights"),
            ("etc/open", 0o666, "written by others"),
            ("etc/group", 0o664, "written by others"),
        ] {
            let root = root(&[(file, mode)]);
            let error = check(root.path(), &allowed(&[file]), false).unwrap_err().to_string();
            assert!(error.contains(word), "{file}: {error}");
        }
        let root = root(&[("etc/surprise", 0o644)]);
        let error = check(root.path(), &allowed(&[]), false).unwrap_err().to_string();
        assert!(error.contains("etc/surprise is not listed"), "{error}");
    }

    #[test]
    fn a_program_whose_library_is_missing_is_an_offence() {
        let own = std::env::current_exe().unwrap();
        let needed = needed(&fs::read(&own).unwrap()).unwrap();
        assert!(needed.iter().any(|name| name == "libc.so.6"), "{needed:?}");
        let root = root(&[("usr/bin/tool", 0o755)]);
        fs::copy(&own, root.path().join("usr/bin/tool")).unwrap();
        fs::set_permissions(root.path().join("usr/bin/tool"), fs::Permissions::from_mode(0o755))
            .unwrap();
        let error = check(root.path(), &allowed(&["usr/bin/tool"]), false).unwrap_err().to_string();
        assert!(error.contains("asks for"), "{error}");
    }
}
