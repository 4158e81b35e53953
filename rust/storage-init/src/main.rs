//! storage-init
fn main() {}
