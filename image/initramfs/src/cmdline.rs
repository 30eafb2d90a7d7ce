//! The three words of the kernel command line that concern the first program.

/// What the kernel would take from its command line if it mounted the root itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Boot {
    pub(crate) root: Root,
    pub(crate) filesystem: String,
    pub(crate) init: String,
}

/// `root=PARTUUID=<MBR disk id>-<partition number>`, both hexadecimal as the kernel prints them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Root {
    pub(crate) disk_id: u32,
    pub(crate) partition: u32,
}

pub(crate) fn parse(line: &str) -> Result<Boot, String> {
    let root = value(line, "root=").ok_or("the command line has no root=")?;
    Ok(Boot {
        root: parse_root(root)?,
        filesystem: value(line, "rootfstype=").unwrap_or("squashfs").to_owned(),
        init: value(line, "init=").unwrap_or("/sbin/linnet-init").to_owned(),
    })
}

/// The last word wins, as in the kernel.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split_ascii_whitespace().rev().find_map(|word| word.strip_prefix(key))
}

fn parse_root(text: &str) -> Result<Root, String> {
    let wrong = || format!("root={text}: expected PARTUUID=<8 hex digits>-<2 hex digits>");
    let (disk, partition) =
        text.strip_prefix("PARTUUID=").and_then(|id| id.split_once('-')).ok_or_else(wrong)?;
    Ok(Root {
        disk_id: u32::from_str_radix(disk, 16).map_err(|_| wrong())?,
        partition: u32::from_str_radix(partition, 16).map_err(|_| wrong())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_named_by_disk_id_and_hexadecimal_partition() {
        let boot = parse("quiet root=PARTUUID=4c4e4e54-05 rootfstype=erofs\n").unwrap();
        assert_eq!(boot.root, Root { disk_id: 0x4c4e_4e54, partition: 5 });
        assert_eq!(boot.filesystem, "erofs");
        assert_eq!(boot.init, "/sbin/linnet-init");
    }

    #[test]
    fn last_word_wins() {
        let boot = parse("init=/a root=PARTUUID=1-1 root=PARTUUID=1-6 init=/b").unwrap();
        assert_eq!((boot.root.partition, boot.init.as_str()), (6, "/b"));
    }

    #[test]
    fn other_root_forms_are_refused_with_the_expected_one() {
        for line in ["root=/dev/vda5", "root=PARTUUID=xyz-05", "quiet"] {
            assert!(parse(line).unwrap_err().contains("root="), "{line}");
        }
    }
}
