//! The command line, end to end, on small made-up images and the models of the backbone's tests.

mod archives;
mod calibrate;
mod colour;
mod data;
mod datasets;
mod decode;
mod docs;
mod doctor;
mod errors;
mod eval;
mod help;
mod images;
mod lists;
mod models;
mod odin;
mod score;
mod shards;
mod support;
mod tune;
