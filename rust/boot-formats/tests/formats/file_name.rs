// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of images.

use boot_formats::file_name::{Error, ImageName, Tries, is_valid_name, parse, parse_label};

#[test]
fn names() {
    let tries = |left, done| Some(Tries { left, done });
    for (text, name, version, expected) in [
        ("foo_1.2", "foo", "1.2", None),
        ("initoverlayfs_1.4~rc2+3-0", "initoverlayfs", "1.4~rc2", tries(3, 0)),
        ("foo_1+3", "foo", "1", tries(3, 0)),
        ("foo_1+0-3", "foo", "1", tries(0, 3)),
        ("foo_1+009-001", "foo", "1", tries(9, 1)),
        ("foo_1-2+4294967295-4294967295", "foo", "1-2", tries(u32::MAX, u32::MAX)),
        // The last underscore divides.
        ("foo_bar_1.0", "foo_bar", "1.0", None),
        ("x_1.0_arm64", "x_1.0", "arm64", None),
        ("_foo_1", "_foo", "1", None),
        ("foo-1.x_2^3", "foo-1.x", "2^3", None),
    ] {
        let expected = ImageName { name, version, tries: expected };
        assert_eq!(parse_label(text), Ok(expected), "{text}");
        assert_eq!(parse(&format!("{text}.raw")), Ok(expected), "{text}");
        assert_eq!(parse(&format!("{text}.RAW")), Ok(expected), "{text}");
    }
}

#[test]
fn files_that_are_not_images() {
    for (text, error) in [
        ("", Error::Suffix),
        ("raw", Error::Suffix),
        ("foo_1", Error::Suffix),
        ("foo_1.raw.sig", Error::Suffix),
        ("foo_1ä.ra", Error::Suffix),
        ("foo_1.pcrsig", Error::Suffix),
        (".raw", Error::NoVersion),
        ("foo.raw", Error::NoVersion),
        ("foo_.raw", Error::VersionLength { found: 0 }),
        ("foo_1.raw.raw", Error::NoVersion),
    ] {
        let expected = if text == "foo_1.raw.raw" {
            // A dot is a character of a version: this one is `1.raw`.
            Ok(ImageName { name: "foo", version: "1.raw", tries: None })
        } else {
            Err(error)
        };
        assert_eq!(parse(text), expected, "{text}");
    }
}

#[test]
fn bad_names() {
    let long_name = format!("{}_1", "n".repeat(65));
    let long_version = format!("n_{}", "1".repeat(65));
    for (text, error, line) in [
        ("foo", Error::NoVersion, "image name: no '_' before a version"),
        ("_1", Error::NameLength { found: 0 }, "image name: name of 0 characters, expected 1 to 64"),
        (&long_name, Error::NameLength { found: 65 }, "image name: name of 65 characters, expected 1 to 64"),
        (".foo_1", Error::NameCharacter { offset: 0 }, "image name: at character 0: not allowed in a name"),
        ("f/o_1", Error::NameCharacter { offset: 1 }, "image name: at character 1: not allowed in a name"),
        ("fö_1", Error::NameCharacter { offset: 1 }, "image name: at character 1: not allowed in a name"),
        ("foo_", Error::VersionLength { found: 0 }, "image name: version of 0 characters, expected 1 to 64"),
        ("foo_+3", Error::VersionLength { found: 0 }, "image name: version of 0 characters, expected 1 to 64"),
        (&long_version, Error::VersionLength { found: 65 }, "image name: version of 65 characters, expected 1 to 64"),
        ("foo_1 2", Error::VersionCharacter { offset: 5 }, "image name: at character 5: not allowed in a version"),
        (
            "foo_1\u{fffd}",
            Error::VersionCharacter { offset: 5 },
            "image name: at character 5: not allowed in a version",
        ),
        ("foo_1+", Error::Tries { offset: 5 }, "image name: at character 5: expected +LEFT or +LEFT-DONE"),
        ("foo_1+3-", Error::Tries { offset: 5 }, "image name: at character 5: expected +LEFT or +LEFT-DONE"),
        ("foo_1+-3", Error::Tries { offset: 5 }, "image name: at character 5: expected +LEFT or +LEFT-DONE"),
        ("foo_1++3", Error::Tries { offset: 5 }, "image name: at character 5: expected +LEFT or +LEFT-DONE"),
        ("foo_1+3-+1", Error::Tries { offset: 5 }, "image name: at character 5: expected +LEFT or +LEFT-DONE"),
        ("foo_1+3-1-1", Error::Tries { offset: 5 }, "image name: at character 5: expected +LEFT or +LEFT-DONE"),
        ("foo_1+4294967296", Error::Tries { offset: 5 }, "image name: at character 5: expected +LEFT or +LEFT-DONE"),
        ("foo_1+x", Error::Tries { offset: 5 }, "image name: at character 5: expected +LEFT or +LEFT-DONE"),
    ] {
        assert_eq!(parse_label(text), Err(error), "{text}");
        assert_eq!(error.to_string(), line);
    }
    assert_eq!(Error::Suffix.to_string(), "image name: does not end in .raw");
}

#[test]
fn names_for_a_configuration() {
    for (name, valid) in
        [("initoverlayfs", true), ("a.b_c-D9", true), ("-", true), ("", false), (".hidden", false), ("a b", false)]
    {
        assert_eq!(is_valid_name(name), valid, "{name}");
    }
}
