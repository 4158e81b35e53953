// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a person at a terminal sees while an image is built or verified. Without a terminal on stderr nothing is printed.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts bytes. May be shared between threads.
#[derive(Debug)]
pub struct Bytes(ProgressBar);

impl Bytes {
    /// A bar named `stage` for `total` bytes.
    #[must_use]
    pub fn new(stage: &'static str, total: u64) -> Self {
        let bar = ProgressBar::new(total).with_message(stage);
        if let Ok(style) = ProgressStyle::with_template("{msg:24} {bar:40} {bytes}/{total_bytes} {eta}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// `bytes` more are done.
    pub fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A spinner for a stage that does not tell how far it is.
#[derive(Debug)]
pub struct Waiting(ProgressBar);

impl Waiting {
    /// A spinner named `stage`.
    #[must_use]
    pub fn new(stage: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(stage);
        if let Ok(style) = ProgressStyle::with_template("{msg:24} {spinner} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
