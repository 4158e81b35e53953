// SPDX-License-Identifier: MIT OR Apache-2.0
//! `main`: the C entry point of PID 1.
//!
//! Rust's own start-up opens /dev/null for each closed standard descriptor and aborts where that fails. PID 1 on a
//! board without a console has them closed, and no /dev yet: the abort would be a kernel panic at every boot. So the
//! boot binary is `no_main` and enters here.
//!
//! See library/std/src/sys/pal/unix/mod.rs (`sanitize_standard_fds`) and init/main.c (`console_on_rootfs`).

/// Makes `$run`, a `fn() -> !`, the program's entry point, in a crate that is `#![no_main]`.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        /// The C entry point. The arguments are not read: the kernel fills them from its command line, and that steers
        /// nothing here.
        #[unsafe(no_mangle)]
        pub extern "C" fn main(_argc: core::ffi::c_int, _argv: *const *const core::ffi::c_char) -> core::ffi::c_int {
            let run: fn() -> ! = $run;
            run()
        }
    };
}
