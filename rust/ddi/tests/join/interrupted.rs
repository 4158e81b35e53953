// SPDX-License-Identifier: MIT OR Apache-2.0
//! A run that is ended at any moment leaves nothing behind, and no image that is half signed.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::support::{ddi_build, names, run, tool};
use crate::workshop::{BARE, Workshop};

/// Large enough for a run to take some milliseconds.
const BLOCKS: u32 = 4000;
/// Ends a run after so many times a step.
const STEPS: u32 = 30;
const STEP: Duration = Duration::from_micros(700);

fn end(mut command: Command, after: Duration) {
    let mut child = command.spawn().unwrap();
    sleep(after);
    run(tool("sh").arg("-c").arg(format!("kill -TERM {} 2>/dev/null; :", child.id())));
    let code = child.wait().unwrap().code();
    // Before its handler is there, a signal ends it as any program.
    assert!(matches!(code, Some(0 | 130) | None), "{code:?}");
}

fn workshop() -> Workshop {
    let workshop = Workshop::new(BLOCKS);
    workshop.pair("good", "rsa:2048", &[]);
    workshop.sign("good", "hash", &BARE);
    workshop
}

#[test]
fn new_file_is_whole_or_not_there() {
    let workshop = workshop();
    let signed = workshop.built_with_key("good");
    let before = names(workshop.path());
    for step in 0..STEPS {
        let mut join = workshop.join("good.pem", &["--output", "out"]);
        join.stdout(std::process::Stdio::null());
        end(join, STEP * step);
        if let Ok(bytes) = fs::read(workshop.path().join("out")) {
            assert!(bytes == signed, "step {step}: half an image");
            fs::remove_file(workshop.path().join("out")).unwrap();
        }
        assert_eq!(names(workshop.path()), before, "step {step}");
    }
}

#[test]
fn image_in_place_is_unsigned_or_signed_and_the_next_run_completes_it() {
    let workshop = workshop();
    let path = workshop.path().join("unsigned");
    let (unsigned, signed) = (fs::read(&path).unwrap(), workshop.built_with_key("good"));
    let before = names(workshop.path());
    for step in 0..STEPS {
        fs::write(&path, &unsigned).unwrap();
        let mut join = workshop.join("good.pem", &["--in-place"]);
        join.stdout(std::process::Stdio::null());
        end(join, STEP * step);
        assert_eq!(names(workshop.path()), before, "step {step}");
        if fs::read(&path).unwrap() != signed {
            run(&mut workshop.join("good.pem", &["--in-place"]));
            assert!(fs::read(&path).unwrap() == signed, "step {step}: not completed");
        }
    }
}

/// What an interrupted run can have written, each brought about on purpose: the signature without a table, the backup
/// table alone, the backup table and half of the primary one.
#[test]
fn image_that_was_left_between_the_two_is_completed() {
    let workshop = workshop();
    let path = workshop.path().join("unsigned");
    let (unsigned, signed) = (fs::read(&path).unwrap(), workshop.built_with_key("good"));
    let backup = signed.len() - 33 * 512;
    let signature = 20480..28672;
    let (header, half) = (512..1024, 1024..1024 + 128);
    for written in [
        vec![signature.clone()],
        vec![signature.clone(), backup..signed.len()],
        vec![signature.clone(), backup..signed.len(), header.clone()],
        vec![signature, backup..signed.len(), header, half],
    ] {
        let mut image = unsigned.clone();
        for range in &written {
            image[range.clone()].copy_from_slice(&signed[range.clone()]);
        }
        fs::write(&path, image).unwrap();
        run(&mut workshop.join("good.pem", &["--in-place"]));
        assert!(fs::read(&path).unwrap() == signed, "{written:?}");
    }
}

/// No room for the second file: the first one is not left alone.
#[test]
fn build_without_a_place_for_the_bytes_to_sign_leaves_no_image() {
    let workshop = workshop();
    let before = names(workshop.path());
    let mut build = ddi_build(["--erofs", "erofs", "--unsigned-out", "second", "--to-sign", "no-such-folder/hash"]);
    let expected = "ddi: no-such-folder: cannot open: No such file or directory (os error 2)\n".to_owned();
    assert_eq!(crate::support::refusal(build.current_dir(workshop.path())), (expected, Some(1)));
    assert_eq!(names(workshop.path()), before);
}
