//! What the command line `itp` is made of and its tests share; not a public library.

pub mod dataset;
pub mod file;
