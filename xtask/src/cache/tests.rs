// SPDX-License-Identifier: MIT OR Apache-2.0
#![allow(clippy::unwrap_used)]
//! What becomes of entries that were interrupted, outdated or built at the same time.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn cache() -> (tempfile::TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open_at(folder.path()).unwrap();
    (folder, cache)
}

fn key(value: &str) -> Key {
    Key::new(1).bytes("value", value.as_bytes())
}

#[test]
fn a_finished_entry_is_built_once() {
    let (_folder, cache) = cache();
    let builds = AtomicU32::new(0);
    for _ in 0..2 {
        let entry = cache
            .entry("kind", &key("a"), |folder| {
                builds.fetch_add(1, Ordering::Relaxed);
                Ok(fs::write(folder.join("file"), "x")?)
            })
            .unwrap();
        assert_eq!(fs::read_to_string(entry.join("file")).unwrap(), "x");
    }
    assert_eq!(builds.into_inner(), 1);
}

#[test]
fn an_interrupted_build_is_not_taken_for_a_finished_one() {
    let (_folder, cache) = cache();
    let refusal = cache.entry("kind", &key("a"), |folder| {
        fs::write(folder.join("half"), "")?;
        bail!("interrupted")
    });
    assert_eq!(refusal.unwrap_err().to_string(), "interrupted");
    assert_eq!(cache.find("kind", &key("a")), None);
    let entry = cache.entry("kind", &key("a"), |_| Ok(())).unwrap();
    assert!(!entry.join("half").exists());
}

#[test]
fn a_new_entry_replaces_the_old_one_of_its_kind_only() {
    let (_folder, cache) = cache();
    let other = cache.entry("other", &key("a"), |_| Ok(())).unwrap();
    let old = cache.entry("kind", &key("a"), |_| Ok(())).unwrap();
    let new = cache.entry("kind", &key("b"), |_| Ok(())).unwrap();
    assert!(!old.exists() && new.exists() && other.exists());
}

#[test]
fn an_old_entry_stays_while_another_xtask_may_be_using_it() {
    let (folder, cache) = cache();
    let old = cache.entry("kind", &key("a"), |_| Ok(())).unwrap();
    let second = Cache::open_at(folder.path()).unwrap();
    cache.entry("kind", &key("b"), |_| Ok(())).unwrap();
    assert!(old.exists());
    drop(second);
    cache.entry("kind", &key("c"), |_| Ok(())).unwrap();
    assert!(!old.exists());
}

#[test]
fn two_at_once_build_one_entry() {
    let (folder, _cache) = cache();
    let builds = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let cache = Cache::open_at(folder.path()).unwrap();
                cache
                    .entry("kind", &key("a"), |_| {
                        builds.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(std::time::Duration::from_millis(50));
                        Ok(())
                    })
                    .unwrap();
            });
        }
    });
    assert_eq!(builds.into_inner(), 1);
}

#[test]
fn names_and_values_do_not_run_together() {
    let name = |a: &str, b: &str| Key::new(1).bytes(a, b.as_bytes()).name();
    assert_ne!(name("ab", "c"), name("a", "bc"));
    assert_ne!(Key::new(1).name(), Key::new(2).name());
    assert_eq!(name("a", "b"), name("a", "b"));
}

#[test]
fn a_folder_that_nobody_may_write_is_removed_all_the_same() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, _cache) = cache();
    let tree = folder.path().join("tree/inner");
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("file"), "").unwrap();
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o500)).unwrap();
    remove_tree(&folder.path().join("tree")).unwrap();
    assert!(!folder.path().join("tree").exists());
}

#[test]
fn a_run_folder_goes_away_unless_it_is_kept() {
    let (_folder, cache) = cache();
    let gone = cache.run_dir("boot").unwrap();
    let path = gone.path().to_owned();
    drop(gone);
    assert!(!path.exists());
    let mut kept = cache.run_dir("boot").unwrap();
    kept.keep();
    let path = kept.path().to_owned();
    drop(kept);
    assert!(path.exists());
}
