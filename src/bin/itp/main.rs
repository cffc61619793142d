//! The command line `itp`.
fn main() {}
