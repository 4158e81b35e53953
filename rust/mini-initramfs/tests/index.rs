// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files of a kernel's modules that cannot be used: which file, which line.

mod support;

use mini_initramfs::modules::index::Index;
use support::{Kernel, directory};

const GOOD: Kernel<'_> =
    Kernel { dep: "a.ko:\n", builtin: "b.ko\n", builtin_modinfo: "b.license=GPL\0", alias: "", softdep: "" };

/// The error, without the folder.
fn error_of(kernel: Kernel<'_>, removed: Option<&str>) -> Option<String> {
    let folder = directory();
    kernel.write(folder.path());
    if let Some(removed) = removed {
        assert!(std::fs::remove_file(folder.path().join(removed)).is_ok());
    }
    let error = Index::read(folder.path()).err()?.to_string();
    Some(error.replace(&format!("{}/", folder.path().display()), ""))
}

#[test]
fn each_file_has_to_be_there() {
    assert_eq!(error_of(GOOD, None), None);
    for name in ["modules.dep", "modules.builtin", "modules.builtin.modinfo", "modules.alias", "modules.softdep"] {
        let expected = format!(
            "{name}: cannot read: No such file or directory (os error 2) (depmod and the kernel's modules_install write \
             it)"
        );
        assert_eq!(error_of(GOOD, Some(name)), Some(expected));
    }
}

#[test]
fn lines_that_are_none() {
    let dep = "modules.dep: line 2: expected FILE.ko: FILE.ko ..., relative to the folder";
    for line in [
        "b.ko",
        "b.ko.lz4:",
        "b:",
        ".ko:",
        "b.ko: c",
        "/lib/modules/1/b.ko:",
        "../b.ko:",
        "b.ko: ../c.ko",
        "x//b.ko:",
        // Twice the same name.
        "other/a.ko:",
        "other/a.ko.xz:",
    ] {
        let text = format!("a.ko:\n{line}\n");
        assert_eq!(error_of(Kernel { dep: &text, ..GOOD }, None).as_deref(), Some(dep), "{line}");
    }
    let builtin = "modules.builtin: line 1: expected FILE.ko";
    assert_eq!(error_of(Kernel { builtin: "b\n", ..GOOD }, None).as_deref(), Some(builtin));
    let alias = "modules.alias: line 2: expected alias PATTERN MODULE";
    for line in ["alias x", "x y", "alias"] {
        let text = format!("# comment\n{line}\n");
        assert_eq!(error_of(Kernel { alias: &text, ..GOOD }, None).as_deref(), Some(alias), "{line}");
    }
    let softdep = "modules.softdep: line 1: expected softdep MODULE pre: MODULE ... post: MODULE ...";
    for line in ["softdep \n", "a pre: b\n"] {
        assert_eq!(error_of(Kernel { softdep: line, ..GOOD }, None).as_deref(), Some(softdep), "{line}");
    }
}

#[test]
fn an_alias_may_have_spaces() {
    assert_eq!(error_of(Kernel { alias: "alias of:N*Ta b c a\n", ..GOOD }, None), None);
}
