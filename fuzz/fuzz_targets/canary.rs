// SPDX-License-Identifier: MIT OR Apache-2.0
//! Not a format: proof that a run finds what is there. `cargo xtask fuzz` gives it two inputs that it must die of, one by
//! a failed assertion and one by the address sanitizer, before it believes any other target.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    assert_ne!(data, b"assertion", "the canary's assertion");
    if data == b"overflow" {
        let copy = data.to_vec();
        // SAFETY: none: this reads one byte past an allocation, which is what the sanitizer has to see.
        let past = unsafe { std::ptr::read_volatile(copy.as_ptr().wrapping_add(copy.len())) };
        std::hint::black_box(past);
    }
});
