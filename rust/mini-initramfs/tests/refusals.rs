// SPDX-License-Identifier: MIT OR Apache-2.0
//! Inputs that no image should be built of: the program's exact words, status 1, and an output that is as it was.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

use std::fs;
use std::path::Path;

use support::{AARCH64, CERTIFICATE, CONFIG, EXECUTABLE, Kernel, RELOCATABLE, X86_64, elf, inputs, run, tool, write};

/// What the program says about inputs that `spoil` has changed.
#[track_caller]
fn refused(more: &[&str], spoil: impl FnOnce(&Path)) -> String {
    let folder = inputs();
    write(folder.path(), "out.cpio", "as it was");
    spoil(folder.path());
    let output = run(folder.path(), more);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(output.stdout, b"");
    assert_eq!(fs::read(folder.path().join("out.cpio")).unwrap(), b"as it was");
    let left = fs::read_dir(folder.path()).unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    assert_eq!(left.filter(|name| name.starts_with(".mini-initramfs")).count(), 0);
    said.trim_end().strip_prefix("mini-initramfs: ").unwrap().to_owned()
}

#[test]
fn configuration_that_the_boot_stage_would_refuse() {
    let said = refused(&[], |folder| drop(write(folder, "demo.conf", CONFIG.replace("= kernel", "= nobody"))));
    assert!(said.starts_with("demo.conf: config: line 4: signature: expected "), "{said}");
    let said = refused(&[], |folder| fs::remove_file(folder.join("demo.conf")).unwrap());
    assert_eq!(said, "demo.conf: cannot read: No such file or directory (os error 2)");
}

#[test]
fn certificates_that_are_not_those_of_the_configuration() {
    let second = |folder: &Path| {
        write(folder, "demo.conf", format!("{CONFIG}certificate = second.der\n"));
    };
    let missing = "the configuration names the certificate second.der: no --certificate has a file of that name";
    assert_eq!(refused(&[], second), missing);
    let spare = |folder: &Path| drop(write(folder, "spare.der", CERTIFICATE));
    assert_eq!(
        refused(&["--certificate", "spare.der"], spare),
        "spare.der: the configuration names no certificate of this name, or it is given twice"
    );
    let twice = |folder: &Path| drop(write(folder, "other/demo.der", CERTIFICATE));
    assert_eq!(
        refused(&["--certificate", "other/demo.der"], twice),
        "other/demo.der: the configuration names no certificate of this name, or it is given twice"
    );
}

#[test]
fn certificates_that_the_boot_stage_would_refuse() {
    let pem = "-----BEGIN CERTIFICATE-----\n";
    let said = refused(&[], |folder| drop(write(folder, "demo.der", pem)));
    assert!(said.starts_with("demo.der: ") && said.ends_with(" (expected a certificate as DER)"), "{said}");
    let said = refused(&[], |folder| drop(write(folder, "demo.der", [CERTIFICATE, &[0; 8192]].concat())));
    let size = CERTIFICATE.len().saturating_add(8192);
    assert_eq!(said, format!("demo.der: {size} bytes, the boot stage reads at most 8192"));
}

#[test]
fn certificates_of_one_name() {
    let said = refused(&["--certificate", "second.der"], |folder| {
        write(folder, "demo.conf", format!("{CONFIG}certificate = second.der\n"));
        write(folder, "second.der", CERTIFICATE);
    });
    assert_eq!(said, "second.der: same issuer and serial number as demo.der: no signature could say whose it is");
}

#[test]
fn any_command_line_with_a_certificate_that_is_not_for_development() {
    const RELEASE: &[u8] = include_bytes!("../../boot-formats/tests/golden/ecdsa.crt");
    let said = refused(&[], |folder| {
        write(folder, "demo.conf", format!("{CONFIG}cmdline-other = ignore\n"));
        write(folder, "demo.der", RELEASE);
    });
    let expected = "cmdline-other = ignore, with the certificate demo.der: expected only certificates whose common name contains \
                    DEVELOPMENT";
    assert_eq!(said, expected);
}

#[test]
fn init_that_the_kernel_could_not_run() {
    let cases: [(Vec<u8>, &str); 5] = [
        (b"#!/bin/sh\n".to_vec(), "init: expected a 64-bit little-endian ELF file"),
        (b"\x7fELF\x01\x01".to_vec(), "init: expected a 64-bit little-endian ELF file"),
        (elf(RELOCATABLE, AARCH64, ""), "init: expected a program, found an ELF file of type 1"),
        (dynamic(), "init: expected a static program, found one that asks for a program interpreter"),
        (dynamic().into_iter().take(66).collect(), "init: the ELF program headers are cut off"),
    ];
    for (init, expected) in cases {
        assert_eq!(refused(&[], |folder| drop(write(folder, "init", init))), expected);
    }
}

/// A program with one program header: PT_INTERP.
fn dynamic() -> Vec<u8> {
    let mut file = elf(EXECUTABLE, AARCH64, "");
    file.splice(56..58, 1_u16.to_le_bytes());
    file.extend_from_slice(&3_u32.to_le_bytes());
    file.extend_from_slice(&[0; 52]);
    file
}

const MODULES: Kernel<'_> =
    Kernel { dep: "a.ko: b.ko\nb.ko:\n", builtin: "", builtin_modinfo: "", alias: "", softdep: "" };

/// Modules, and a configuration that wants these.
fn modules(folder: &Path, names: &str, kernel: Kernel<'_>) {
    write(folder, "demo.conf", format!("{CONFIG}modules = {names}\n"));
    kernel.write(&folder.join("modules"));
}

#[test]
fn modules_without_a_kernel() {
    assert_eq!(
        refused(&[], |folder| modules(folder, "a b", MODULES)),
        "the configuration names modules (a first): --modules has to say where the kernel's are"
    );
    assert_eq!(
        refused(&["--modules", "elsewhere"], |folder| modules(folder, "a", MODULES)),
        "elsewhere/modules.dep: cannot read: No such file or directory (os error 2) (depmod and the kernel's \
         modules_install write it)"
    );
}

#[test]
fn modules_that_cannot_be_resolved() {
    let with = ["--modules", "modules"];
    assert_eq!(
        refused(&with, |folder| modules(folder, "a gone", MODULES)),
        "gone: neither in modules/modules.dep nor in modules/modules.builtin, and no alias of a module there"
    );
    assert_eq!(
        refused(&with, |folder| modules(folder, "a", Kernel { dep: "a.ko: b.ko\nb.ko: a.ko\n", ..MODULES })),
        "modules/modules.dep: a circle: a needs b needs a"
    );
    let many: String = (0..129).map(|n| format!("m{n}.ko:\nm0x{n}.ko: m{n}.ko m0.ko\n")).collect();
    let all: String = (0..64).map(|n| format!(" m0x{n}")).collect();
    // 64 names, 64 modules that they need, and one more that one of these does.
    let chain = many.replace("m63.ko:\n", "m63.ko: m128.ko\n");
    assert_eq!(
        refused(&with, |folder| modules(folder, &all, Kernel { dep: &chain, ..MODULES })),
        "list of modules: line 129: more than 128 modules, with all that the configuration's modules need"
    );
}

#[test]
fn module_files_that_are_none() {
    let with = ["--modules", "modules"];
    let spoilt = |contents: Vec<u8>| {
        refused(&with, |folder| {
            modules(folder, "a", MODULES);
            write(folder, "modules/b.ko", contents);
        })
    };
    assert_eq!(spoilt(b"version https://git-lfs".to_vec()), "modules/b.ko: expected a 64-bit little-endian ELF file");
    assert_eq!(
        spoilt(elf(EXECUTABLE, AARCH64, "")),
        "modules/b.ko: expected a kernel module, found an ELF file of type 2"
    );
    assert_eq!(
        spoilt(elf(RELOCATABLE, X86_64, "")),
        "modules/b.ko: expected code for machine 183 as in the init program, found 62"
    );
    let missing = refused(&with, |folder| {
        modules(folder, "a", MODULES);
        fs::remove_file(folder.join("modules/b.ko")).unwrap();
    });
    assert_eq!(missing, "modules/b.ko: cannot read: No such file or directory (os error 2)");
}

#[test]
fn damaged_compressed_modules() {
    let plain = elf(RELOCATABLE, AARCH64, &"module ".repeat(1000));
    for (name, program) in [("b.ko.gz", "gzip"), ("b.ko.xz", "xz"), ("b.ko.zst", "zstd")] {
        let stored = tool(program, &["-c"], &plain);
        // Cut off in the middle, and with one bit of the compressed data changed (the checksum finds that).
        let cut: Vec<u8> = stored.iter().copied().take(stored.len() / 2).collect();
        let mut flipped = stored.clone();
        let middle = flipped.len() / 2;
        *flipped.get_mut(middle).unwrap() ^= 1;
        for damaged in [cut, flipped] {
            let said = refused(&["--modules", "modules"], |folder| {
                modules(folder, "b", Kernel { dep: &format!("{name}:\n"), ..MODULES });
                write(folder, &format!("modules/{name}"), damaged);
            });
            assert!(said.starts_with(&format!("modules/{name}: cannot decompress: ")), "{said}");
        }
    }
}

#[test]
fn output_that_is_no_file() {
    let folder = inputs();
    fs::create_dir(folder.path().join("out.cpio")).unwrap();
    let output = run(folder.path(), &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "mini-initramfs: out.cpio: expected the name of a file to write or replace\n");
    assert_eq!(output.status.code(), Some(1));
}
