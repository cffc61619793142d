//! Errors become Python's: `itp_ood.errors` has a class for each kind.

use std::error::Error as _;

use itp_ood::{Error, Result};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// The exception for an error.
pub fn raised(error: Error) -> PyErr {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        message = format!("{message} (because: {inner})");
        cause = inner.source();
    }
    let code = error.kind().code();
    Python::attach(|py| {
        let exception = py
            .import("itp_ood.errors")
            .and_then(|errors| errors.call_method1("error", (code, &message)));
        match exception {
            Ok(exception) => PyErr::from_value(exception),
            // Somebody has loaded this module without its package.
            Err(_) => PyRuntimeError::new_err(message),
        }
    })
}

/// Results that Python gets.
pub trait Raise<T> {
    /// The same with an exception for the error.
    fn raise(self) -> PyResult<T>;
}

impl<T> Raise<T> for Result<T> {
    fn raise(self) -> PyResult<T> {
        self.map_err(raised)
    }
}
