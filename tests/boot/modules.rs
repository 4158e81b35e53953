// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's own kernel, where storage, dm-verity, erofs and vfat are modules: every kind of storage, and modules that are refused.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use boot_record::config::{SignaturePath, Source};
use boot_record::reason::Reason;
use boot_record::stage::Stage;
use libtest_mimic::Trial as Test;
use xtask::boot_report::Expected;
use xtask::call;
use xtask::debian_kernel::{self, DebianKernel};
use xtask::disk::Disk;
use xtask::qemu::bench::{self, Bench, Small, Trial, expected};
use xtask::qemu::kernel_choice::KernelChoice;
use xtask::qemu::storage::Storage;
use xtask::qemu::{Config, Exit, Outcome};

use crate::signatures::assert_refused_on_partition;
use crate::storage::PATIENT;
use crate::support::{action, assert_boot_chain, assert_refused, console, test};
use crate::vfat::Layout;

pub fn tests() -> Vec<Test> {
    vec![
        test("modules_are_those_that_modprobe_would_load", as_modprobe),
        test("module_of_another_kernel_is_refused", other_kernel),
        test("module_with_a_bad_signature_is_refused", bad_signature),
        test("module_without_its_file_is_refused", no_file),
        test("list_of_modules_that_is_cut_off_is_refused", cut_off),
        test("parameter_on_the_command_line_reaches_its_module", parameter),
        test("hanging_init_is_reset_by_a_watchdog_whose_driver_is_a_module", watchdog),
        test("file_on_virtio_boots_by_modules", |bench, folder| boots(bench, folder, Storage::Virtio, Source::EspFile)),
        test("partition_of_virtio_boots_by_modules", |bench, folder| {
            boots(bench, folder, Storage::Virtio, Source::Partition)
        }),
        test("file_on_a_plain_esp_boots_without_vfat", without_vfat),
        test("file_on_emmc_boots_by_modules", |bench, folder| boots(bench, folder, Storage::Emmc, Source::EspFile)),
        test("partition_of_ufs_boots_by_modules", |bench, folder| {
            boots(bench, folder, Storage::Ufs, Source::Partition)
        }),
    ]
}

/// The module that the tests spoil: the first driver that a boot from virtio needs.
const MODULE: &str = "virtio_blk";
/// Its file in the mini-initramfs.
const MODULE_FILE: &str = "lib/modules/virtio_blk.ko";
/// Of the modules' and the boot binary's 2 MB, this many kB may be left at init: /run has a record of a few.
const FREED_BELOW: u64 = 256;
const LIST_FILE: &str = "etc/initoverlayfs/modules.list";

fn config(storage: Storage) -> Config {
    let kernel = KernelChoice::Modules;
    Config { storage, kernel, signature: kernel.signature(), device_deadline: PATIENT, ..Config::default() }
}

/// From the kernel to the exec of init; the guest's kernel says that it has loaded what the list names.
fn boots(bench: &Bench, folder: &Path, storage: Storage, source: Source) -> Result<()> {
    let ddi = bench
        .small_ddi(folder, &Small { actions: &["read /proc/modules", "read /proc/meminfo"], ..Small::default() })?;
    let disk = bench::disk(source, &[("1.0", &ddi)]);
    let list = bench.modules_list(&config(storage), &folder.join("list.cpio"))?;
    let outcome = bench.boot(folder, &Trial { config: config(storage), disk: Some(disk), ..Trial::default() })?;
    let expected = Expected { signature: SignaturePath::UserSpace, ..expected("1.0", &ddi, source, false) };
    let booted = assert_boot_chain(&outcome, &expected)?;

    let loaded = action(&outcome, 1)?;
    let loaded: BTreeSet<&str> = loaded.lines().filter_map(|line| line.split(' ').next()).collect();
    let wanted: BTreeSet<&str> = list.lines().filter_map(|line| line.split(' ').next()).collect();
    ensure!(loaded == wanted, "the list has {wanted:?}, the kernel {loaded:?}");
    let stage =
        booted.record.stages.iter().find(|record| record.stage == Stage::Modules).context("no stage modules")?;
    let detail = format!("{} loaded", wanted.len());
    ensure!(stage.detail == detail.as_str(), "expected {detail}, boot.json says {}", stage.detail);

    // Without root= on the command line the initramfs is a tmpfs: its memory counts as shared.
    let memory = action(&outcome, 2)?;
    let shared = memory.lines().find_map(|line| line.strip_prefix("Shmem:")?.strip_suffix("kB")?.trim().parse().ok());
    let shared: u64 = shared.with_context(|| format!("no Shmem in {memory}"))?;
    ensure!(shared < FREED_BELOW, "{shared} kB are left of the initramfs");
    Ok(())
}

/// What is plain on an ESP is read without the kernel's vfat. A DDI that stays the root is not held there, and boot.json says so.
fn without_vfat(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small { actions: &["read /proc/filesystems"], ..Small::default() })?;
    let disk = Disk { first: vec![Layout::plain().write(bench, folder, 1, &ddi, "1.0")?], ..Disk::default() };
    let config = config(Storage::Virtio);
    let list = bench.modules_list(&config, &folder.join("list.cpio"))?;
    let rest: String = list.lines().filter(|line| *line != "vfat").flat_map(|line| [line, "\n"]).collect();
    ensure!(rest.len() < list.len(), "no vfat among {list}");
    let files = vec![(LIST_FILE, rest.into_bytes())];
    let outcome = bench.boot(folder, &Trial { config, disk: Some(disk), files, ..Trial::default() })?;
    let expected = Expected { signature: SignaturePath::UserSpace, ..expected("1.0", &ddi, Source::EspFile, false) };
    let booted = assert_boot_chain(&outcome, &expected)?;
    let known = action(&outcome, 1)?;
    ensure!(!known.contains("vfat"), "the kernel has vfat: {known}");
    let refused: Vec<_> =
        booted.record.refused.iter().map(|refusal| (refusal.reason, refusal.device.as_str())).collect();
    ensure!(refused == [(Reason::KernelLacks, "vda1")], "refused: {:?}", booted.record.refused);
    Ok(())
}

/// As `hanging_init_is_reset_by_the_watchdog`; before the modules there is no watchdog to start.
fn watchdog(bench: &Bench, folder: &Path) -> Result<()> {
    let ddi = bench.small_ddi(folder, &Small { actions: &["hang"], ..Small::default() })?;
    let disk = bench::disk(Source::Partition, &[("1.0", &ddi)]);
    let config =
        Config { device_deadline: "9s", more: "watchdog = 10s\nmodules = i6300esb", ..config(Storage::Virtio) };
    let trial = Trial { config, disk: Some(disk), devices: &["i6300esb"], ..Trial::default() };
    let outcome = bench.boot(folder, &trial)?;
    ensure!(outcome.exit == Exit::Watchdog, "expected a reset by the watchdog\n{}", console(&outcome));
    Ok(())
}

/// Boots with one file of the mini-initramfs replaced.
fn boot_with(bench: &Bench, folder: &Path, name: &str, contents: Vec<u8>) -> Result<Outcome> {
    let files = vec![(name, contents)];
    bench.boot(folder, &Trial { config: config(Storage::Virtio), files, ..Trial::default() })
}

fn kernel(bench: &Bench) -> Result<DebianKernel> {
    debian_kernel::ensure(bench.cache(), &bench.parts().tools)
}

/// Standard output of a program of the tools root, which sees the kernel's modules.
fn tool(bench: &Bench, kernel: &DebianKernel, program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let mut command = bench.parts().tools.command(program, &[&kernel.root])?;
    call::output(program, command.args(arguments))
}

/// The module as the mini-initramfs has it: decompressed, with its signature behind the ELF file.
fn module(bench: &Bench) -> Result<Vec<u8>> {
    let kernel = kernel(bench)?;
    let path = kernel.modules.join(format!("kernel/drivers/block/{MODULE}.ko.xz"));
    tool(bench, &kernel, "xz", &["--decompress", "--stdout", path.to_str().context("not UTF-8")?])
}

fn find(bytes: &[u8], what: &[u8]) -> Result<usize> {
    let found = bytes.windows(what.len()).position(|window| window == what);
    found.with_context(|| format!("the module has no \"{}\"", what.escape_ascii()))
}

/// What a kernel of another configuration would say of itself; without a signature, which would be found first.
fn other_kernel(bench: &Bench, folder: &Path) -> Result<()> {
    let mut module = module(bench)?;
    let magic = format!("vermagic={} SMP", kernel(bench)?.release);
    let at = find(&module, magic.as_bytes())?;
    let other = magic.replace("SMP", "UMP");
    module.splice(at..at.saturating_add(magic.len()), other.bytes());
    let outcome = boot_with(bench, folder, MODULE_FILE, unsigned(module)?)?;
    let said = format!("{MODULE}: version magic '{} UMP", kernel(bench)?.release);
    ensure!(outcome.console.iter().any(|line| line.contains(&said)), "not said: {said}\n{}", console(&outcome));
    assert_refused(&outcome, Reason::ModuleRefused, MODULE)
}

/// The ELF file alone: scripts/sign-file.c puts PKCS#7, a `struct module_signature` and this line behind it.
fn unsigned(mut module: Vec<u8>) -> Result<Vec<u8>> {
    const LINE: &[u8] = b"~Module signature appended~\n";
    const INFORMATION: usize = 12;
    ensure!(module.ends_with(LINE), "Debian's module is not signed");
    let end = module.len().saturating_sub(LINE.len());
    let length = module.get(end.saturating_sub(4)..end).and_then(|bytes| bytes.try_into().ok());
    let signature = length.map(u32::from_be_bytes).context("no struct module_signature")?;
    module.truncate(end.saturating_sub(INFORMATION).saturating_sub(usize::try_from(signature)?));
    Ok(module)
}

fn bad_signature(bench: &Bench, folder: &Path) -> Result<()> {
    let mut module = module(bench)?;
    let at = find(&module, b"license=GPL")?;
    module.splice(at..at.saturating_add(11), *b"license=gpl");
    assert_refused(&boot_with(bench, folder, MODULE_FILE, module)?, Reason::ModuleRefused, MODULE)
}

fn no_file(bench: &Bench, folder: &Path) -> Result<()> {
    let outcome = boot_with(bench, folder, LIST_FILE, b"forgotten\n".to_vec())?;
    assert_refused(&outcome, Reason::ConfigInvalid, "/lib/modules/forgotten.ko")
}

fn cut_off(bench: &Bench, folder: &Path) -> Result<()> {
    let outcome = boot_with(bench, folder, LIST_FILE, b"virtio_b".to_vec())?;
    assert_refused(&outcome, Reason::ConfigInvalid, "/etc/initoverlayfs/modules.list")
}

/// dm-verity is a module here, and is told to take no table without a signature: which user space's check has.
fn parameter(bench: &Bench, folder: &Path) -> Result<()> {
    let config = Config { cmdline_allow: "dm_verity.require_signatures", ..config(Storage::Virtio) };
    let trial = Trial { config, command_line: "dm_verity.require_signatures=1", ..Trial::default() };
    assert_refused_on_partition(bench, folder, &Small::default(), trial, Reason::KernelLacks)
}

/// For each storage: the same modules as modprobe's own answer, and each after those that modprobe puts before it.
fn as_modprobe(bench: &Bench, folder: &Path) -> Result<()> {
    let kernel = kernel(bench)?;
    for storage in Storage::ALL {
        let config = config(storage);
        let list = bench.modules_list(&config, &folder.join("initramfs.cpio"))?;
        let ours: Vec<&str> = list.lines().filter_map(|line| line.split(' ').next()).collect();
        let mut theirs = BTreeSet::new();
        for wanted in
            config.kernel.config_lines(storage).split_whitespace().filter(|word| !["modules", "="].contains(word))
        {
            let base = kernel.root.to_str().context("not UTF-8")?;
            let arguments = ["--dirname", base, "--set-version", &kernel.release, "--show-depends", wanted];
            let answer = String::from_utf8(tool(bench, &kernel, "modprobe", &arguments)?)?;
            // `insmod FILE`, or `builtin NAME`.
            let files = answer.lines().filter_map(|line| line.strip_prefix("insmod ")?.trim_end().rsplit('/').next());
            let names = files.filter_map(|file| Some(file.split_once('.')?.0.replace('-', "_")));
            let names: Vec<String> = names.collect();
            // What modprobe loads for a module comes before it with us too; an alias may be of several.
            let place = |name: &String| ours.iter().position(|one| one == name);
            if names.last().is_some_and(|last| *last == wanted.replace('-', "_")) {
                ensure!(names.iter().map(place).max() == names.last().map(place), "{wanted}: {names:?} in {ours:?}");
            }
            theirs.extend(names);
        }
        let ours: BTreeSet<String> = ours.into_iter().map(str::to_owned).collect();
        ensure!(ours == theirs, "{storage:?}: {ours:?}, modprobe {theirs:?}");
    }
    Ok(())
}
