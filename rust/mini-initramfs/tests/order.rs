// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names and made-up modules.dep files: which modules come out, and in which order.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on panics")]

mod support;

use mini_initramfs::modules::order::{LeftOut, Resolved, Why, resolve};
use proptest::prelude::*;
use support::Kernel;

/// The list as the boot stage reads it, in one line.
fn list(resolved: &Resolved) -> String {
    let word = |optional| if optional { "?" } else { "" };
    resolved.modules.iter().map(|one| format!("{}{}", one.name, word(one.optional))).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn resolved(kernel: Kernel<'_>, wanted: &[&str]) -> Resolved {
    resolve(&kernel.index(), wanted.iter().copied()).unwrap()
}

fn refused(kernel: Kernel<'_>, wanted: &[&str]) -> String {
    resolve(&kernel.index(), wanted.iter().copied()).unwrap_err().to_string()
}

const STORAGE: Kernel<'_> = Kernel {
    dep: "kernel/drivers/md/dm-verity.ko: kernel/drivers/md/dm-bufio.ko kernel/drivers/md/dm-mod.ko\n\
          kernel/drivers/md/dm-mod.ko:\n\
          kernel/drivers/md/dm-bufio.ko: kernel/drivers/md/dm-mod.ko\n\
          kernel/fs/fat/vfat.ko: kernel/fs/fat/fat.ko\n\
          kernel/fs/fat/fat.ko:\n",
    builtin: "kernel/drivers/virtio/virtio_pci.ko\nkernel/crypto/sha256_generic.ko\n",
    builtin_modinfo: "virtio_pci.license=GPL\0sha256_generic.alias=crypto-sha256\0",
    alias: "",
    softdep: "",
};

#[test]
fn a_module_comes_after_all_that_it_needs() {
    assert_eq!(list(&resolved(STORAGE, &["dm_verity"])), "dm_mod dm_bufio dm_verity");
    assert_eq!(list(&resolved(STORAGE, &["vfat", "dm_verity"])), "fat vfat dm_mod dm_bufio dm_verity");
}

#[test]
fn a_module_that_two_need_is_there_once() {
    assert_eq!(list(&resolved(STORAGE, &["dm_verity", "dm_mod", "dm_bufio"])), "dm_mod dm_bufio dm_verity");
}

#[test]
fn dash_and_underscore_are_one_character() {
    assert_eq!(list(&resolved(STORAGE, &["dm-verity"])), "dm_mod dm_bufio dm_verity");
    let dashes = Kernel { softdep: "softdep dm-mod pre: v-fat\n", alias: "alias v-fat vfat\n", ..STORAGE };
    assert_eq!(list(&resolved(dashes, &["dm_mod"])), "fat? vfat? dm_mod");
}

#[test]
fn what_is_built_in_is_said_and_not_loaded() {
    let resolved = resolved(STORAGE, &["virtio-pci", "crypto_sha256", "fat"]);
    assert_eq!(list(&resolved), "fat");
    assert_eq!(resolved.built_in, ["virtio_pci", "sha256_generic"]);
}

#[test]
fn a_name_that_nothing_has_says_where_it_was_looked_up() {
    let error = "dm_crypt: neither in DIR/modules.dep nor in DIR/modules.builtin, and no alias of a module there";
    assert_eq!(refused(STORAGE, &["vfat", "dm_crypt"]), error);
}

#[test]
fn modules_dep_that_lacks_what_one_needs_is_refused() {
    let kernel = Kernel { dep: "a.ko: b.ko\nb.ko: c.ko\n", ..Kernel::default() };
    assert_eq!(refused(kernel, &["a"]), "DIR/modules.dep: b needs c, which the file does not list");
}

#[test]
fn a_circle_is_refused_by_its_modules() {
    let kernel = Kernel { dep: "a.ko: b.ko\nb.ko: c.ko\nc.ko: d.ko\nd.ko: b.ko\n", ..Kernel::default() };
    assert_eq!(refused(kernel, &["a"]), "DIR/modules.dep: a circle: b needs c needs d needs b");
    let itself = Kernel { dep: "a.ko: a.ko\n", ..Kernel::default() };
    assert_eq!(refused(itself, &["a"]), "DIR/modules.dep: a circle: a needs a");
    // Nobody asks for it: modules that are not looked at may be as they like.
    let elsewhere = Kernel { dep: "a.ko: a.ko\nb.ko:\n", ..Kernel::default() };
    assert_eq!(list(&resolved(elsewhere, &["b"])), "b");
}

#[test]
fn wanted_modules_come_before_and_after_and_are_optional() {
    let kernel = Kernel {
        dep: "ext4.ko: jbd2.ko\njbd2.ko:\ncrc32c_generic.ko: crypto.ko\ncrypto.ko:\nlate.ko:\n",
        alias: "alias crypto-crc32c crc32c_generic\n",
        softdep: "# comment\nsoftdep ext4 pre: crypto-crc32c post: late\n",
        ..Kernel::default()
    };
    assert_eq!(list(&resolved(kernel, &["ext4"])), "jbd2 crypto? crc32c_generic? ext4 late?");
    // Named in the configuration as well, it is needed.
    assert_eq!(list(&resolved(kernel, &["ext4", "crc32c_generic"])), "jbd2 crypto crc32c_generic ext4 late?");
}

#[test]
fn what_is_wanted_and_not_there_is_left_out_and_said() {
    let kernel = Kernel { dep: "a.ko:\n", softdep: "softdep a pre: gone virtio_pci\n", ..STORAGE };
    let resolved = resolved(kernel, &["a"]);
    assert_eq!(list(&resolved), "a");
    assert_eq!(resolved.left_out, [LeftOut { wanted: "gone".into(), by: "a".into(), why: Why::Missing }]);
}

#[test]
fn words_of_a_softdep_before_its_pre_mean_nothing() {
    let kernel = Kernel { dep: "cifs.ko:\naes.ko:\n", softdep: "softdep cifs aes\n", ..Kernel::default() };
    let resolved = resolved(kernel, &["cifs"]);
    assert_eq!((list(&resolved).as_str(), resolved.left_out.len()), ("cifs", 0));
}

/// `a` wants `b` before it, and `b` needs `a`: the need counts, the wish does not, and nothing of the try is left.
#[test]
fn a_wish_that_closes_a_circle_is_left_out() {
    let kernel = Kernel {
        dep: "a.ko:\nb.ko: x.ko c.ko\nc.ko: a.ko\nx.ko:\n",
        softdep: "softdep a pre: b\n",
        ..Kernel::default()
    };
    let left_out = [LeftOut { wanted: "b".into(), by: "a".into(), why: Why::Circle }];
    let only_a = resolved(kernel, &["a"]);
    assert_eq!((list(&only_a).as_str(), only_a.left_out.as_slice()), ("a", left_out.as_slice()));
    let from_b = resolved(kernel, &["b"]);
    assert_eq!((list(&from_b).as_str(), from_b.left_out.as_slice()), ("x a c b", left_out.as_slice()));
}

#[test]
fn modules_that_want_each_other_are_both_loaded() {
    let kernel = Kernel { dep: "a.ko:\nb.ko:\n", softdep: "softdep a pre: b\nsoftdep b pre: a\n", ..Kernel::default() };
    assert_eq!(list(&resolved(kernel, &["a"])), "b? a");
}

/// A circle of needs is a broken modules.dep, however one comes upon it.
#[test]
fn a_circle_behind_a_wish_is_refused() {
    let kernel = Kernel { dep: "a.ko:\nb.ko: c.ko\nc.ko: b.ko\n", softdep: "softdep a pre: b\n", ..Kernel::default() };
    assert_eq!(refused(kernel, &["a"]), "DIR/modules.dep: a circle: b needs c needs b");
}

#[test]
fn an_alias_of_several_modules_stands_for_all_and_each_is_optional() {
    let kernel = Kernel {
        dep: "sha2-ce.ko: sha256-arm64.ko\nsha256-arm64.ko:\nvirtio_blk.ko:\n",
        alias: "alias crypto-sha256 sha2_ce\nalias crypto-sha256 sha256_arm64\nalias virtio:d*v* virtio_blk\n\
                alias block-virtio virtio_blk\nalias crypto-sha224 sha2_ce\n",
        ..STORAGE
    };
    let both = resolved(kernel, &["crypto-sha256"]);
    assert_eq!(list(&both), "sha256_arm64? sha2_ce?");
    assert_eq!(both.built_in, ["sha256_generic"]);
    // The only one of its alias is needed.
    assert_eq!(list(&resolved(kernel, &["block-virtio"])), "virtio_blk");
    assert_eq!(list(&resolved(kernel, &["crypto-sha256", "crypto-sha224"])), "sha256_arm64 sha2_ce");
}

#[test]
fn a_module_of_a_name_hides_the_alias_of_that_name() {
    let kernel = Kernel { dep: "crc32c.ko:\nother.ko:\n", alias: "alias crc32c other\n", ..Kernel::default() };
    assert_eq!(list(&resolved(kernel, &["crc32c"])), "crc32c");
}

#[test]
fn compressed_modules_have_names_too() {
    let dep = "a/one.ko.xz: a/two.ko.zst\na/two.ko.zst: b/three.ko.gz\nb/three.ko.gz:\n";
    let resolved = resolved(Kernel { dep, ..Kernel::default() }, &["one"]);
    assert_eq!(list(&resolved), "three two one");
    let paths: Vec<_> = resolved.modules.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["b/three.ko.gz", "a/two.ko.zst", "a/one.ko.xz"]);
}

proptest! {
    /// Module n needs some of those below it, listed in any order, as depmod does not promise one: each comes out
    /// once, after all it needs, and nothing comes out that nobody needs.
    #[test]
    fn no_module_comes_before_what_it_needs(
        needs in proptest::collection::vec(proptest::collection::vec(any::<prop::sample::Index>(), 0..4), 2..20),
        wanted in any::<prop::sample::Index>(),
    ) {
        let lower = |n: usize| match n {
            0 => Vec::new(),
            _ => needs[n].iter().map(|index| index.index(n)).collect::<Vec<_>>(),
        };
        let line = |n| format!("m{n}.ko:{}\n", lower(n).iter().map(|need| format!(" m{need}.ko")).collect::<String>());
        let dep: String = (0..needs.len()).map(line).collect();
        let wanted = wanted.index(needs.len());
        let resolved = resolved(Kernel { dep: &dep, ..Kernel::default() }, &[&format!("m{wanted}")]);
        let place = |n: usize| resolved.modules.iter().position(|one| one.name == format!("m{n}"));

        let mut expected = std::collections::BTreeSet::from([wanted]);
        for n in (0..=wanted).rev() {
            if expected.contains(&n) {
                expected.extend(lower(n));
            }
        }
        prop_assert_eq!(resolved.modules.len(), expected.len());
        for n in expected {
            for need in lower(n) {
                prop_assert!(place(need).unwrap() < place(n).unwrap(), "m{} and m{}: {}", n, need, list(&resolved));
            }
        }
    }
}
