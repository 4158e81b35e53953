// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an image says about itself.

use boot_formats::os_release::{Error, Key, MAX_FILE, OsRelease, parse};

const DEBIAN: &str = r#"PRETTY_NAME="Debian GNU/Linux 13 (trixie)"
NAME="Debian GNU/Linux"
VERSION_ID="13"
VERSION="13 (trixie)"
VERSION_CODENAME=trixie
ID=debian
HOME_URL="https://www.debian.org/"
"#;

fn id_of(text: &str) -> Result<Option<String>, Error> {
    parse(text.as_bytes()).map(|release| release.image_id.map(|id| id.to_string()))
}

#[test]
fn a_file_of_debian_says_nothing_of_images() {
    assert_eq!(parse(DEBIAN.as_bytes()), Ok(OsRelease::default()));
    assert_eq!(parse(b""), Ok(OsRelease::default()));
}

#[test]
fn an_image_says_what_it_is() {
    let text = format!("{DEBIAN}IMAGE_ID=initoverlayfs\nIMAGE_VERSION=\"1.4~rc2\"\nINITOVERLAYFS_EPOCH='7'\n");
    let release = parse(text.as_bytes()).unwrap();
    assert_eq!(release.image_id.as_deref(), Some("initoverlayfs"));
    assert_eq!(release.image_version.as_deref(), Some("1.4~rc2"));
    assert_eq!((release.epoch, release.portable), (Some(7), false));
}

#[test]
fn quoting() {
    let quoting = Err(Error::Quoting { line: 1, key: Key::ImageId });
    let is = |text: &str| Ok(Some(text.to_owned()));
    for (line, expected) in [
        ("IMAGE_ID=plain-1.0_x", is("plain-1.0_x")),
        ("IMAGE_ID=", is("")),
        ("IMAGE_ID=\"\"", is("")),
        ("IMAGE_ID=\"two words\"", is("two words")),
        ("IMAGE_ID='two words'", is("two words")),
        ("IMAGE_ID=\"a\\\"b\\$c\\\\d\\`e\"", is("a\"b$c\\d`e")),
        ("IMAGE_ID='a\\b$c`d\"e'", is("a\\b$c`d\"e")),
        ("IMAGE_ID=plain \t", is("plain")),
        ("IMAGE_ID=\"a\" ", is("a")),
        ("  IMAGE_ID=indented", is("indented")),
        ("# IMAGE_ID=comment", Ok(None)),
        ("XIMAGE_ID=other", Ok(None)),
        ("IMAGE_ID", Ok(None)),
        ("IMAGE_ID =spaced", Ok(None)),
        ("export IMAGE_ID=x", Ok(None)),
        ("IMAGE_ID=two words", quoting.clone()),
        ("IMAGE_ID= leading", quoting.clone()),
        ("IMAGE_ID=\"a\"b", quoting.clone()),
        ("IMAGE_ID=\"a\"\"b\"", quoting.clone()),
        ("IMAGE_ID='a'\\''b'", quoting.clone()),
        ("IMAGE_ID=a\"b\"", quoting.clone()),
        ("IMAGE_ID=a\\b", quoting.clone()),
        ("IMAGE_ID=$HOME", quoting.clone()),
        ("IMAGE_ID=\"$HOME\"", quoting.clone()),
        ("IMAGE_ID=\"`id`\"", quoting.clone()),
        ("IMAGE_ID=\"a\\nb\"", quoting.clone()),
        ("IMAGE_ID=a;b", quoting.clone()),
        ("IMAGE_ID=a#b", quoting.clone()),
        ("IMAGE_ID=ä", quoting.clone()),
        ("IMAGE_ID=\"a\tb\"", quoting.clone()),
        ("IMAGE_ID='a\u{7f}b'", quoting),
    ] {
        assert_eq!(id_of(line), expected, "{line}");
    }
}

#[test]
fn a_key_for_the_second_time() {
    for (text, key, line) in [
        ("IMAGE_ID=a\nIMAGE_ID=a\n", Key::ImageId, "os-release: line 2: second IMAGE_ID"),
        ("IMAGE_VERSION=1\n\n#\nIMAGE_VERSION=2", Key::ImageVersion, "os-release: line 4: second IMAGE_VERSION"),
        ("INITOVERLAYFS_EPOCH=1\n INITOVERLAYFS_EPOCH=1", Key::Epoch, "os-release: line 2: second INITOVERLAYFS_EPOCH"),
        (
            "PORTABLE_PREFIXES=a\nPORTABLE_PREFIXES=b",
            Key::PortablePrefixes,
            "os-release: line 2: second PORTABLE_PREFIXES",
        ),
    ] {
        let error = parse(text.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Duplicate { key: found, .. } if found == key));
        assert_eq!(error.to_string(), line);
    }
    assert_eq!(parse(b"VERSION=1\nVERSION=2\n"), Ok(OsRelease::default()));
}

/// systemd reads these as one assignment to another key; read line by line, the second would be an identity of its own.
#[test]
fn an_identity_inside_the_value_of_another_key_is_not_one() {
    let (backslash, quote) = (Error::TrailingBackslash { line: 2 }, Error::UnterminatedQuote { line: 2 });
    let return_ = Error::CarriageReturn { line: 2 };
    for (before, error) in [
        ("VERSION=1\\", backslash),
        ("VERSION=1\\\\", backslash),
        ("VERSION=\"1\\", backslash),
        ("VERSION=\\", backslash),
        ("VERSION\\", backslash),
        ("# comment \\", backslash),
        ("\\", backslash),
        ("IMAGE_VERSION=1\\", backslash),
        ("VERSION=\"1", quote),
        ("VERSION='1", quote),
        ("VERSION= \"1", quote),
        ("VERSION=\"1\\\"", quote),
        ("VERSION='1' \"2", quote),
        ("VERSION='1''2", quote),
        ("VERSION=\"it's", quote),
        ("VERSION=it's", quote),
        ("VER'SION='1", quote),
        ("VER\"SION", quote),
        ("\u{a0}# VERSION='1", quote),
        ("IMAGE_VERSION=\"1", quote),
        ("PORTABLE_PREFIXES=\"", quote),
        ("VERSION=1\r", return_),
        ("# comment\rVERSION='", return_),
    ] {
        assert_eq!(id_of(&format!("\n{before}\nIMAGE_ID=x\n'\"")), Err(error), "{before}");
        assert_eq!(id_of(&format!("\n{before}")), Err(error), "{before}, at the end");
    }
    for before in ["# don't", "  # \"", "VERSION=\"it's\"", "VERSION='\"'", "VERSION='a\\'", "VERSION=\\'", "\\ "] {
        assert_eq!(id_of(&format!("\n{before}\nIMAGE_ID=x")), Ok(Some("x".to_owned())), "{before}");
    }
    assert_eq!(backslash.to_string(), "os-release: line 2: ends in a backslash");
    assert_eq!(quote.to_string(), "os-release: line 2: ends inside quotes");
    assert_eq!(return_.to_string(), "os-release: line 2: a carriage return");
}

#[test]
fn epochs() {
    let epoch = |text: &str| parse(format!("\nINITOVERLAYFS_EPOCH={text}").as_bytes()).map(|release| release.epoch);
    assert_eq!(epoch("0"), Ok(Some(0)));
    assert_eq!(epoch("007"), Ok(Some(7)));
    assert_eq!(epoch("18446744073709551615"), Ok(Some(u64::MAX)));
    for bad in ["", "+1", "-1", "1.0", "0x1", "18446744073709551616"] {
        assert_eq!(epoch(bad), Err(Error::Epoch { line: 2 }), "{bad}");
    }
    assert_eq!(epoch(&"1".repeat(21)), Err(Error::TooLong { line: 2, key: Key::Epoch, limit: 20 }));
    assert_eq!(Error::Epoch { line: 2 }.to_string(), "os-release: line 2: INITOVERLAYFS_EPOCH is not a number");
}

#[test]
fn a_portable_service_is_one_whatever_the_prefixes() {
    for line in ["PORTABLE_PREFIXES=foo bar", "PORTABLE_PREFIXES=", "PORTABLE_PREFIXES=\"x\"y"] {
        assert!(parse(line.as_bytes()).unwrap().portable, "{line}");
    }
}

#[test]
fn limits() {
    let id = "a".repeat(64);
    assert_eq!(id_of(&format!("IMAGE_ID={id}")), Ok(Some(id.clone())));
    let error = id_of(&format!("IMAGE_ID={id}a")).unwrap_err();
    assert_eq!(error, Error::TooLong { line: 1, key: Key::ImageId, limit: 64 });
    assert_eq!(error.to_string(), "os-release: line 1: IMAGE_ID is longer than 64 bytes");

    let mut text = vec![b'\n'; MAX_FILE];
    assert_eq!(parse(&text), Ok(OsRelease::default()));
    text.push(b'\n');
    assert_eq!(parse(&text), Err(Error::TooLarge { found: 65537 }));
    assert_eq!(Error::TooLarge { found: 65537 }.to_string(), "os-release: 65537 bytes, at most 65536 are read");

    assert_eq!(parse(b"A=1\nB=\xff"), Err(Error::Text { offset: 6 }));
    assert_eq!(Error::Text { offset: 6 }.to_string(), "os-release: at byte 6: not UTF-8");
    let error = Error::Quoting { line: 3, key: Key::ImageVersion };
    assert_eq!(error.to_string(), "os-release: line 3: IMAGE_VERSION is not properly quoted");
}
