// SPDX-License-Identifier: MIT OR Apache-2.0
//! os-release: only the lines of the four keys matter, and what was read, written again, is read as the same.
#![no_main]

use boot_formats::os_release::{self, MAX_FILE, OsRelease};
use libfuzzer_sys::fuzz_target;

const KEYS: [&str; 4] = ["IMAGE_ID=", "IMAGE_VERSION=", "INITOVERLAYFS_EPOCH=", "PORTABLE_PREFIXES="];

fuzz_target!(|data: &[u8]| {
    let Ok(found) = os_release::parse(data) else { return };
    let text = core::str::from_utf8(data).expect("a file that was parsed");
    let ours: Vec<&str> =
        text.split('\n').filter(|line| KEYS.iter().any(|key| line.trim_start().starts_with(key))).collect();
    assert_eq!(os_release::parse(ours.join("\n").as_bytes()), Ok(found.clone()));
    if data.len() + 32 < MAX_FILE {
        let among_others = format!("NAME=\"it's a name\"\n{text}\n# it's a comment\n");
        assert_eq!(os_release::parse(among_others.as_bytes()), Ok(found.clone()));
    }
    for value in found.image_id.iter().map(|id| id.as_str()).chain(found.image_version.as_deref()) {
        assert!(!value.contains(char::is_control));
    }
    assert_eq!(os_release::parse(written(&found).as_bytes()), Ok(found));
});

fn written(of: &OsRelease) -> String {
    let quoted = |value: &str| {
        let escaped: String =
            value.chars().flat_map(|c| "$\"\\`".contains(c).then_some('\\').into_iter().chain([c])).collect();
        format!("\"{escaped}\"")
    };
    let mut text = String::new();
    if let Some(id) = &of.image_id {
        text += &format!("IMAGE_ID={}\n", quoted(id));
    }
    if let Some(version) = &of.image_version {
        text += &format!("IMAGE_VERSION={}\n", quoted(version));
    }
    if let Some(epoch) = of.epoch {
        text += &format!("INITOVERLAYFS_EPOCH={epoch}\n");
    }
    if of.portable {
        text += "PORTABLE_PREFIXES=x\n";
    }
    text
}
