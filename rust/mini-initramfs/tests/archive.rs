// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in an archive, as cpio(1) reads it: exactly what should be, and nothing else.

mod support;

use std::path::Path;

use support::{AARCH64, CERTIFICATE, CONFIG, EXECUTABLE, Kernel, RELOCATABLE, build, elf, inputs, tool, write};

/// Modes, owners, sizes and names of all members.
fn listed(archive: &[u8]) -> Vec<String> {
    let text = tool("cpio", &["--list", "--verbose", "--numeric-uid-gid", "--quiet"], archive);
    let columns = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [mode, _links, user, group, size, .., name] = words.as_slice() else { return line.to_owned() };
        format!("{mode} {user}:{group} {size} {name}")
    };
    String::from_utf8_lossy(&text).lines().map(columns).collect()
}

/// The contents of one member.
fn extracted(archive: &[u8], name: &str) -> Vec<u8> {
    tool("cpio", &["--extract", "--to-stdout", "--quiet", name], archive)
}

/// A certificate of another issuer.
const SECOND: &[u8] = include_bytes!("../../boot-formats/tests/golden/ecdsa.crt");

#[test]
fn without_modules_it_holds_init_configuration_and_certificates_and_nothing_else() {
    let folder = inputs();
    write(folder.path(), "second.der", SECOND);
    write(folder.path(), "demo.conf", format!("{CONFIG}certificate = second.der\n"));
    // Given in another order: the configuration's counts.
    let arguments = ["--certificate", "second.der", "--modules", "not/even/there"];
    let (archive, said) = build(folder.path(), &arguments);
    let (first, second) = (CERTIFICATE.len(), SECOND.len());
    let config = CONFIG.len().saturating_add("certificate = second.der\n".len());
    assert_eq!(
        listed(&archive),
        [
            "-rwxr-xr-x 0:0 68 init".to_owned(),
            "drwxr-xr-x 0:0 0 etc".to_owned(),
            format!("-rw-r--r-- 0:0 {config} etc/initoverlayfs.conf"),
            "drwxr-xr-x 0:0 0 etc/initoverlayfs".to_owned(),
            format!("-rw-r--r-- 0:0 {first} etc/initoverlayfs/demo.der"),
            format!("-rw-r--r-- 0:0 {second} etc/initoverlayfs/second.der"),
        ]
    );
    assert_eq!(extracted(&archive, "init"), elf(EXECUTABLE, AARCH64, "init"));
    assert_eq!(
        extracted(&archive, "etc/initoverlayfs.conf"),
        [CONFIG, "certificate = second.der\n"].concat().as_bytes()
    );
    assert_eq!(extracted(&archive, "etc/initoverlayfs/demo.der"), CERTIFICATE);
    assert_eq!(extracted(&archive, "etc/initoverlayfs/second.der"), SECOND);
    let expected = format!(
        "out.cpio: {} bytes\ninit          68 bytes\nconfiguration image demo\ncertificates  demo.der second.der\n\
         modules       none configured\n",
        archive.len()
    );
    assert_eq!(said, expected);
}

const MODULES: Kernel<'_> = Kernel {
    dep: "kernel/drivers/md/dm-verity.ko: kernel/drivers/md/dm-mod.ko\nkernel/drivers/md/dm-mod.ko:\n\
          kernel/fs/erofs.ko:\nkernel/crc32c.ko:\nkernel/gpu.ko:\n",
    builtin: "kernel/drivers/virtio/virtio_pci.ko\n",
    builtin_modinfo: "",
    alias: "alias fs-erofs erofs\n",
    softdep: "softdep erofs pre: crc32c gone\n",
};

fn with_modules(folder: &Path, names: &str) {
    write(folder, "demo.conf", format!("{CONFIG}modules = {names}\n"));
    MODULES.write(&folder.join("modules"));
}

#[test]
fn with_modules_it_holds_their_list_and_the_modules_in_its_order() {
    let folder = inputs();
    with_modules(folder.path(), "virtio-pci dm-verity fs-erofs");
    let (archive, said) = build(folder.path(), &["--modules", "modules"]);
    let names: Vec<String> =
        listed(&archive).iter().filter_map(|line| line.rsplit(' ').next()).map(str::to_owned).collect();
    assert_eq!(
        names,
        [
            "init",
            "etc",
            "etc/initoverlayfs.conf",
            "etc/initoverlayfs",
            "etc/initoverlayfs/demo.der",
            "etc/initoverlayfs/modules.list",
            "lib",
            "lib/modules",
            "lib/modules/dm_mod.ko",
            "lib/modules/dm_verity.ko",
            "lib/modules/crc32c.ko",
            "lib/modules/erofs.ko",
        ]
    );
    assert_eq!(extracted(&archive, "etc/initoverlayfs/modules.list"), b"dm_mod\ndm_verity\ncrc32c optional\nerofs\n");
    let module = |path| elf(RELOCATABLE, AARCH64, path);
    assert_eq!(extracted(&archive, "lib/modules/dm_verity.ko"), module("kernel/drivers/md/dm-verity.ko"));
    assert_eq!(extracted(&archive, "lib/modules/erofs.ko"), module("kernel/fs/erofs.ko"));
    let expected = "modules       4, 347 bytes\n  dm_mod\n  dm_verity\n  crc32c (optional)\n  erofs\n\
                    built in      virtio_pci\nleft out      gone, which erofs wants: the kernel has no such module\n";
    assert!(said.ends_with(expected), "{said}");
}

#[test]
fn where_everything_is_built_in_the_list_is_empty() {
    let folder = inputs();
    with_modules(folder.path(), "virtio_pci");
    let (archive, said) = build(folder.path(), &["--modules", "modules"]);
    assert_eq!(extracted(&archive, "etc/initoverlayfs/modules.list"), b"");
    assert!(said.ends_with("modules       0, 0 bytes\nbuilt in      virtio_pci\n"), "{said}");
}

/// Each compressor's own program makes the file: xz as the kernel's build calls it, and with the filter for ARM code.
#[test]
fn compressed_modules_are_stored_as_what_they_were() {
    let folder = inputs();
    let text: String = (0..20_000).map(|number: u32| format!("{number} ")).collect();
    let plain = elf(RELOCATABLE, AARCH64, &text);
    let kernel = Kernel { dep: "g.ko.gz:\nx.ko.xz:\nf.ko.xz:\nz.ko.zst:\n", ..MODULES };
    kernel.write(&folder.path().join("modules"));
    for (name, program, arguments) in [
        ("g.ko.gz", "gzip", &["-9"][..]),
        ("x.ko.xz", "xz", &["--check=crc32", "--lzma2=dict=1MiB"]),
        ("f.ko.xz", "xz", &["--check=crc32", "--arm64", "--lzma2=dict=1MiB"]),
        ("z.ko.zst", "zstd", &["-19", "-q"]),
    ] {
        let stored = tool(program, &[arguments, &["-c"]].concat(), &plain);
        assert!(stored.len() < plain.len());
        write(folder.path(), &format!("modules/{name}"), stored);
    }
    write(folder.path(), "demo.conf", format!("{CONFIG}modules = g x f z\n"));
    let (archive, _) = build(folder.path(), &["--modules", "modules"]);
    for name in ["g", "x", "f", "z"] {
        assert!(extracted(&archive, &format!("lib/modules/{name}.ko")) == plain, "{name}");
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let [one, other] = [inputs(), inputs()];
    let archives = [one, other].map(|folder| {
        with_modules(folder.path(), "dm_verity erofs");
        build(folder.path(), &["--modules", "modules"]).0
    });
    assert!(archives.windows(2).all(|pair| pair.first() == pair.last()));
}

#[test]
fn an_older_output_is_replaced() {
    let folder = inputs();
    write(folder.path(), "out.cpio", "old");
    let (archive, _) = build(folder.path(), &[]);
    assert!(archive.starts_with(b"070701"));
}
