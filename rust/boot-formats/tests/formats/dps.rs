// SPDX-License-Identifier: MIT OR Apache-2.0
//! Partition types.

use crate::golden;
use boot_formats::Guid;
use boot_formats::dps::{self, Architecture, ImagePart, Role};
use std::collections::HashMap;

#[test]
fn roles_by_the_text_of_the_specification() {
    for (guid, role, name) in [
        ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", Role::Esp, "esp"),
        ("bc13c2ff-59e6-4262-a352-b275fd6f7172", Role::Xbootldr, "xbootldr"),
        ("b921b045-1df0-41c3-af44-4c6f280d3fae", Role::Root, "root"),
        ("df3300ce-d69f-4c92-978c-9bfb0f38d820", Role::RootVerity, "root-verity"),
        ("6db69de6-29f4-4758-a7a5-962190f00ce3", Role::RootVeritySig, "root-verity-sig"),
        ("b0e01050-ee5f-4390-949a-9101b17104e9", Role::Usr, "usr"),
        ("6e11a4e7-fbca-4ded-b9e9-e1a512bb664e", Role::UsrVerity, "usr-verity"),
        ("c23ce4ff-44bd-4b00-b2d4-b41b3419e02a", Role::UsrVeritySig, "usr-verity-sig"),
        ("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", Role::Swap, "swap"),
        ("933ac7e1-2eb4-4f13-b844-0e14e2aef915", Role::Home, "home"),
        ("3b8f8425-20e0-4f3b-907f-1a25a76f98e8", Role::Srv, "srv"),
        ("4d21b016-b534-45c2-a9fb-5c16e091fd2d", Role::Var, "var"),
        ("7ec6f557-3bc5-4aca-b293-16ef5df639d1", Role::Tmp, "tmp"),
        ("773f91ef-66d4-49b5-bd83-d683bf40ad16", Role::UserHome, "user-home"),
        ("0fc63daf-8483-4772-8e79-3d69d8477de4", Role::LinuxGeneric, "linux-generic"),
        ("5a2f0ab4-7d3c-4b0e-9c61-1f0e6d4a8b27", Role::InitoverlayfsDdi, "initoverlayfs-ddi"),
        (
            "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
            Role::Foreign(Architecture::X86_64, ImagePart::Root),
            "root for x86-64",
        ),
        (
            "d13c5d3b-b5d1-422a-b29f-9454fdc89d76",
            Role::Foreign(Architecture::X86, ImagePart::RootVerity),
            "root-verity for x86",
        ),
        (
            "b6ed5582-440b-4209-b8da-5ff7c419ea3d",
            Role::Foreign(Architecture::Riscv64, ImagePart::RootVerity),
            "root-verity for riscv64",
        ),
        (
            "42b0455f-eb11-491d-98d3-56145ba9d037",
            Role::Foreign(Architecture::Arm, ImagePart::RootVeritySig),
            "root-verity-sig for arm",
        ),
        ("773b2abc-2a99-4398-8bf5-03baac40d02b", Role::Foreign(Architecture::Mips, ImagePart::Usr), "usr for mips"),
        (
            "2fb4bf56-07fa-42da-8132-6b139f2026ae",
            Role::Foreign(Architecture::Tilegx, ImagePart::UsrVerity),
            "usr-verity for tilegx",
        ),
        ("00000000-0000-0000-0000-000000000000", Role::Unknown, "unknown"),
        ("b921b045-1df0-41c3-af44-4c6f280d3faf", Role::Unknown, "unknown"),
    ] {
        let found = Role::of(Guid::parse(guid).unwrap());
        assert_eq!(found, role, "{guid}");
        assert_eq!(found.to_string(), name);
    }
}

/// The name systemd has for a role: `PART-ARCHITECTURE[-verity[-sig]]` for partitions of images.
fn systemd_name(role: Role) -> String {
    let (architecture, part) = match role {
        Role::Foreign(architecture, part) => (architecture.to_string(), part.to_string()),
        Role::Root | Role::RootVerity | Role::RootVeritySig | Role::Usr | Role::UsrVerity | Role::UsrVeritySig => {
            ("arm64".to_owned(), role.to_string())
        }
        role => return role.to_string(),
    };
    let (tree, rest) = part.split_at(part.find('-').unwrap_or(part.len()));
    format!("{tree}-{architecture}{rest}")
}

#[test]
fn every_type_that_systemd_knows_has_its_role() {
    let mut names: HashMap<&str, Vec<&str>> = HashMap::new();
    let types = golden::text("partition-types");
    for (name, guid) in types.lines().map(|line| line.split_once(' ').unwrap()) {
        names.entry(guid).or_default().push(name);
    }
    for (guid, names) in &names {
        let name = systemd_name(Role::of(Guid::parse(guid).unwrap()));
        // One type can have several names, such as arm and armv7l.
        assert!(names.contains(&&*name), "{guid} is {names:?}, found {name}");
    }
    assert_eq!(names.len(), 21 * 6 + 9, "21 architectures, and what has none");
}

#[test]
fn our_own_type_is_a_random_uuid() {
    let bytes = dps::INITOVERLAYFS_DDI.to_uuid_bytes();
    assert_eq!((bytes[6] >> 4, bytes[8] >> 6), (4, 2), "version and variant of RFC 9562");
}
