//! The Python boundary: the only crate that knows Python.
//!
//! What crosses it is plain: NumPy arrays (read where they lie), bytes, and JSON of the wire forms that
//! the command line prints; `python/itp_ood` makes classes of them. Whatever fails raises an `OodError`
//! with its code. The interpreter's lock is released while anything takes long.

mod calibrator;
mod detector;
mod input;
mod raise;

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command line; gives its exit code.
#[pyfunction]
fn main(py: Python, args: Vec<OsString>) -> u8 {
    py.detach(|| itp_ood_cli::run(args))
}

/// Runs a command of the command line; what fails is raised.
#[pyfunction]
fn command(py: Python, args: Vec<OsString>) -> PyResult<()> {
    py.detach(|| itp_ood_cli::command(args)).map_err(raise::raised)
}

#[pymodule]
fn _native(module: &Bound<PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<detector::Detector>()?;
    module.add_class::<calibrator::Calibrator>()?;
    module.add_function(wrap_pyfunction!(main, module)?)?;
    module.add_function(wrap_pyfunction!(command, module)?)?;
    module.add_function(wrap_pyfunction!(detector::registry, module)?)?;
    module.add_function(wrap_pyfunction!(input::preprocess, module)?)?;
    module.add_function(wrap_pyfunction!(calibrator::hold_back, module)?)
}
