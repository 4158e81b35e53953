//! ddi
fn main() {}
